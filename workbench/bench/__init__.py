"""Benchmarks: a training step, a sweep beside a script written by hand, and sweeps of growing size."""
