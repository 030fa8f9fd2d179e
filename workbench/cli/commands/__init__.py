"""The commands, one file each, found by the file's name.

A command defines `HELP` and either `add_arguments(parser)` with `run(options)`, or `run_overrides(arguments)` where
Hydra parses what follows. Both return the exit code. Imports at the top stay light: the help of all commands is shown
without torch, MLflow or Hydra.
"""
