// Clock, reset and verdict for `top`: prints PASS or FAIL, with the cycles of the program.

module testbench;
    reg clk = 0, rst = 1;
    wire done, pass;
    wire [31:0] cycles;

    top dut (
        .clk(clk),
        .rst(rst),
        .done(done),
        .pass(pass),
        .cycles(cycles)
    );

    always #1 clk = !clk;

    integer clocks = 0;

    initial begin
        repeat (4) @(negedge clk);
        rst = 0;
        while (!done && clocks < 100000) begin
            @(negedge clk);
            clocks = clocks + 1;
        end
        if (!done) $display("FAIL: no end");
        else if (pass) $display("PASS: %0d cycles", cycles);
        else $display("FAIL: %0d cycles", cycles);
        $finish;
    end
endmodule
