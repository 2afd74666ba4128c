"""Formal proofs of units of the core: properties as Amaranth components, and their runner."""
