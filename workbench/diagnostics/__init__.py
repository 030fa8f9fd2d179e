"""Diagnostics of training: small pure functions of the tensors that a step's forward and backward pass computed."""
