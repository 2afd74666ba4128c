"""The core as a package for FuseSoC."""
