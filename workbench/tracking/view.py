"""A saved view of a sweep: MLflow's chart page with its runs averaged by arm, and the charts that matter first.

MLflow keeps such views as tags of the experiment, in a form it does not document; this file writes the form of the
versions it was seen to work with. Elsewhere nothing is saved, and links show the sweep's runs by a filter.
"""

import base64
import json
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from uuid import NAMESPACE_URL, uuid5

import mlflow
from mlflow import MlflowClient

from workbench.tracking.store import runs_filter

SEEN_WORKING = ("3.17.",)
TAG = "mlflow.sharedViewState."
LOGARITHMIC = ("loss", "grad_norm")
SECTIONS = ("valid", "train", "test", "grad_norm", "dead_rate", "saturation")


def share(client: MlflowClient, experiment_id: str, sweep: str, metrics: Iterable[str]) -> bool:
    """Save the view of one sweep under its id; False where this MLflow is not known to read it."""
    if not mlflow.__version__.startswith(SEEN_WORKING):
        return False
    now = int(time.time() * 1000)
    packed = base64.b64encode(zlib.compress(json.dumps(_state(sweep, sorted(metrics))).encode())).decode()
    view = {"name": f"sweep {sweep}", "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    client.set_experiment_tag(experiment_id, f"{TAG}{sweep}", json.dumps(view))
    return True


def _state(sweep: str, metrics: Sequence[str]) -> dict[str, object]:
    """The page's state: table, then charts."""
    scores = [f"metrics.`{name}`" for name in metrics if name.startswith("test/")]
    return {
        "searchFilter": runs_filter(sweep),
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": ["attributes.`Duration`", *scores],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "runsVisibilityMap": {},
        "viewMaximized": False,
        "runListHidden": False,
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "arm"}]},
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "autoRefreshEnabled": False,
        "compareRunSections": list(_sections(metrics)),
        "compareRunCharts": list(_charts(metrics)),
    }


def _section_of(metric: str) -> str:
    return metric.partition("/")[0]


def _identity(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"workbench:{name}"))


def _sections(metrics: Sequence[str]) -> Iterator[dict[str, object]]:
    present = {_section_of(name) for name in metrics}
    for name in [*SECTIONS, *sorted(present.difference(SECTIONS))]:
        if name in present:
            yield {
                "uuid": _identity(name),
                "name": name,
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
            }


def _charts(metrics: Sequence[str]) -> Iterator[dict[str, object]]:
    for metric in metrics:
        section = _section_of(metric)
        common = {
            "uuid": _identity(metric),
            "metricSectionId": _identity(section),
            "runsCountToCompare": 20,
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
            "selectedMetricKeys": [metric],
            "scaleType": "log" if any(word in metric for word in LOGARITHMIC) else "linear",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "selectedXAxisMetricKey": "",
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
            "useGlobalXaxisKey": False,
            "range": {},
        }
