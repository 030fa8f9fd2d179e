"""What the page shows of a pack between two steps; training does not depend on it.

The net is evaluated on a board of probes: for two features a grid over the plane, else examples of each class, a row
for each. A unit's picture is its a on the board.
"""

from base64 import b64encode
from typing import Any

import torch
from torch import Tensor

from workbench.config.prepare import prepare
from workbench.data.batches import DataPart
from workbench.diagnostics.observed_step import Signal, norms, signals_of
from workbench.diagnostics.signal import expected
from workbench.diagnostics.units import count
from workbench.engine.evaluate import measure
from workbench.nn.layers.base import Mode, Recorder
from workbench.nn.params import Params
from workbench.play.training import Training

SIDE, COARSE = 48, 3  # probes along an axis of the plane, of which a unit's picture has every third
PER_CLASS = 10
MARGIN = 1.15
MOST_POINTS, MOST_UNITS = 400, 16  # that are drawn; units of each layer
SIGNAL_EXAMPLES = 256
SATURATED = 0.9  # share of the training examples on which a saturated unit has less than 5 % of its largest slope


class Views:
    """Pictures and numbers of a training."""

    def __init__(self, training: Training) -> None:
        self._training = training
        pack = training.trainer.pack
        self._replicas, self._model, self._data = len(pack), pack.objective.model, pack.data
        self._planar = self._data.train.x.ndim == 3 and self._data.train.x.shape[2] == 2
        self._grads = Params.zeros(training.trainer.params.layout.trained, len(pack), training.trainer.params.flat)
        standardized = training.specs[0].config.split.standardize
        largest = float(self._data.train.x.abs().max())
        self.extent = MARGIN * largest if standardized else max(1.0, largest)
        self._probes, self._shape = self._plane() if self._planar else _examples(self._data.train)

    def _plane(self) -> tuple[Tensor, tuple[int, int]]:
        """A grid over the square of ± extent, rows from the top: [1, P, 2]."""
        axis = torch.linspace(-self.extent, self.extent, SIDE).to(self._data.train.x)
        y, x = torch.meshgrid(-axis, axis, indexing="ij")
        return torch.stack([x, y], -1).view(1, -1, 2), (SIDE, SIDE)

    def about(self) -> dict[str, Any]:
        """Return what stays while the pack trains: the data, the layers, and theory's signals at initialization."""
        part, training = self._data.train, self._training
        signals = self._signals()
        *_, output = signals.values()
        by_example = output.delta.double().square().mean(2)
        x, _ = self._data.chunk(part, 0, SIGNAL_EXAMPLES)
        theory = expected(self._model, training.trainer.pack.schemes, x, by_example)
        q = [None if name not in theory else theory[name].q for name in signals]
        delta = [theory[name].delta if name in theory else None for name in signals]
        return {
            "board": "plane" if self._planar else "examples",
            "shape": self._shape,
            "classes": self._data.n_classes,
            "extent": self.extent,
            "points": _points(part) if self._planar else [],
            "examples": None if self._planar else self._pictures_of_examples(),
            "perEpoch": training.trainer.steps_per_epoch,
            "layers": list(signals),
            "theory": {"q": [_mean(row) for row in q], "delta": [_mean(row) for row in delta]},
            "parameters": training.trainer.params.layout.n_trained,
        }

    def _pictures_of_examples(self) -> dict[str, Any] | None:
        """Gray values of the probes, where they are square pictures."""
        dataset, pixels = prepare(self._training.specs[0]).dataset, self._probes[0].flatten(1)
        side = round(pixels.shape[1] ** 0.5)
        if not dataset.same_unit or side * side != pixels.shape[1]:
            return None
        low, high = pixels.min(), pixels.max()
        return {"side": side, "pixels": _bytes((pixels - low) / (high - low))}

    def frame(self, chosen: int, numbers: bool = True) -> dict[str, Any]:
        """Return what changes: pictures of the seed at position `chosen` and, with `numbers`, numbers of all seeds."""
        training = self._training
        pictures = {
            "step": training.steps,
            "epoch": training.steps / training.trainer.steps_per_epoch,
            **self._pictures(chosen),
        }
        return {**pictures, **self._numbers(chosen)} if numbers else pictures

    def _numbers(self, chosen: int) -> dict[str, Any]:
        """Losses and rates of all seeds, signals by layer, and which units of the chosen seed are dead or saturated."""
        trainer, part = self._training.trainer, self._data.train
        metrics, _ = measure(trainer.pack.objective, trainer.params, self._data, part, units=True)
        rates = [values for name, values in metrics.items() if name.startswith("dead_rate/")]
        dead_nets = torch.stack(rates).eq(1).any(0).sum() if rates else torch.tensor(0)
        states = self._states(chosen)
        return {
            "loss": _finite(metrics["loss"]),
            "accuracy": _finite(metrics["accuracy"]),
            "deadNets": int(dead_nets),
            "deadUnits": sum(sum(state["dead"]) for state in states.values()),
            "allUnits": sum(len(state["dead"]) for state in states.values()),
            "states": states,
            "signals": self._by_layer(chosen),
        }

    def _pictures(self, chosen: int) -> dict[str, Any]:
        """Decisions on the board, and each unit's response there."""
        trainer = self._training.trainer
        loss = trainer.pack.objective.loss
        z, tape = self._model.forward(trainer.params, self._probes.expand(self._replicas, *self._probes.shape[1:]))
        winners = loss.winner(z)
        outputs = loss.predict(z[chosen : chosen + 1])[0]
        sure = outputs.gather(1, winners[chosen, :, None])[:, 0] if outputs.shape[1] > 1 else _either(outputs[:, 0])
        agree = (winners == winners[chosen]).to(z.dtype).mean(0)
        flat = winners[chosen].to(torch.uint8)
        return {
            "map": {"classes": _encoded(flat), "sure": _bytes(sure), "agree": _bytes(agree)},
            "units": [
                {"name": name, "count": a.shape[2], **self._responses(a[chosen])}
                for name, _, a in self._model.activity(tape)
                if "." not in name and a.shape[1] == winners.shape[1]
            ],
        }

    def _responses(self, a: Tensor) -> dict[str, Any]:
        """Pictures of a [P, U] of a layer, as bytes around 128, on one scale for the layer."""
        board = a[:, :MOST_UNITS].T.reshape(-1, *self._shape)
        if self._planar:
            board = board[:, COARSE // 2 :: COARSE, COARSE // 2 :: COARSE]
        scale = a.abs().max().clamp(min=1e-12)
        return {"pictures": _bytes(0.5 + board / scale / 2), "largest": float(scale)}

    def _states(self, chosen: int) -> dict[str, dict[str, list[bool]]]:
        """Which units of the chosen seed are dead or saturated on its training examples, by layer."""
        trainer = self._training.trainer
        params = trainer.params.with_flat(trainer.params.flat[chosen : chosen + 1])
        x = self._data.train.x[int(self._data.split_of[chosen])].unsqueeze(0)
        states = {}
        for units in self._model.units(self._model.forward(params, x)[1]):
            counts = count(units.activation, units.slope())
            flat = torch.zeros_like(counts.dead) if counts.flat is None else counts.flat >= SATURATED * counts.examples
            states[units.name] = {
                "dead": counts.dead[0].tolist(),
                "saturated": (flat & ~counts.dead)[0].tolist(),
            }
        return {name: state for name, state in states.items() if "." not in name}

    def _signals(self) -> dict[str, Signal]:
        """Pass the first training examples forward and back, as a step would; leaves parameters and buffers."""
        trainer, recorder = self._training.trainer, Recorder()
        objective = trainer.pack.objective
        x, y = self._data.chunk(self._data.train, 0, SIGNAL_EXAMPLES)
        keys = trainer.pack.mode(self._training.steps).keys
        z, recorder.tape = self._model.forward(trainer.params, x, Mode(training=True, keys=keys))
        _, delta = objective.loss.value_and_delta(z, y)
        self._model.backward(trainer.params, recorder.tape, delta, self._grads, need_grad_in=False, recorder=recorder)
        return signals_of(self._model, recorder, x.shape[1])

    def _by_layer(self, chosen: int) -> dict[str, list[list[float | None]]]:
        """Least, median and largest of the seeds, and the chosen seed's, for each layer [L, 4]: q, delta, gradient.

        q is the mean of a², delta the mean of delta² over that of the output layer, both square roots; gradient the
        norm of dJ/d(W, b).
        """
        signals = self._signals()
        *_, output = signals.values()
        gradients = norms(self._grads)
        missing = torch.full_like(output.delta_moments[1], torch.nan)
        q = [missing if signal.a is None else signal.a_moments[1] for signal in signals.values()]
        delta = [signal.delta_moments[1] / output.delta_moments[1] for signal in signals.values()]
        grad = [gradients[name].double() for name in signals]
        rows = _spread([*(row.sqrt() for row in (*q, *delta)), *grad], chosen)
        count = len(signals)
        return {"q": rows[:count], "delta": rows[count : 2 * count], "grad": rows[2 * count :]}


def _examples(part: DataPart) -> tuple[Tensor, tuple[int, int]]:
    """Pick the first examples of each class, class by class: [1, P, ...]."""
    labels = part.labels[0]
    classes = int(labels.max()) + 1
    rows = [(labels == number).nonzero()[:PER_CLASS, 0] for number in range(classes)]
    columns = min(map(len, rows))
    picked = torch.cat([row[:columns] for row in rows])
    return part.x[:1, picked], (classes, columns)


def _points(part: DataPart) -> list[list[float]]:
    """Training examples [x, y, class] that are drawn."""
    pairs = zip(part.x[0, :MOST_POINTS].tolist(), part.labels[0, :MOST_POINTS].tolist(), strict=True)
    return [[round(x, 4), round(y, 4), label] for (x, y), label in pairs]


def _either(p: Tensor) -> Tensor:
    """Probability of the likelier of two classes, from that of the second."""
    return torch.maximum(p, 1 - p)


def _spread(rows: list[Tensor], chosen: int) -> list[list[float | None]]:
    """Least, median, largest over replicas and the chosen one's, for each layer."""
    table = torch.stack(rows).double()
    table = table.where(table.isfinite(), torch.nan)
    quantiles = torch.nanquantile(table, table.new_tensor([0.0, 0.5, 1.0]), dim=1).T
    return [_finite(row) for row in torch.cat([quantiles, table[:, chosen : chosen + 1]], 1)]


def _mean(row: Tensor | None) -> float | None:
    """Square root of the mean over replicas; None where theory has none."""
    return None if row is None or bool(row.isnan().any()) else float(row.mean().sqrt())


def _finite(row: Tensor) -> list[float | None]:
    """Numbers for JSON, with None where one is not finite, to six digits."""
    return [float(f"{value:.6g}") if abs(value) < float("inf") else None for value in row.tolist()]


def _bytes(share: Tensor) -> str:
    """Numbers from 0 to 1 as bytes, in base64."""
    return _encoded((share.nan_to_num(0) * 255).round().clamp(0, 255).to(torch.uint8))


def _encoded(values: Tensor) -> str:
    return b64encode(values.cpu().contiguous().numpy().tobytes()).decode()
