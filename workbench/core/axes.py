"""Axis letters, the tensor aliases built from them, and the marker for per-replica values.

| letter | axis | letter | axis |
|---|---|---|---|
| R | replicas | I | units in |
| B | samples in a batch | O | units out |
| N | samples of a data set | U | units |
| S | distinct seeds | P | numbers in one replica's flat storage |
| T | recorded steps, or positions in time | K | outputs of the model |
| *P | positions: none, time, or rows and columns | | |

Every tensor of a pack has R first, and features last. Positions stand between batch and features: [R, B, *P, U]. A
layer that treats all positions alike sees them as examples, [R, B·P, U]. A value that is one number per replica is a
tensor [R].
"""

from typing import Annotated, Any, get_args, get_origin

from annotated_types import Ge, Gt, Interval
from jaxtyping import Bool, Float, Int64
from torch import Tensor

PerReplicaTensor = Float[Tensor, " R"]
Units = Float[Tensor, "R B U"]
AtPositions = Float[Tensor, "R B *P U"]
Outputs = Float[Tensor, "R B K"]
Flags = Bool[Tensor, " R"]
Keys = Int64[Tensor, " R"]


class PerReplica:
    """Annotation of a parameter with one number per replica: a tensor [R] in a pack, one number in a config."""


PER_REPLICA = PerReplica()

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, lt=1)]
PositiveInt = Annotated[int, Ge(1)]
PositivePerReplica = Annotated[Tensor, PER_REPLICA, Gt(0)]
NonNegativePerReplica = Annotated[Tensor, PER_REPLICA, Ge(0)]
FractionPerReplica = Annotated[Tensor, PER_REPLICA, Interval(ge=0, lt=1)]


def is_per_replica(annotation: Any) -> bool:
    """Whether a parameter's annotation carries the PerReplica marker."""
    return get_origin(annotation) is Annotated and PER_REPLICA in get_args(annotation)


def per_replica(values: PerReplicaTensor, like: Tensor) -> Tensor:
    """Reshape [R] to [R, 1, ...], to broadcast over the other axes of `like` [R, ...]."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))
