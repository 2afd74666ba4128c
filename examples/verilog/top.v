// A small system around the core: a ROM of host transactions, and what plays them.
//
// The ROM loads a program and its data, starts it, waits for its end, and compares cycles and
// results with what `tsp rom` computed. Then `done` rises, and `pass` says whether all agreed.
// `cycles` is what the last check of the cycle counter read.

module top #(
    parameter ROM = "rom.hex",
    parameter ROM_WORDS = 1024,
    parameter HOST_BITS = 128  // a host word: all superlanes of a word of SRAM, and at least this
) (
    input wire clk,
    input wire rst,
    output reg done,
    output reg pass,
    output reg [31:0] cycles
);
    // A transaction: operation, host address, data.
    localparam [7:0] END = 0, WRITE = 1, WAIT = 2, CHECK = 3;
    localparam [39:0] CYCLES = 3;  // the register of that name

    reg [HOST_BITS+47:0] rom[0:ROM_WORDS-1];
    initial $readmemh(ROM, rom);

    reg [31:0] at;
    reg asked;  // a read is under way
    reg [1:0] settle;  // the core leaves reset a clock after the pin
    wire [HOST_BITS+47:0] entry = rom[at];
    wire [7:0] op = entry[HOST_BITS+40+:8];
    wire [39:0] address = entry[HOST_BITS+:40];
    wire [HOST_BITS-1:0] data = entry[HOST_BITS-1:0];
    wire ready = settle == 2 && !done;
    wire reads = op == WAIT || op == CHECK;

    wire [HOST_BITS-1:0] answer;
    wire answered;
    tsp_nano_chip core (
        .clk(clk),
        .rst(rst),
        .host__address(address),
        .host__write(ready && op == WRITE),
        .host__read(ready && reads && !asked),
        .host__write_data(data),
        .host__read_data(answer),
        .host__read_valid(answered)
    );

    wire wanted = op == CHECK ? answer == data : (answer & data) == data;

    always @(posedge clk)
        if (rst) begin
            at <= 0;
            asked <= 0;
            settle <= 0;
            done <= 0;
            pass <= 1;
            cycles <= 0;
        end else if (settle != 2) settle <= settle + 1;
        else if (!done)
            case (op)
                WRITE: at <= at + 1;
                WAIT, CHECK:
                if (!asked) asked <= 1;
                else if (answered) begin
                    asked <= 0;
                    if (op == CHECK || wanted) at <= at + 1;
                    if (op == CHECK && !wanted) pass <= 0;
                    if (op == CHECK && address == CYCLES) cycles <= answer[31:0];
                end
                END: done <= 1;
                default: begin  // nothing that `tsp rom` writes
                    done <= 1;
                    pass <= 0;
                end
            endcase
endmodule
