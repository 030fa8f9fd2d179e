"""Specification map of a claim: its deciding cell at other data, widths, budgets and optimizers.

specifications:
  part: hurts                         # and the cell of it that is measured anew
  cell: {unit: sigmoid, depth: 3}
  width: [32, 16, 64]                 # of each list the first is the claim's own
  epochs: [15, 4, 60]
  batch: [32]
  optimizer: [sgd, momentum, adam]
  learning_rates: {sgd: [0.03, 0.1, 0.3, 1.0]}

Every combination is a specification (Simonsohn, Simmons and Nelson 2020, "Specification curve analysis"). A profile
says with `specifications: 16` how many seeds judge each; without this key it measures no map.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from workbench.claims.evidence import Coordinate
from workbench.claims.judgments import FrozenModel

MAP = "specifications"  # a profile's key, and the name of the table
SETTINGS = ("data", "width", "epochs", "batch", "optimizer")  # columns of the table
LEAST_RATES = 3  # of an optimizer; the grid is extended where the best is at an end
OPTIMIZERS = {
    "sgd": ["optimizer=sgd", "optimizer.momentum=0.0"],
    "momentum": ["optimizer=sgd", "optimizer.momentum=0.9"],
    "adam": ["optimizer=adam"],
}
RATES = {"sgd": [0.03, 0.1, 0.3, 1.0], "momentum": [0.01, 0.03, 0.1, 0.3], "adam": [0.001, 0.003, 0.01, 0.03]}
PICTURES = [  # 448 for training, half as many as of the digits, drawn by each seed from 7,000; MNIST's as 14 x 14
    *("data=idx", "data.official_test=false", "data.images=7000", "data.pool=2"),
    *("split.limit=448", "split.valid=0.03", "split.test=0.1"),
]


class Specification(NamedTuple):
    """One combination: its place in the map, the overrides that lead there, and the learning rates to try."""

    at: dict[str, Coordinate]
    overrides: list[str]
    rates: list[float]


class Specifications(FrozenModel):
    """A cell of a part, and by what it is varied; of each list the first is the claim's own.

    `overrides` and `learning_rates` are those of the optimizers by name, where they are not the usual ones; `pictures`
    are the overrides for a folder of pictures that the user names, without which the only data are the claim's own.
    """

    part: str
    cell: dict[str, Coordinate] = Field(default_factory=dict)
    width: list[int] = Field(min_length=1)
    epochs: list[int] = Field(min_length=1)
    batch: list[int] = Field(min_length=1)
    optimizer: list[str] = Field(default_factory=lambda: [*OPTIMIZERS], min_length=1)
    overrides: Annotated[dict[str, list[str]], AfterValidator(OPTIMIZERS.__or__)] = Field({}, validate_default=True)
    learning_rates: Annotated[dict[str, list[float]], AfterValidator(RATES.__or__)] = Field({}, validate_default=True)
    tuning_seeds: int = Field(4, ge=1)
    pictures: list[str] = Field(default_factory=lambda: [*PICTURES])

    @model_validator(mode="after")
    def _complete(self) -> "Specifications":
        for name in self.optimizer:
            rates = self.learning_rates.get(name, [])
            if name not in self.overrides or len(rates) < LEAST_RATES or sorted(set(rates)) != rates:
                raise ValueError(
                    f"optimizer {name} must have overrides, and learning_rates of at least {LEAST_RATES}, rising"
                )
        return self

    @property
    def chosen(self) -> list[str]:
        """All overrides that a specification may have."""
        return [*self.pictures, *(line for name in self.optimizer for line in self.overrides[name])]

    def each(self, data: Mapping[str, Sequence[str]]) -> Iterator[Specification]:
        """Every specification, that of the claim itself first; `data` are the overrides of data sets by name."""
        for values in product(data, self.width, self.epochs, self.batch, self.optimizer):
            name, _, epochs, batch, optimizer = values
            budget = f"train.epochs={epochs}", f"train.batch_size={batch}"
            overrides = [*data[name], *self.overrides[optimizer], *budget]
            yield Specification(dict(zip(SETTINGS, values, strict=True)), overrides, self.learning_rates[optimizer])
