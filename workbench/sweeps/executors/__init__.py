"""Where the packs of a sweep are trained: one file for each way."""
