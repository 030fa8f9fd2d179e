"""Executors, one per file: where the packs of a sweep are trained."""
