"""A diagnostic as a user would write it."""

from workbench.diagnostics.observed_step import Quantity


def largest() -> Quantity:
    """Return the largest activation of each layer."""
    return lambda seen: {name: one.a.amax((1, 2)) for name, one in seen.units.items() if one.a is not None}
