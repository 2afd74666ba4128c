"""What runs on the host: programs, schedules, the golden model, kernels and simulators."""
