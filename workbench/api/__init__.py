"""What ``import workbench as wb`` hands out: functions named as commands are, and the runs and sweeps they return."""
