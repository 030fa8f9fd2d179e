"""What every part of the workbench uses: axes, seeds, errors, statistics, and the terminal."""
