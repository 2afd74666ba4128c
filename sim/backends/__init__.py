"""Back ends: what a program can be run on."""
