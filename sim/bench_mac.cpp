// Drives a bare supercell: loads 16 columns, checks VECTORS dot products, times TIMED vectors.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vtop.h"

static Vtop *top;

static void tick() {
    top->clk = 0;
    top->eval();
    top->clk = 1;
    top->eval();
}

static void present(const uint32_t *row) {
    for (int i = 0; i < 4; i++) {
        top->low[i] = row[i];
        top->high[i] = row[4 + i];
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    std::vector<uint32_t> rows((16 + VECTORS) * 8);
    FILE *operands = std::fopen(argv[1], "rb");
    if (!operands || std::fread(rows.data(), 4, rows.size(), operands) != rows.size()) return 1;
    std::fclose(operands);
    FILE *answers = std::fopen(argv[2], "wb");
    if (!answers) return 1;

    top = new Vtop;
    top->rst = 0;
    top->dtype = FP16;
    for (int n = 0; n < 16; n++) {
        present(&rows[8 * n]);
        top->write = 1u << n;
        tick();
    }
    top->write = 0;
    top->install = 1;
    tick();
    top->install = 0;

    // Operands are registered, then summed, then added to those from the south: 3 cycles.
    top->take = 1;
    for (int n = 0; n < VECTORS + 2; n++) {
        if (n < VECTORS) present(&rows[8 * (16 + n)]);
        tick();
        if (n >= 2) std::fwrite(&top->dots[0], 4, 48, answers);
    }
    std::fclose(answers);

    const auto began = std::chrono::steady_clock::now();
    for (int n = 0; n < TIMED; n++) {
        present(&rows[8 * (16 + n % VECTORS)]);
        tick();
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - began;
    std::printf("%.9f\n", spent.count());
    delete top;
    return 0;
}
