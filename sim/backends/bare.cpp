// The bare Verilator model, driven from C++ through the same host port as every other back end.
//
// Usage: tsp_chip SCRIPT ANSWERS CYCLES
// SCRIPT holds 64-bit words: the number of writes, the number of reads, the number of words of a
// host word, then an address and the data per write, lowest first, then an address per read.
// ANSWERS receives the data per read.
// Prints the clock cycles simulated and the seconds they took.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

// Verilator writes the second of two underscores in a row as _05F.
static Vtop *top;
static uint64_t cycles = 0;

static void tick() {
    top->clk = 0;
    top->eval();
    top->clk = 1;
    top->eval();
    cycles++;
}

static std::vector<uint64_t> load(const char *path) {
    std::vector<uint64_t> words;
    FILE *file = std::fopen(path, "rb");
    if (!file) {
        std::perror(path);
        std::exit(1);
    }
    uint64_t word;
    while (std::fread(&word, sizeof word, 1, file) == 1) words.push_back(word);
    std::fclose(file);
    return words;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s SCRIPT ANSWERS CYCLES\n", argv[0]);
        return 2;
    }
    const std::vector<uint64_t> script = load(argv[1]);
    const uint64_t writes = script[0], reads = script[1], words = script[2];
    const uint64_t program = std::atoll(argv[3]);
    top = new Vtop;
    const auto began = std::chrono::steady_clock::now();

    top->rst = 1;
    top->host___05Fwrite = 0;
    top->host___05Fread = 0;
    tick();
    tick();
    top->rst = 0;
    tick();

    const uint64_t *at = script.data() + 3;
    top->host___05Fwrite = 1;
    for (uint64_t n = 0; n < writes; n++) {
        top->host___05Faddress = *at++;
        for (uint64_t k = 0; k < words; k++, at++) {
            top->host___05Fwrite_data[2 * k] = uint32_t(*at);
            top->host___05Fwrite_data[2 * k + 1] = uint32_t(*at >> 32);
        }
        tick();
    }
    top->host___05Fwrite = 0;

    const auto started = std::chrono::steady_clock::now();
    const uint64_t before = cycles;
    while (cycles < before + program) tick();
    const std::chrono::duration<double> running = std::chrono::steady_clock::now() - started;

    FILE *answers = std::fopen(argv[2], "wb");
    if (!answers) {
        std::perror(argv[2]);
        return 1;
    }
    const uint64_t latency = HOST_READ;
    top->host___05Fread = 1;
    for (uint64_t n = 0; n < reads + latency - 1; n++) {
        top->host___05Faddress = n < reads ? at[n] : 0;
        tick();
        if (n + 1 >= latency) {
            for (uint64_t k = 0; k < words; k++) {
                const auto &data = top->host___05Fread_data;
                const uint64_t word = data[2 * k] | uint64_t(data[2 * k + 1]) << 32;
                std::fwrite(&word, sizeof word, 1, answers);
            }
        }
    }
    std::fclose(answers);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - began;
    std::printf("%llu %.9f %llu %.9f\n", (unsigned long long)program, running.count(),
                (unsigned long long)cycles, whole.count());
    top->final();
    delete top;
    return 0;
}
