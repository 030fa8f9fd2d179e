"""Layers, one kind per file; `base` says what a layer is."""
