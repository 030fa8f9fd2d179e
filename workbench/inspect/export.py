"""A trained run as a model that needs nothing of the workbench: raw inputs in, the network's output out.

The network is traced through its own layers into torch's `ExportedProgram` (a ``.pt2`` file: a graph of operations on
tensors with its weights, no pickled code), between the scaling of its inputs and, for regression, that of its outputs.
It is stored as an MLflow pytorch model with a signature, which ``mlflow.pyfunc.load_model`` loads.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from workbench.config.prepare import prepare
from workbench.config.schema import RunSpec
from workbench.core.errors import ConfigError
from workbench.data.datasets import Array
from workbench.data.splits import Change, fill_values
from workbench.engine.replicas import Pack
from workbench.nn.layers.base import EVALUATION
from workbench.nn.params import Params

EXAMPLES = 4  # in the traced batch; any other number may come later


@dataclass(frozen=True)
class Scaling:
    """scaled = (raw - shift) / scale, for each feature."""

    shift: Array
    scale: Array


class Standalone(nn.Module):
    """Raw inputs [B, I] in float32 -> the output activation [B, O], for regression in the data's own unit.

    Without a scaling of inputs they are tokens [B, T] in int64. With `fill` [I], NaN among the inputs is filled as
    blanks were in training.
    """

    def __init__(
        self, pack: Pack, params: Params, inputs: Scaling | None, outputs: Scaling | None, fill: Array | None = None
    ) -> None:
        super().__init__()
        self.objective, self.names = pack.objective, list(params)
        for number, name in enumerate(self.names):
            self.register_buffer(f"p{number}", params[name][:1].detach().cpu().clone())
        self.takes_tokens = inputs is None
        self.scales_back, self.fills = outputs is not None, fill is not None
        if fill is not None:
            self.register_buffer("x_fill", torch.tensor(fill, dtype=torch.float64))
        for key, of in (("x", inputs), ("y", outputs or inputs)):
            for part in ("shift", "scale") if of else ():
                self.register_buffer(f"{key}_{part}", torch.tensor(getattr(of, part), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Fill, scale, forward pass, output activation, scale back."""
        params = {name: self.get_buffer(f"p{number}") for number, name in enumerate(self.names)}
        inputs = x.long() if self.takes_tokens else self._scaled(x)
        z, _ = self.objective.model.forward(params, inputs.unsqueeze(0), EVALUATION)
        a: Tensor = self.objective.loss.predict(z)[0]
        if self.scales_back:
            a = a.double() * self.get_buffer("y_scale") + self.get_buffer("y_shift")
        return a.float()

    def _scaled(self, x: Tensor) -> Tensor:
        shift, scale = self.get_buffer("x_shift"), self.get_buffer("x_scale")
        known = torch.where(x.isnan(), self.get_buffer("x_fill"), x.double()) if self.fills else x.double()
        return ((known - shift) / scale).to(self.get_buffer("p0").dtype)


def standalone(spec: RunSpec, pack: Pack, params: Params) -> tuple[Standalone, Array, Array]:
    """Make the model of a run; returns it with raw test inputs [N, I] and their targets.

    Raises ConfigError where the scaling of the inputs is not linear, so that the model cannot take them raw.
    """
    shared, part = prepare(spec), spec.config.split
    raw, ours = shared.split(replace(part, standardize=False)), shared.split(part)
    inputs = None if shared.dataset.vocabulary else _scaling(raw.train.x, ours.train.x)
    is_real = pack.data.n_classes is None
    outputs = inputs if shared.learns_inputs else _scaling(raw.train.y, ours.train.y) if is_real else None
    change = Change(part.limit, part.label_noise, part.binarize)
    fill = fill_values(shared.dataset, part.seed, part.valid, part.test, change)
    return Standalone(pack, params, inputs, outputs, fill).eval(), raw.test.x, raw.test.y


def _scaling(raw: Array, scaled: Array) -> Scaling:
    """Scaling of each feature, from its least and its largest value; a constant feature is shifted alone.

    Raises ConfigError where the scaling is not linear.
    """
    low, high = raw.argmin(0), raw.argmax(0)
    columns = np.arange(raw.shape[1])
    span = raw[high, columns] - raw[low, columns]
    spread = scaled[high, columns] - scaled[low, columns]
    scale = np.where((span > 0) & (spread > 0), span / np.where(spread > 0, spread, 1.0), 1.0)
    shift = raw[low, columns] - scale * scaled[low, columns]
    if not np.allclose((raw - shift) / scale, scaled, rtol=1e-6, atol=1e-6):
        raise ConfigError("export: inputs must be scaled by a line each, but this run's are not (split.binarize?)")
    return Scaling(shift, scale)
