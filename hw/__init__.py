"""The hardware: configuration, instruction set and RTL of the tensor streaming core."""
