"""Worked example: a training step of a small net on one example, in the lecture's notation with numbers filled in."""
