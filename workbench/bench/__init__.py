"""How fast it is: a training step, a sweep beside the script one would write by hand, and sweeps of growing size."""
