"""From a command line to checked objects: the schema, Hydra, and the functions that yaml files name."""
