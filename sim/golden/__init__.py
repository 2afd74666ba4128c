"""The golden model: the same program, cycle by cycle, in numpy."""
