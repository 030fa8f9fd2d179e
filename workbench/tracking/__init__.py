"""Storage of runs: one protocol, MLflow behind it, and a sink in memory."""
