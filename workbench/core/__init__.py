"""Shared foundations: axes, seeds, errors, statistics, memory, signals and the terminal."""
