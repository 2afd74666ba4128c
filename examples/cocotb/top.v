// A small system around the core: the host port comes through, and its requests are counted.

module top (
    input wire clk,
    input wire rst,
    input wire [39:0] host_address,
    input wire host_write,
    input wire host_read,
    input wire [127:0] host_write_data,
    output wire [127:0] host_read_data,
    output wire host_read_valid,
    output reg [31:0] requests
);
    tsp_nano_chip core (
        .clk(clk),
        .rst(rst),
        .host__address(host_address),
        .host__write(host_write),
        .host__read(host_read),
        .host__write_data(host_write_data),
        .host__read_data(host_read_data),
        .host__read_valid(host_read_valid)
    );

    always @(posedge clk)
        if (rst) requests <= 0;
        else if (host_write || host_read) requests <= requests + 1;
endmodule
