"""Tables of diagnostics for each replica: life of units, histograms over time, signal at initialization."""

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

WAITING = 32  # marks collected before they are processed together

Columns = dict[str, list[Any]]
Notes = Mapping[str, Tensor]

SIGNAL = ("q_expected", "q_measured", "chi", "delta_expected", "delta_measured")


class Kind(NamedTuple):
    """Facts of a layer before training: number of units that can die, bounds of its a, quantities with histograms."""

    units: int
    bounds: Bounds
    quantities: tuple[str, ...]


class Frame(NamedTuple):
    """Histograms [R, K, BINS] of one moment, K by (layer, quantity), for the `replicas` in training then."""

    step: int
    replicas: tuple[int, ...]
    counts: Tensor


def kinds(pack: Pack, params: Params) -> dict[str, Kind]:
    """Determine the kind of each layer, in the order of an observed step's signals, by passing one example forward."""
    x, _ = pack.data.chunk(pack.data.train, 0, 1)
    model = pack.objective.model
    _, tape = model.forward(params, x)
    active = {name for name, _, _ in model.activity(tape)}
    mortal = {units.name: (units.z.shape[2], units.activation.bounds) for units in model.units(tape)}
    names = [name.removesuffix(WEIGHT_SUFFIX) for name, _ in model.preactivations(tape)]
    return {
        name: Kind(*mortal.get(name, (0, (-inf, inf))), ("z", "a", "delta") if name in active else ("z", "delta"))
        for name in names
        if "." not in name
    }


def signal_table(snapshot: ObservedStep, pack: Pack) -> Tensor:
    """Compare expected and measured signals: [R, L, columns of SIGNAL], NaN where theory or activation is missing."""
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
    """Collects the tables of the `replicas` in training; the tables of a replica that leaves end there."""

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
        """Record the histograms of a moment, and the signal if it is the first step."""
        if snapshot.step == 1:
            self._signal = signal_table(snapshot, pack)
        counts = torch.stack([*frame(snapshot.signals).values()], 1)
        self._on_device.append(Frame(snapshot.step, self.replicas, counts))

    def mark(self, dead: Mapping[str, Mask], step: int) -> None:
        """Record the dead units by layer after a step; masks are processed in batches, which take as long as one."""
        self._masks.append(torch.cat([dead[layer] for layer in self._kinds if layer in dead], 1))
        self._steps.append(step)
        if len(self._masks) == WAITING:
            self._process_marks()

    def _process_marks(self) -> None:
        """Update the lives of units by the collected marks."""
        self._life = _lived(self._life, self._masks, self._steps)
        self._masks, self._steps = [], []

    def flush(self) -> None:
        """Move the histograms to the host."""
        self._frames += tuple(moment._replace(counts=moment.counts.int().cpu()) for moment in self._on_device)
        self._on_device.clear()

    def select(self, positions: Sequence[int]) -> None:
        """Continue with the replicas at these positions."""
        self._process_marks()
        if self._life is not None:
            rows = self._life.rows()
            gone = [position for position in range(len(self.replicas)) if position not in positions]
            self._left |= {self.replicas[position]: rows[position].cpu() for position in gone}
            self._life = Life.of(rows[list(positions)])
        self.replicas = tuple(self.replicas[position] for position in positions)

    def notes(self) -> Callable[[], dict[str, Tensor]]:
        """Return a function that makes the tensors of a checkpoint of this moment; training does not change them."""
        waiting = (self._life, tuple(self._masks), tuple(self._steps))
        return partial(_tensors, waiting, dict(self._left), self._signal, self._frames)

    def restore(self, notes: Notes, replicas: tuple[int, ...], device: torch.device) -> None:
        """Continue from the notes of the same pack."""
        self.replicas = replicas
        self._life = Life.of(notes["life"].to(device)) if "life" in notes else None
        self._masks, self._steps = [], []
        self._left = {int(name[5:]): rows for name, rows in notes.items() if name.startswith("left.")}
        self._signal = notes.get("signal")
        count = sum(name.startswith("about.") for name in notes)
        abouts = [notes[f"about.{number}"].tolist() for number in range(count)]
        self._frames = tuple(
            Frame(step, tuple(trained), notes[f"frame.{number}"]) for number, (step, *trained) in enumerate(abouts)
        )

    def of(self, replica: int) -> dict[str, Columns]:
        """Return a replica's tables by name."""
        tables: dict[str, Columns] = {}
        if (rows := self._life_of(replica)) is not None:
            layers = {name: kind.units for name, kind in self._kinds.items() if kind.units}
            tables["unit_life"] = unit_rows(rows, layers)
        if self._frames:
            tables["histograms"] = self._histograms(replica)
        if self._signal is not None:
            columns = self._signal[replica].T.tolist()
            known = [[None if value != value else value for value in column] for column in columns]
            tables["signal"] = {"layer": list(self._kinds), **dict(zip(SIGNAL, known, strict=True))}
        return tables

    def _life_of(self, replica: int) -> Tensor | None:
        self._process_marks()
        if replica in self._left or self._life is None:
            return self._left.get(replica)
        return self._life.rows()[self.replicas.index(replica)]

    def _histograms(self, replica: int) -> Columns:
        keys = [(layer, quantity) for layer, kind in self._kinds.items() for quantity in kind.quantities]
        parts = [
            bin_rows(moment.step, layer, quantity, self._kinds[layer].bounds, counts)
            for moment in self._frames
            if replica in moment.replicas
            for (layer, quantity), counts in zip(
                keys, moment.counts[moment.replicas.index(replica)].tolist(), strict=True
            )
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
    tensors = {f"left.{replica}": rows for replica, rows in left.items()}
    if life is not None:
        tensors["life"] = life.rows()
    if signal is not None:
        tensors["signal"] = signal
    for number, moment in enumerate(frames):
        tensors[f"frame.{number}"] = moment.counts
        tensors[f"about.{number}"] = torch.tensor([moment.step, *moment.replicas])
    return tensors
