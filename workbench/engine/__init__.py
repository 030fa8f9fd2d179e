"""The trainer: a pack of replicas, one step at a time, and the history it leaves."""
