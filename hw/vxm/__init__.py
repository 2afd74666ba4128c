"""The vector execution module."""
