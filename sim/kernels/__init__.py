"""Kernels: functions that return programs, each beside its numpy reference."""
