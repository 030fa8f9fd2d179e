"""Layers, one kind per file; `base` defines the interface."""
