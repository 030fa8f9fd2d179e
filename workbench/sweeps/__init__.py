"""Sweeps: many configurations as packs, with names, and one sweep in the store."""
