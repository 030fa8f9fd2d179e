"""One training step of a small net on one example, worked in the lecture's notation with the numbers filled in."""
