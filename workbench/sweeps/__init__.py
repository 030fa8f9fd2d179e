"""From many configurations to packs, names, and one sweep in the store."""
