"""Configuration: the schema, Hydra, and the checked objects that yaml files name."""
