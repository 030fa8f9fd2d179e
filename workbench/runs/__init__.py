"""Bring one pack of runs from its configurations to its results: training, writing, checkpoints."""
