"""The command line: `entry` runs a command and returns its exit code, `commands` has one file for each command."""
