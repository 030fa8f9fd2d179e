"""Claims run small and in memory, with changes that must change their verdict."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from workbench.claims.catalog import choose
from workbench.claims.claim import parse_claim
from workbench.claims.map_rules import MAP
from workbench.claims.study import Study
from workbench.claims.verdict import PartVerdict, judge
from workbench.config.yaml_files import read_yaml
from workbench.engine.threads import one_thread


def studied(
    name: str,
    settings: Mapping[str, Any] | None = None,
    edit: Callable[[dict[str, Any]], object] | None = None,
    module: Mapping[str, Any] | None = None,
) -> tuple[Study, dict[str, PartVerdict]]:
    """The study and the verdicts by part of a claim's quick profile, updated by `settings`.

    `edit` changes the claim's node in place before it is read; `module` replaces names in the claim's code.
    """
    (entry,) = choose([name])
    node = read_yaml(entry.yaml)["claim"]
    for place in (node, *node["profiles"].values()):
        place.pop(MAP, None)  # of a part that the edit may take away
    if edit is not None:
        edit(node)
    claim = parse_claim(entry.yaml, node)
    code = entry.load()
    for attribute, value in (module or {}).items():
        assert hasattr(code, attribute), attribute
        setattr(code, attribute, value)
    study = Study(replace(entry, claim=claim), {**claim.profiles["quick"], **(settings or {})})
    with one_thread():
        cells = study.measured(code.measure)
    return study, {part.name: part for part in judge(claim, cells)}


def judged(
    name: str,
    settings: Mapping[str, Any] | None = None,
    edit: Callable[[dict[str, Any]], object] | None = None,
    module: Mapping[str, Any] | None = None,
) -> dict[str, PartVerdict]:
    """The verdicts by part of `studied`."""
    return studied(name, settings, edit, module)[1]
