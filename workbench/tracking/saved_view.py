"""A saved view of a sweep: MLflow's chart page with a run for each arm, and the main charts first.

MLflow stores such views as tags of the experiment, in a form it does not document; this file writes the form of the
versions that it was tested with. For other versions nothing is saved, and links show the sweep's runs by a filter.
"""

import base64
import json
import re
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

import mlflow
from mlflow import MlflowClient

from workbench.config.arms import is_number, varying_keys
from workbench.tracking.arm_runs import HIGH, LOW
from workbench.tracking.base import ARM
from workbench.tracking.store import runs_filter, runs_view

SEEN_WORKING = ("3.17.",)
TAG = "mlflow.sharedViewState."
LOGARITHMIC = ("loss", "grad_norm", "delta_norm", "delta_var", "update_ratio")
OPEN = ("valid", "train", "test", "grad_norm", "dead_rate", "saturation")  # the sections that show their charts at once
SECTIONS = (
    *(*OPEN, "params", "died", "revived", "sparsity", "act_norm", "act_mean", "act_var"),
    *("delta_norm", "delta_mean", "delta_var", "update_ratio", "weight_norm"),
)
TIMES = "diagnostics/"  # metrics of what diagnostics cost: no charts, and not known of runs that were just trained
CHARTS = 24  # of a section at most
BANDS = 4  # arms at most whose intervals are drawn beside their means
LONGEST = 20_000  # characters of an experiment's tag that MLflow takes


def is_supported() -> bool:
    """Whether this MLflow is known to read the view."""
    return mlflow.__version__.startswith(SEEN_WORKING)


@dataclass(frozen=True)
class Content:
    """Runs that a view shows: those that a filter of MLflow's search selects, or so many `arms` that stand for them."""

    wanted: str
    arms: int = 0


def share(
    client: MlflowClient,
    experiment_id: str,
    views: Mapping[str, Content],
    metrics: Collection[str],
    params: Sequence[Mapping[str, str]],
) -> None:
    """Save views by their ids; `params` are those of their runs, without those that are equal in all."""
    now, varies = int(time.time() * 1000), varying(params)
    for key, content in views.items():
        most = CHARTS
        while True:
            state = _state(content, charted(metrics, most), varies)
            packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
            view = {
                "name": f"{_named(content)} {key}",
                "createdAt": now,
                "updatedAt": now,
                "state": f"deflate;{packed}",
            }
            text = json.dumps(view)
            if len(text) <= LONGEST or most == 1:
                break
            most //= 2
        client.set_experiment_tag(experiment_id, f"{TAG}{key}", text)


def sweep_views(sweep: str, arms: int) -> dict[str, Content]:
    """Views of a sweep by id: its arms and then its runs, or these alone where it has no `arms`."""
    of_runs = Content(runs_filter(sweep))
    return {sweep: Content(runs_filter(sweep, ARM), arms), runs_view(sweep): of_runs} if arms else {sweep: of_runs}


def run_view(run: str) -> dict[str, Content]:
    """View of a run by its id."""
    return {run: Content(f"attributes.run_id = '{run}'")}


def charted(metrics: Iterable[str], most: int = CHARTS) -> list[str]:
    """The metrics that get charts, in order: at most `most` of each section, first and last included."""
    return _select(sorted((name for name in metrics if not name.startswith(TIMES)), key=_natural_order), most)


