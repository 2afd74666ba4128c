"""Coverage of the RTL and of the instruction set by programs that run on the RTL."""
