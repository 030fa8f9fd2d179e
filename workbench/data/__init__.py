"""Data sets, their splits, and the batches that replicas draw."""
