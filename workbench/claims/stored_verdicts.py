"""Verdicts read back from a store, each as it was kept."""

import io
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from workbench.claims.request import SEED_OFFSET
from workbench.claims.verdict import Reproduction
from workbench.core.errors import TrackingError
from workbench.core.plain_text import one_line
from workbench.tracking.reader import ReadVerdict, artifact, artifacts, read_verdicts
from workbench.tracking.store import Store

if TYPE_CHECKING:
    import pandas as pd

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


def verdicts_by_offset(stores: Sequence[Store]) -> dict[int, dict[str, Reproduction]]:
    """The newest verdict of every claim at every seed offset, by offset and name; what cannot be read is left out.

    Only verdicts of a claim's newest version, and of the profile of its newest verdict, are comparable and taken.
    """
    read = [(verdict, store) for store in stores for verdict in read_verdicts(store)]
    chosen: dict[str, tuple[str, str]] = {}
    by_offset: dict[int, dict[str, Reproduction]] = {}
    for verdict, store in sorted(read, key=lambda pair: -pair[0].start_ms):
        tags = verdict.tags
        name, alike = tags.get("claim", ""), (tags.get("version", ""), tags.get("profile", ""))
        own = by_offset.setdefault(int(tags.get(SEED_OFFSET, 0)), {})
        if chosen.setdefault(name, alike) == alike and name not in own:
            with suppress(TrackingError):
                own[name] = read_kept(store, verdict)
    return {offset: own for offset, own in sorted(by_offset.items()) if own}


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


def kept_tables(store: Store, verdict: ReadVerdict) -> "dict[str, pd.DataFrame]":
    """Read the tables that were kept with a verdict, by name."""
    import pandas as pd

    # From 3.1 on, pandas reads every float as it was written, and warns where it is told to.
    is_exact = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    plain: Any = {"keep_default_na": False, "na_values": [""]}
    plain |= {} if is_exact else {"float_precision": "round_trip"}
    return {
        name.removesuffix(TABLE): pd.read_csv(io.BytesIO(artifact(store, verdict.run, name)), **plain)
        for name in artifacts(store, verdict.run)
        if name.endswith(TABLE)
    }
