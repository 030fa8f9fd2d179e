"""Training on data of the user's own, from the command line to the store."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.data_files import examples
from tests.outer import Answer
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["idx", "table"])
def test_own_data_trains(cli: Callable[..., Answer], store: Store, name: str) -> None:
    """A run on a user's files stores its data's name and size, and reaches a test accuracy of 1."""
    values = [f"data.{key}={value}" for key, value in examples()[name].items()]
    answer = cli("train", f"data={name}", *values, "split.valid=0.2", "split.test=0.2", "train.epochs=40")
    assert answer.code == 0, answer.err
    client = MlflowClient(store.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'workbench'")
    (run,) = client.search_runs([experiment.experiment_id])
    (data,) = run.inputs.dataset_inputs
    known: Any = {"idx": ("idx", 60), "table": ("plain", 40)}[name]
    assert (data.dataset.name, f'"num_rows": {known[1]}' in data.dataset.profile) == (known[0], True)
    assert run.data.metrics["test/accuracy"] == 1
