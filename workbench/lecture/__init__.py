"""The lecture: its slides, its formulas as printed and corrected, and a training step worked in its notation."""
