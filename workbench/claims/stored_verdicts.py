"""Verdicts read back from a store, each as it was kept."""

import io
from typing import Any

import pandas as pd

from workbench.claims.verdict import Reproduction
from workbench.core.errors import TrackingError
from workbench.core.plain_text import one_line
from workbench.tracking.reader import ReadVerdict, artifact, artifacts, read_verdicts
from workbench.tracking.store import Store

VERDICT = "verdict.json"
TABLE = ".csv"  # ending of the tables' files


def last_verdicts(store: Store) -> tuple[dict[str, Reproduction], list[str]]:
    """The newest verdict of every claim that can be read, by name; and what cannot be read, in words."""
    newest: dict[str, Reproduction] = {}
    doubts: list[str] = []
    for verdict in read_verdicts(store):
        name = verdict.tags.get("claim", "")
        if name in newest:
            continue
        try:
            newest[name] = read_kept(store, verdict)
        except TrackingError as error:
            doubts.append(str(error))
    return newest, doubts


def read_kept(store: Store, verdict: ReadVerdict) -> Reproduction:
    """The verdict as it was kept.

    Raises TrackingError where its file is missing or was changed.
    """
    try:
        return Reproduction.model_validate_json(artifact(store, verdict.run, VERDICT))
    except (TrackingError, ValueError) as error:
        reason, claim = str(error).splitlines()[0], one_line(verdict.tags.get("claim", "no claim"))
        raise TrackingError(
            f"verdict of {claim} in run {verdict.run}: its {VERDICT} must be as it was kept, but {reason}; measure it "
            "anew with --again, or delete the run in MLflow"
        ) from error


def kept_tables(store: Store, verdict: ReadVerdict) -> dict[str, pd.DataFrame]:
    """Read the tables that were kept with a verdict, by name."""
    plain: Any = {"keep_default_na": False, "na_values": [""], "float_precision": "round_trip"}
    return {
        name.removesuffix(TABLE): pd.read_csv(io.BytesIO(artifact(store, verdict.run, name)), **plain)
        for name in artifacts(store, verdict.run)
        if name.endswith(TABLE)
    }
