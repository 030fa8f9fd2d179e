"""Arrays and functions of a user's own as options of a configuration."""

import sys
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workbench.config.compose import add_option
from workbench.config.early_checks import SUPPLIED
from workbench.config.instantiate import KINDS
from workbench.config.keywords import Option, option
from workbench.config.options import options
from workbench.config.schema import TARGET
from workbench.config.targets import parameters_of, typed_target
from workbench.core.errors import ConfigError, unknown_name
from workbench.data.datasets import Dataset
from workbench.data.files import classes_of
from workbench.tracking.store import FOLDER


def as_arrays(x: ArrayLike, y: ArrayLike, regression: bool | None = None) -> Option:
    """A data set of arrays, for ``data=as_arrays(x, y)``: inputs x [N, ...] and targets y [N] or [N, K].

    Targets are classes where they are whole numbers or texts, unless `regression` says otherwise; real ones need
    ``loss="squared_error"``. The arrays are kept in ``.workbench/data`` of the current folder, named by their digest,
    where workers and `Run.verify` find them. Raises DataError for arrays that cannot be learned.
    """
    inputs, targets = np.asarray(x), np.asarray(y)
    is_real = targets.dtype.kind == "f" if regression is None else regression
    numbers = (
        targets.astype(np.float64).reshape(len(targets), -1) if is_real else classes_of("as_arrays: y", targets)[0]
    )
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    digest = Dataset("as_arrays", flat, numbers, None).checked().digest
    file = Path(FOLDER, "data", f"{digest}.npz").absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, x=inputs, y=targets)
    return option("npz", path=str(file), task="regression" if is_real else "classification")


def register(group: str, name: str, function: Callable[..., Any]) -> None:
    """Make a function of your own an option of a group, as a file in ``conf`` would: ``activation="sine"`` then is it.

    It must stand at the top of a module, say by its annotation what it returns (`Activation`, `Initializer`, `Model`,
    `Dataset`, ...), and take its values by name; those without a default must be given where it is chosen. Raises
    ConfigError for other functions and for names that are taken, UnknownNameError for groups that there are not.
    """
    if group not in KINDS:
        raise unknown_name("register", group, KINDS)
    if name in options(group):
        raise ConfigError(f"register: {group}={name} is an option of the workbench's own; choose another name")
    target = f"{function.__module__}.{function.__qualname__}"
    if getattr(sys.modules.get(function.__module__), function.__qualname__, None) is not function:
        raise ConfigError(f"register: {target} must stand at the top of a module, where others find it; move it there")
    typed_target(group, target, KINDS[group])
    supplied = SUPPLIED.get(group, ())
    values = {
        key: "???" if parameter.default is Parameter.empty else parameter.default
        for key, parameter in parameters_of(function).items()
        if key not in supplied
    }
    add_option(group, name, {TARGET: target, **values})
