"""The matrix execution module."""
