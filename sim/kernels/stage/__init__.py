"""Layers on a stage: plans whose tiles find their banks when all times are known."""