def _natural_order(metric: str) -> list[tuple[int, str]]:
    """Sort key that puts ``l10`` behind ``l9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", metric)]


def _select(metrics: Sequence[str], most: int) -> list[str]:
    """Select at most `most` metrics of each section, evenly spaced with first and last: deep nets have many charts."""
    sections: dict[str, list[str]] = {}
    for name in metrics:
        sections.setdefault(_section_of(name), []).append(name)
    chosen = {
        names[round(number * (len(names) - 1) / max(1, most - 1))] if len(names) > most else names[number]
        for names in sections.values()
        for number in range(min(most, len(names)))
    }
    return [name for name in metrics if name in chosen]


@dataclass(frozen=True)
class Varying:
    """The params that differ between the runs of a sweep, and those of them whose values are all numbers."""

    keys: Sequence[str] = ()
    numbers: Sequence[str] = ()


def varying(rows: Sequence[Mapping[str, str]]) -> Varying:
    """Find the params that differ between these rows."""
    keys = varying_keys(rows)
    return Varying(keys, [key for key in keys if all(is_number(row.get(key)) for row in rows)])


def _named(content: Content) -> str:
    return "run" if content.wanted.startswith("attributes.") else "sweep"


def _state(content: Content, metrics: Sequence[str], varies: Varying) -> dict[str, object]:
    """State of the page: table, then charts."""
    of_arms = content.arms > 0
    ends = ("", LOW, HIGH) if of_arms else ("",)
    drawn = ends if content.arms <= BANDS else ("",)
    scores = [f"metrics.`{name}{end}`" for name in metrics if name.startswith("test/") for end in ends]
    dataset = ["attributes.`Dataset`"] if "data" in varies.keys else []
    params = [f"params.`{key}`" for key in varies.keys]
    params += ["tags.`seeds`", "tags.`unfinished`"] if of_arms else ["params.`seed`"]
    return {
        "searchFilter": content.wanted,
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*dataset, "attributes.`Duration`", *scores, *params],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "SHOWALL",
        "runsVisibilityMap": {},
        "viewMaximized": False,
        "runListHidden": False,
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "groupBy": None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": False,
        "autoRefreshEnabled": False,
        "compareRunSections": list(_sections(metrics, varies.numbers)),
        "compareRunCharts": [
            *_coordinates(metrics, varies.numbers),
            *_charts(metrics, drawn),
            *_left_out(metrics, ends[1:]),
        ],
    }


def _section_of(metric: str) -> str:
    return metric.partition("/")[0]


def _identity(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"workbench:{name}"))


def _sections(metrics: Sequence[str], params: Sequence[str]) -> Iterator[dict[str, object]]:
    present = {_section_of(name) for name in metrics} | {"params" for _ in _coordinates(metrics, params)}
    for name in [*SECTIONS, *sorted(present.difference(SECTIONS))]:
        if name in present:
            yield {
                "uuid": _identity(name),
                "name": name,
                "display": name in ("params", *OPEN),
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
            }


def _coordinates(metrics: Sequence[str], params: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield parallel coordinates where several numbers vary: MLflow averages no names."""
    scores = [name for name in metrics if name.startswith("test/")]
    if len(params) > 1 and scores:
        yield {
            "type": "PARALLEL",
            "uuid": _identity("parallel"),
            "metricSectionId": _identity("params"),
            "runsCountToCompare": 100,
            "deleted": False,
            "isGenerated": False,
            "selectedParams": list(params),
            "selectedMetrics": scores[:1],
            "showAllRuns": True,
        }


def _charts(metrics: Sequence[str], ends: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield a chart for each metric, with a line for each of its `ends`."""
    for metric in metrics:
        section = _section_of(metric)
        common = {
            "uuid": _identity(metric),
            "metricSectionId": _identity(section),
            "runsCountToCompare": 100,
            "deleted": False,
            "isGenerated": False,
            "metricKey": metric,
            "displayName": metric,
        }
        if section == "test":
            yield {"type": "BAR", **common}
            continue
        yield {
            "type": "LINE",
            **common,
            "selectedMetricKeys": [f"{metric}{end}" for end in ends],
            "scaleType": "log" if {*metric.split("/")}.intersection(LOGARITHMIC) else "linear",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "selectedXAxisMetricKey": "",
            "displayPoints": False,
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
            "useGlobalXaxisKey": False,
            "range": {},
        }


def _left_out(metrics: Sequence[str], ends: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield charts that are not shown: MLflow draws one of each metric that no chart has as its own."""
    for metric in metrics:
        for end in ends:
            yield {
                "type": "BAR" if _section_of(metric) == "test" else "LINE",
                "uuid": _identity(f"{metric}{end}"),
                "metricSectionId": _identity(_section_of(metric)),
                "metricKey": f"{metric}{end}",
                "deleted": True,
                "isGenerated": True,
            }
