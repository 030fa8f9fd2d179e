"""Bodies of language models that were trained before in this process, by the text of all that determines them.

A sweep over numbers of labels, learning rates or tasks trains each body once: the runs after the first take its
parameters, and the losses that it had on the way.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time

from torch import Tensor

from workbench.engine.history import Record
from workbench.nn.params import Params

MOST_BYTES = 2**28


@dataclass(frozen=True)
class TrainedBody:
    """Parameters of a body by name, without a replica axis, and the metrics of each record of its training."""

    params: Mapping[str, Tensor]
    course: Sequence[Mapping[str, float]]

    @property
    def bytes(self) -> int:
        """Memory of the parameters."""
        return sum(values.nbytes for values in self.params.values())


_trained: OrderedDict[str, TrainedBody] = OrderedDict()


def trained_bodies(texts: Sequence[str]) -> list[TrainedBody]:
    """Bodies with these texts, in their order; empty unless all of them have been trained."""
    if not all(text in _trained for text in texts):
        return []
    for text in texts:
        _trained.move_to_end(text)
    return [_trained[text] for text in texts]


def untrained(texts: Sequence[str]) -> list[int]:
    """Position of the first replica of each text whose body has not been trained."""
    return [position for position, text in enumerate(texts) if text not in _trained and texts.index(text) == position]


def keep_trained(texts: Sequence[str], params: Params, records: Sequence[Record]) -> None:
    """Keep the bodies of all replicas, with the records of their training; the oldest make room."""
    for row, text in enumerate(texts):
        course = [{name: several[row] for name, several in record.metrics.items()} for record in records]
        _trained[text] = TrainedBody({name: values[row].clone() for name, values in params.items()}, course)
    while sum(body.bytes for body in _trained.values()) > MOST_BYTES:
        _trained.popitem(last=False)


def records_of(bodies: Sequence[TrainedBody], replicas: tuple[int, ...], steps: int) -> list[Record]:
    """Records of the training of these bodies, in which an epoch has so many steps."""
    now = int(time() * 1000)
    rows = zip(*(body.course for body in bodies), strict=True)
    return [
        Record(epoch * steps, epoch, now, replicas, {name: [one[name] for one in row] for name in row[0]})
        for epoch, row in enumerate(rows)
    ]


def forget_trained() -> None:
    """Drop all bodies."""
    _trained.clear()
