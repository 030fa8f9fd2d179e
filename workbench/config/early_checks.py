"""Checks of written values before torch is imported: those of the workbench's own options."""

from collections.abc import Iterable, Sequence
from typing import Any

from workbench.config.schema import GROUPS, TARGET, RunSpec

# Parameters that are not written, but given when the model is made.
SUPPLIED = {"architecture": ("n_in", "n_out", "activation", "norm", "inputs", "per_position")}


def check_written(specs: Iterable[RunSpec]) -> None:
    """Raise ConfigError for a value that no option of its group has or takes, where an override gives it.

    Objects are not made, and functions of other modules not imported: `validate` does both, later.
    """
    seen: set[str] = set()
    for spec in specs:
        for group in _written_groups(spec):
            node = spec.resolved[group]
            if repr(node) not in seen:
                seen.add(repr(node))
                _check(group, node, SUPPLIED.get(group, ()))


def _written_groups(spec: RunSpec) -> set[str]:
    """Groups of which an override sets a value."""
    keys = (line.lstrip("+~").partition("=")[0] for line in spec.overrides)
    return {key.partition(".")[0] for key in keys if "." in key}.intersection(GROUPS)


def _check(key: str, node: Any, supplied: Sequence[str] = ()) -> None:
    from workbench.config.signatures import signature_in_source
    from workbench.config.values import checked_values, is_family, is_node

    if not is_node(node) or (signature := signature_in_source(node[TARGET])) is None:
        return
    checked_values(key, node, signature, supplied)
    for name, value in node.items():
        members = value.items() if is_family(value) else ()
        for member, inner in (*members, ("", value)):
            _check(".".join(filter(None, (key, name, member))), inner)
