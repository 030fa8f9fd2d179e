"""The trainer: steps of a pack of replicas, checkpoints, and the history of records."""
