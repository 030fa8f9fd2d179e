"""Trained networks as MLflow models."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from torch import nn

from workbench.tracking.client import connect
from workbench.tracking.sqlite import engine_uri
from workbench.tracking.store import Store
from workbench.tracking.store_errors import translating_store_errors

FORMAT = "pt2"  # a graph of tensor operations: loading it runs no pickled code


def save_model(module: nn.Module, inputs: NDArray[np.float32], folder: Path, about: Mapping[str, Any]) -> None:
    """Write an MLflow model into a new folder; `inputs` are examples to trace it with."""
    with _quiet():
        _flavor().save_model(module, folder, metadata=dict(about), **_arguments(module, inputs))


def log_model(store: Store, run: str, module: nn.Module, inputs: NDArray[np.float32], about: Mapping[str, Any]) -> str:
    """Store an MLflow model with a run that has ended; returns its address."""
    former_uri = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(engine_uri(store))
    try:
        with translating_store_errors(store), _quiet():
            client = connect(store, writing=True)
            stored = client.get_run(run)
            model = client.create_logged_model(  # else it would lie in another experiment
                stored.info.experiment_id, "model", run, params=stored.data.params, model_type="network"
            )
            logged = Model.log(
                None,
                _flavor(),
                model_id=model.model_id,
                run_id=run,
                metadata=dict(about),
                pytorch_model=module,
                **_arguments(module, inputs),
            )
    finally:
        mlflow.set_tracking_uri(former_uri)
    return str(logged.model_uri)


def _flavor() -> Any:
    return import_module("mlflow.pytorch")  # takes seconds, and warns


def _arguments(module: nn.Module, inputs: NDArray[np.float32]) -> dict[str, Any]:
    """Arguments for MLflow. Requirements are listed: otherwise MLflow would import the model in another process."""
    with torch.no_grad():
        outputs = module(torch.from_numpy(inputs)).numpy()
    input_schema, output_schema = (
        Schema([TensorSpec(array.dtype, (-1, *array.shape[1:]))]) for array in (inputs, outputs)
    )
    return {
        "signature": ModelSignature(input_schema, output_schema),
        "input_example": inputs,
        "pip_requirements": [f"{name}=={version}" for name, version in _versions().items()],
        "serialization_format": FORMAT,
    }


def _versions() -> dict[str, str]:
    return {
        "mlflow": mlflow.__version__,
        "torch": torch.__version__.partition("+")[0],
        "numpy": np.__version__,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence expected warnings of MLflow and torch."""
    loggers = [logging.getLogger(name) for name in ("mlflow.pytorch", "mlflow.models.model", "mlflow.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
