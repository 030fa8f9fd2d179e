"""Where runs are kept: one protocol, MLflow behind it, and a sink in memory."""
