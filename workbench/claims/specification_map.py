"""Measurement of a claim's specification map: the same quantity and rule in every specification."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from workbench.claims.catalog import CODE, Entry
from workbench.claims.claim import SEEDS
from workbench.claims.evidence import Cell
from workbench.claims.map_rules import MAP, SETTINGS, Specification, Specifications
from workbench.claims.request import PICTURES, SEED_OFFSET, Request
from workbench.claims.study import Study
from workbench.claims.verdict import MapVerdict, PartVerdict
from workbench.config.compose import configure
from workbench.config.prepare import prepare
from workbench.core.errors import ConfigError
from workbench.core.quoting import plain_override

CLASSES = 10  # of the digits: claims say by it what guessing has
DECIDING = "deciding"
Deciding = Callable[[Study, int], Iterable[Cell]]


def deciding_of(entry: Entry, module: ModuleType) -> Deciding:
    """The function of a claim's code that measures the deciding cell alone, in nets of a width.

    Raises ConfigError where there is none.
    """
    found = getattr(module, DECIDING, None)
    if not callable(found):
        raise ConfigError(
            f"{entry.yaml.with_name(CODE)}: must define a function {DECIDING}(study, width), as claim.{MAP} asks for it"
        )
    return found  # type: ignore[no-any-return]


def pictures_digests(entries: Sequence[Entry], request: Request) -> list[str]:
    """Digest of the pictures that the map of each claim is measured on; ``none`` without.

    Raises ConfigError where pictures are given and no claim is measured with a map, and for classes that are not ten,
    DataError for a folder without pictures.
    """
    if request.pictures is not None and not any(request.maps(entry.claim) for entry in entries):
        raise ConfigError(
            f"reproduce: --pictures: one of the claims must have a specification map in profile {request.profile}, "
            "none has; drop it, or choose --profile full"
        )
    return [_pictures_digest(entry, request) for entry in entries]


def _pictures_digest(entry: Entry, request: Request) -> str:
    plan = entry.claim.specifications
    if request.pictures is None or plan is None or not request.maps(entry.claim):
        return "none"
    dataset = prepare(configure(_overrides(plan, request.pictures))).dataset
    if dataset.n_classes != CLASSES:
        raise ConfigError(
            f"reproduce: --pictures: {request.pictures} must have {CLASSES} classes, as the digits have, got "
            f"{dataset.n_classes}; take MNIST or Fashion-MNIST"
        )
    return dataset.digest


def _overrides(plan: Specifications, pictures: str | Path) -> list[str]:
    return [*plan.pictures, plain_override("data.path", str(pictures))]


def named_pictures(study: Study) -> dict[str, list[str]]:
    """Overrides for the folder of pictures that the user names, by its name; empty without one."""
    plan, pictures = study.claim.specifications, study.settings.get(PICTURES)
    return {Path(pictures).resolve().name: _overrides(plan, pictures)} if plan and pictures else {}


def measure_map(study: Study, deciding: Deciding) -> pd.DataFrame:
    """Judge every specification by the rule of the claim; the table is kept with the study.

    `study` has measured the claim, with `specifications` among its settings: the seeds of each.
    """
    plan = study.claim.specifications
    assert plan is not None
    data = {study.specs(seeds=[0])[0].choices["data"]: [], **named_pictures(study)}
    return study.keep(MAP, [_row(study, plan, one, deciding) for one in plan.each(data)])


def _row(study: Study, plan: Specifications, specification: Specification, deciding: Deciding) -> dict[str, Any]:
    changes: dict[str, Any] = {"learning_rates": specification.rates, "tuning_seeds": plan.tuning_seeds}
    entry = replace(study.entry, claim=study.claim.model_copy(update=changes))
    settings = {SEEDS: study[MAP], SEED_OFFSET: study.offset}
    own = Study(entry, settings, spot_checks=study.spot_checks, changes=specification.overrides)
    cells = own.measured(lambda one: deciding(one, int(specification.at["width"])))
    evidence = [cell.evidence for cell in cells if (cell.part, dict(cell.at)) == (plan.part, plan.cell)]
    if len(evidence) != 1:
        raise ConfigError(f"claim {study.entry.name}: {DECIDING} must yield {plan.part} {plan.cell} once, got {cells}")
    study.runs += own.runs
    study.disagreements += own.disagreements
    judgment = study.claim.parts[plan.part].rule.judge(evidence[0])
    return {
        **specification.at,
        "estimate": judgment.effect,
        "low": judgment.low,
        "high": judgment.high,
        "label": str(judgment.label),
        "reason": judgment.reason,
        "rates": "; ".join(f"{arm}: {choice}" for arm, choice in own.tuning.items()),
    }


def map_verdict(plan: Specifications, table: pd.DataFrame, parts: Iterable[PartVerdict]) -> MapVerdict:
    """Count the specifications that have the label of the cell that decides."""
    (part,) = (one for one in parts if one.name == plan.part)
    (label,) = (cell.judgment.label for cell in part.cells if cell.at == plan.cell)
    own = {name: str(table[name].iloc[0]) for name in SETTINGS}
    agree = int((table["label"] == str(label)).sum())
    return MapVerdict(
        part=part.name, label=label, own=own, data=list(dict.fromkeys(table["data"])), agree=agree, total=len(table)
    )
