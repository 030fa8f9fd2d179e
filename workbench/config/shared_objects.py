"""Objects that the runs of a program share, made from a configuration."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from workbench.config.data_cache import data_identity, draw_split, draw_unit, load_dataset
from workbench.config.instantiate import asks_for, call
from workbench.config.options import option, options
from workbench.config.schema import RunSpec, SplitConfig
from workbench.config.values import Node
from workbench.core.errors import ConfigError
from workbench.data.batches import choose_target
from workbench.data.datasets import Dataset
from workbench.data.splits import Change, Split, inputs_as_targets
from workbench.diagnostics.plan import Diagnostics
from workbench.nn.activations import Activation
from workbench.nn.inputs import Inputs
from workbench.nn.losses import Loss, Target
from workbench.nn.model import Model
from workbench.nn.position_loss import at_positions

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _also(names: Sequence[str]) -> str:
    return f" (also possible: {', '.join(names)})" if names else ""


@dataclass(frozen=True)
class SharedObjects:
    """Objects and sizes that the runs of a program share, each made on first use.

    `spec` is the first run that was prepared; its seeds and per-replica values are not read here. A part
    that cannot be made raises ConfigError.
    """

    spec: RunSpec

    def _call(self, group: str, **given: Any) -> Any:
        return call(group, self.spec.resolved[group], **given)

    @cached_property
    def _data(self) -> str:
        return data_identity(self.spec.resolved["data"])

    @property
    def dataset(self) -> Dataset:
        """Data set, loaded once for all runs that share it; kept beside the few that were asked for last."""
        return load_dataset(self._data)

    def split(self, part: SplitConfig) -> Split:
        """Training, validation and test part that these settings draw, with the targets that are learned."""
        change = Change(part.limit, part.label_noise, part.binarize)
        drawn = draw_split(self._data, part.seed, part.valid, part.test, part.standardize, change, self.dtype)
        return inputs_as_targets(drawn) if self.learns_inputs else drawn

    def unit(self, part: SplitConfig) -> float | None:
        """Size of 1 of the real target that is learned, in the data's own unit; None where there is not one such."""
        change = Change(part.limit, part.label_noise, part.binarize)
        if self.learns_inputs:
            return None
        return draw_unit(self._data, part.seed, part.valid, part.test, part.standardize, change)

    @property
    def learns_inputs(self) -> bool:
        """Whether its runs learn to reproduce their inputs, not the data set's labels."""
        return self.spec.config.target.name == "input"

    @property
    def n_classes(self) -> int | None:
        """Number of classes that it tells apart; None for regression."""
        return None if self.learns_inputs else self.dataset.n_classes

    @property
    def dtype(self) -> torch.dtype:
        """Precision of its training."""
        return DTYPES[self.spec.config.dtype.name]

    @cached_property
    def device(self) -> torch.device:
        """Device of training; raises ConfigError where CUDA is asked for and absent."""
        name = self.spec.config.device.name
        if name == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                f"device: cuda must be available, but torch {torch.__version__} sees no CUDA device here; "
                "write device=cpu or device=auto"
            )
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(name)

    @cached_property
    def _chosen_loss(self) -> Loss:
        loss: Loss = self._call("loss")
        return loss

    @cached_property
    def loss(self) -> Loss:
        """Loss of its runs, over the targets of all positions where they have targets; raises as `target`."""
        return at_positions(self._chosen_loss) if self.target == "positions" else self._chosen_loss

    @cached_property
    def target(self) -> Target:
        """Encoding of its targets; raises ConfigError where the loss does not fit the data."""
        classes, choices = self.n_classes, self.spec.choices
        by_position = self.dataset.at_positions and not self.learns_inputs
        target = choose_target(self._chosen_loss.accepts, classes, by_position)
        if target is not None:
            return target
        kind = (f"{classes} classes" if classes else "real targets") + (" at positions" if by_position else "")
        accepts = [kind for kind in self._chosen_loss.accepts if kind != "positions"]
        source = "target=input" if self.learns_inputs else f"data={choices['data']}"
        losses = {name: call("loss", option("loss", name)) for name in options("loss")}
        fitting = [name for name, loss in losses.items() if choose_target(loss.accepts, classes, by_position)]
        fitting.sort(key=lambda name: not name.endswith("_nll"))  # likelihood first, where there is one
        raise ConfigError(
            f"loss: {choices['loss']} needs {' or '.join(accepts)} targets, but {source} has {kind}; "
            f"write loss={fitting[0]}{_also(fitting[1:])}"
        )

    @cached_property
    def model(self) -> Model:
        """Architecture with the input and output sizes of the data.

        Raises ConfigError where it cannot learn: no gradient passes a unit step, and one example has no batch
        statistics.
        """
        choices, node = self.spec.choices, self.spec.resolved["architecture"]
        activation: Activation = self._call("activation")
        self._check_kind()
        model = self._built(node)
        if (
            activation.max_slope == 0
            and asks_for("architecture", node, "activation")
            and len(list(model.products())) > 1
        ):
            raise ConfigError(
                f"activation: must have a slope, but f' of {choices['activation']} is 0 everywhere: no gradient "
                "reaches the layers below it; write activation=sigmoid, or train one such neuron by the perceptron "
                "rule with architecture=perceptron loss=perceptron"
            )
        if model.least_batch > 1 and self.inputs.padding is not None:
            raise ConfigError(
                f"norm: {choices['norm']} takes its statistics over the batch, and would count the padding of "
                f"data={choices['data']}; write norm=layer or norm=none"
            )
        batch_size = self.spec.config.train.batch_size
        if batch_size < model.least_batch:
            raise ConfigError(
                f"train.batch_size: must be at least {model.least_batch} for norm={choices['norm']}, whose statistics "
                f"are those of the batch, got {batch_size}; write train.batch_size=32 or norm=layer"
            )
        return model

    def _built(self, node: Node) -> Model:
        """Build an architecture for the data and the target; raises ConfigError where it does not take them."""
        n_in, n_real = self.dataset.x.shape[1], self.dataset.y.shape[-1]
        real = n_in if self.learns_inputs else n_real
        model: Model = call(
            "architecture",
            node,
            n_in=n_in,
            n_out={"binary": 1, "real": real}.get(self.target, self.n_classes),
            activation=self._call("activation"),
            norm=self._call("norm"),
            inputs=self.inputs,
            per_position=self.target == "positions",
        )
        return model

    @property
    def inputs(self) -> Inputs:
        """Inputs of the net: those of the data, with one token more where a language model hides others by it."""
        inputs, pretraining = self.dataset.inputs, self.spec.resolved["pretraining"]
        if inputs.vocabulary is None or not asks_for("pretraining", pretraining, "masked"):
            return inputs
        return replace(inputs, vocabulary=inputs.vocabulary + 1)

    def _check_kind(self) -> None:
        """Raise ConfigError where the data are tokens and the architecture takes features, or learns its inputs."""
        choices = self.spec.choices
        if self.dataset.vocabulary is None:
            return
        if self.learns_inputs:
            raise ConfigError(
                f"target: input must be features, but data={choices['data']} has tokens; write target=label"
            )
        if not self._has_positions:
            fitting = list(filter(self._fits, options("architecture")))
            raise ConfigError(
                f"architecture: {choices['architecture']} takes features, but data={choices['data']} has tokens; "
                f"write architecture={fitting[-1]}{_also(fitting[:-1])}"
            )

    def _fits(self, architecture: str) -> bool:
        """Whether an architecture is for nets of positions, and takes these inputs."""
        node = option("architecture", architecture)
        with suppress(ConfigError):
            return asks_for("architecture", node, "inputs") and bool(self._built(node))
        return False

    @property
    def _has_positions(self) -> bool:
        return asks_for("architecture", self.spec.resolved["architecture"], "inputs")

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """Diagnostics that are measured while its runs train."""
        diagnostics: Diagnostics = self._call("diagnostics")
        return diagnostics
