"""Numbers that a forward pass holds, from shapes alone: on torch's device without memory."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.nn.initializers import Scheme, constant_weights
from workbench.nn.initializers import constant as constant_bias
from workbench.nn.inputs import Inputs
from workbench.nn.model import Model
from workbench.nn.params import Params

META = torch.device("meta")


def activation_numbers(model: Model, inputs: Inputs, constants: dict[str, float]) -> int:
    """Count the numbers that the tape of one example holds, its inputs and outputs included.

    Raises ShapeError where layers do not fit each other or the inputs: nothing is computed.
    """
    scheme = Scheme(constant_weights(), constant_bias(), constants)
    params = Params.stack([model.init(0, scheme)], torch.float32, META, [model.buffers(scheme)])
    x = example_of(inputs)
    z, tape = model.forward(params, x)
    held = {tensor.untyped_storage()._cdata: tensor.numel() for tensor in (x, z, *_tensors(tape))}
    return sum(held.values())


def example_of(inputs: Inputs) -> Tensor:
    """An example [1, 1, I] without memory."""
    dtype = torch.float32 if inputs.vocabulary is None else torch.int64
    size = inputs.size if inputs.kind == "picture" else inputs.shape[-1]
    return torch.zeros(1, 1, size, dtype=dtype, device=META)


def n_trained(model: Model, constants: dict[str, float]) -> int:
    """Count a replica's trained parameters."""
    scheme = Scheme(constant_weights(), constant_bias(), constants)
    return sum(values.numel() for values in model.init(0, scheme).values())


def _tensors(tape: Any) -> Iterator[Tensor]:
    if isinstance(tape, Tensor):
        yield tape
    elif isinstance(tape, tuple | list):
        for inner in tape:
            yield from _tensors(inner)
    elif is_dataclass(tape):
        for field in fields(tape):
            yield from _tensors(getattr(tape, field.name))
