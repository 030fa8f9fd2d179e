"""Processor times of functions and of training steps, taken in processes of their own.

What a process is lucky with (the place of its memory, the cache, the clock) lasts as long as it does, and rounds in one
process all share it. One process gives one number: ln of the ratio of two medians over calls that take turns.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import numpy as np
import torch

import workbench as wb
from workbench.claims.catalog import choose
from workbench.core.errors import ConfigError
from workbench.engine.threads import one_thread
from workbench.nn.activations import Activation

UNITS = ("relu", "tanh", "sigmoid")
CALLS, DESCENTS, STEPS = 100, 6, 20
WIDTHS = (64, 256)
Work = Mapping[str, Callable[[], object]]
Ratios = dict[str, dict[str, float]]


def in_processes(count: int, draw: int) -> list[Ratios]:
    """ln of each unit's time over ReLU's, of functions and of steps by width: one after another, `count` processes.

    Process number i draws its inputs and weights from the seed draw + i. Raises ConfigError where one fails.
    """
    return [_of_process(draw + number) for number in range(count)]


def _of_process(draw: int) -> Ratios:
    command = [sys.executable, "-m", __name__, str(draw)]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    if done.returncode:
        raise ConfigError(f"claim relu_speed: a process that takes times must end well, got: {done.stderr[-500:]}")
    found: Ratios = json.loads(done.stdout)
    return found


def ratios(draw: int) -> Ratios:
    """The numbers of one process, this one."""
    study = wb.Study(choose(["relu_speed"])[0], {})
    z = torch.tensor(np.random.default_rng(draw).normal(size=(64, 32, 64)), dtype=torch.float32)
    functions = {unit: partial(both, study.activation(unit), z) for unit in UNITS}
    found = {"functions": compared(functions, CALLS)}
    for width in WIDTHS:
        sizes = f"architecture.hidden=[{width},{width},{width}]", "split.test=0.88"
        packs = {unit: study.pack(f"activation={unit}", *sizes, seeds=[draw, draw + 1]) for unit in UNITS}
        steps = {unit: partial(study.descend, pack, STEPS) for unit, pack in packs.items()}
        found[str(width)] = compared(steps, DESCENTS)
    return found


def both(f: Activation, z: torch.Tensor) -> torch.Tensor:
    """f and f' of all z."""
    return f.derivative(z, f.forward(z))


def compared(work: Work, calls: int) -> dict[str, float]:
    """ln of each median time over that of the first; calls take turns, whose order rotates, after one that warms up."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for number in range(-1, calls):
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            start = time.process_time()
            work[name]()
            spent[name] += [time.process_time() - start] * (number >= 0)
    first, *others = names
    return {name: float(np.log(median(spent[name]) / median(spent[first]))) for name in others}


if __name__ == "__main__":
    with one_thread():
        print(json.dumps(ratios(int(sys.argv[1]))))
