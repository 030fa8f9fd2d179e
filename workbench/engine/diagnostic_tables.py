"""The tables that diagnostics leave of each replica: life of units, histograms over time, signal at initialization."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, nan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.diagnostics.histograms import Bounds, bin_rows, frame
from workbench.diagnostics.life import Life, Mask, born, lived, unit_rows
from workbench.diagnostics.observed_step import ObservedStep
from workbench.diagnostics.signal import expected
from workbench.engine.replicas import Pack
from workbench.nn.params import WEIGHT_SUFFIX, Params

WAITING = 32  # marks

Columns = dict[str, list[Any]]
Notes = Mapping[str, Tensor]

SIGNAL = ("q_expected", "q_measured", "chi", "delta_expected", "delta_measured")


class Kind(NamedTuple):
    """What is known of a layer before training: how many units of it can die, the bounds of its a, its histograms."""

    units: int
    bounds: Bounds
    quantities: tuple[str, ...]


class Frame(NamedTuple):
    """Histograms [R, K, N] of one moment, for the `replicas` that it had."""

    step: int
    replicas: tuple[int, ...]
    counts: Tensor


def kinds(pack: Pack, params: Params) -> dict[str, Kind]:
    """Of each layer, in the order of a snapshot's signals; by a forward pass of one example."""
    x, _ = pack.data.chunk(pack.data.train, 0, 1)
    model = pack.objective.model
    _, tape = model.forward(params, x)
    active = {name for name, _, _ in model.activity(tape)}
    mortal = {one.name: (one.z.shape[2], one.activation.bounds) for one in model.units(tape)}
    names = [name.removesuffix(WEIGHT_SUFFIX) for name, _ in model.preactivations(tape)]
    return {
        name: Kind(*mortal.get(name, (0, (-inf, inf))), ("z", "a", "delta") if name in active else ("z", "delta"))
        for name in names
        if "." not in name
    }


def signal_table(snapshot: ObservedStep, pack: Pack) -> Tensor:
    """Expected beside measured, by layer: [R, L, columns of SIGNAL], NaN where there is nothing to say."""
    *_, output = snapshot.signals.values()
    of_output = output.delta_moments[1]
    by_example = output.delta.double().square().mean(2)
    theory = expected(pack.objective.model, pack.schemes, snapshot.x, by_example)
    nothing = torch.full_like(of_output, nan)
    rows = []
    for name, signal in snapshot.signals.items():
        q, chi, delta = theory.get(name, (None, None, None))
        measured = None if signal.a is None else signal.a_moments[1]
        row = (q, measured, chi, delta, signal.delta_moments[1] / of_output)
        rows.append(torch.stack([nothing if value is None else value for value in row], 1))
    return torch.stack(rows, 1)


