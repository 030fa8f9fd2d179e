"""Runs read back from a store: compared, shown, trained again, drawn, and explained by what they logged."""
