// Plays inputs on a unit and writes down its outputs.
//
// Usage: tsp_chip INPUTS OUTPUTS
// INPUTS holds the bits of all inputs in each cycle, of which `given` has as many bytes; OUTPUTS
// receives those of all outputs in that cycle, before its clock edge.

#include <cstdio>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s INPUTS OUTPUTS\n", argv[0]);
        return 2;
    }
    FILE *inputs = std::fopen(argv[1], "rb"), *outputs = std::fopen(argv[2], "wb");
    if (!inputs || !outputs) {
        std::perror(inputs ? argv[2] : argv[1]);
        return 1;
    }
    Vtop top;
    top.rst = 1;
    for (int edge = 0; edge < 4; edge++) {
        top.clk = edge & 1;
        top.eval();
    }
    top.rst = 0;
    while (std::fread(&top.given, sizeof top.given, 1, inputs) == 1) {
        top.clk = 0;
        top.eval();
        std::fwrite(&top.shown, sizeof top.shown, 1, outputs);
        top.clk = 1;
        top.eval();
    }
    top.final();
    return std::fclose(outputs) ? 1 : 0;
}