class Tables:
    """Collects them for the `replicas` in training; those of a replica that leaves stay as they were then."""

    def __init__(self, pack: Pack, params: Params) -> None:
        self.replicas = tuple(range(len(pack)))
        self._kinds = kinds(pack, params)
        self._life: Life | None = None
        self._masks: list[Mask] = []
        self._steps: list[int] = []
        self._left: dict[int, Tensor] = {}
        self._signal: Tensor | None = None
        self._frames: tuple[Frame, ...] = ()
        self._on_device: list[Frame] = []

    def see(self, snapshot: ObservedStep, pack: Pack) -> None:
        """A moment that leaves histograms, and if it is the first step the signal."""
        if snapshot.step == 1:
            self._signal = signal_table(snapshot, pack)
        counts = torch.stack([*frame(snapshot.signals).values()], 1)
        self._on_device.append(Frame(snapshot.step, self.replicas, counts))

    def mark(self, dead: Mapping[str, Mask], step: int) -> None:
        """Dead units by layer after a step: they wait until there are many, which take as long as one."""
        self._masks.append(torch.cat([*dead.values()], 1))
        self._steps.append(step)
        if len(self._masks) == WAITING:
            self._live()

    def _live(self) -> None:
        """Let the lives go on by what waits."""
        self._life = _lived(self._life, self._masks, self._steps)
        self._masks, self._steps = [], []

    def flush(self) -> None:
        """Move to the host what it is to keep."""
        self._frames += tuple(one._replace(counts=one.counts.int().cpu()) for one in self._on_device)
        self._on_device.clear()

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with the replicas at these positions."""
        self._live()
        if self._life is not None:
            rows = self._life.rows()
            gone = [position for position in range(len(self.replicas)) if position not in positions]
            self._left |= {self.replicas[position]: rows[position].cpu() for position in gone}
            self._life = Life.of(rows[list(positions)])
        self.replicas = tuple(self.replicas[position] for position in positions)

    def notes(self) -> Callable[[], dict[str, Tensor]]:
        """What a checkpoint of this moment must hold, made when it is asked for."""
        waiting = (self._life, tuple(self._masks), tuple(self._steps))
        return partial(_tensors, waiting, dict(self._left), self._signal, self._frames)

    def restore(self, notes: Notes, replicas: tuple[int, ...], device: torch.device) -> None:
        """Go on from the notes of the same pack."""
        self.replicas = replicas
        self._life = Life.of(notes["life"].to(device)) if "life" in notes else None
        self._masks, self._steps = [], []
        self._left = {int(name[5:]): rows for name, rows in notes.items() if name.startswith("left.")}
        self._signal = notes.get("signal")
        count = sum(name.startswith("about.") for name in notes)
        abouts = [notes[f"about.{number}"].tolist() for number in range(count)]
        self._frames = tuple(
            Frame(step, tuple(own), notes[f"frame.{number}"]) for number, (step, *own) in enumerate(abouts)
        )

    def of(self, replica: int) -> dict[str, Columns]:
        """A replica's tables by name."""
        found: dict[str, Columns] = {}
        if (rows := self._life_of(replica)) is not None:
            found["unit_life"] = unit_rows(rows, {name: kind.units for name, kind in self._kinds.items() if kind.units})
        if self._frames:
            found["histograms"] = self._histograms(replica)
        if self._signal is not None:
            columns = self._signal[replica].T.tolist()
            known = [[None if value != value else value for value in column] for column in columns]
            found["signal"] = {"layer": list(self._kinds), **dict(zip(SIGNAL, known, strict=True))}
        return found

    def _life_of(self, replica: int) -> Tensor | None:
        self._live()
        if replica in self._left or self._life is None:
            return self._left.get(replica)
        return self._life.rows()[self.replicas.index(replica)]

    def _histograms(self, replica: int) -> Columns:
        keys = [(layer, quantity) for layer, kind in self._kinds.items() for quantity in kind.quantities]
        parts = [
            bin_rows(one.step, layer, quantity, self._kinds[layer].bounds, counts)
            for one in self._frames
            if replica in one.replicas
            for (layer, quantity), counts in zip(keys, one.counts[one.replicas.index(replica)].tolist(), strict=True)
        ]
        return {name: [value for part in parts for value in part[name]] for name in parts[0]} if parts else {}


def _lived(life: Life | None, masks: Sequence[Mask], steps: Sequence[int]) -> Life | None:
    return lived(life or born(masks[0]), torch.stack([*masks]), steps) if masks else life


def _tensors(
    waiting: tuple[Life | None, Sequence[Mask], Sequence[int]],
    left: Mapping[int, Tensor],
    signal: Tensor | None,
    frames: Sequence[Frame],
) -> dict[str, Tensor]:
    life = _lived(*waiting)
    found = {f"left.{replica}": rows for replica, rows in left.items()}
    if life is not None:
        found["life"] = life.rows()
    if signal is not None:
        found["signal"] = signal
    for number, one in enumerate(frames):
        found[f"frame.{number}"] = one.counts
        found[f"about.{number}"] = torch.tensor([one.step, *one.replicas])
    return found
