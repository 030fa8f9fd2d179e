"""A run as a store has it, whoever logged it, and a description of what it lacks.

People edit tags, names and files in MLflow's pages, and other programs log into the same experiments: nothing that is
read back needs to be there, or to be what was written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.core.plain_text import one_line
from workbench.tracking.base import Outcome

NAMED = 3  # runs in a sentence
# Activations bounded on both sides, known here by name: making them imports torch.
SATURATING = ("bump", "hard_tanh", "scaled_sigmoid", "sigmoid", "softsign", "tanh", "unit_step")
DIGITS = 18  # of a whole number that is meant as one


@dataclass
class StoredRun:
    """A run's id, name, experiment, status, times, and its tags, params and last metrics.

    Times are milliseconds since 1970, 0 where there is none; `artifacts` is the address of its files.
    """

    id: str
    name: str
    experiment_id: str
    status: str
    start_ms: int
    end_ms: int
    artifacts: str
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFilter:
    """Which active runs are wanted: with one of these `values` of a tag, a beginning of the id, a name, a status.

    `experiments` are ids; None for all active ones.
    """

    tag: str = ""
    values: Sequence[str] = ()
    prefix: str = ""
    name: str | None = None
    status: str = ""
    experiments: Sequence[str] | None = None

    @property
    def texts(self) -> list[str]:
        """The same for MLflow's search, one text for each value of the tag; a name holds one kind of quote at most."""
        parts = [f"attributes.run_id LIKE '{self.prefix}%'"] if self.prefix else []
        if self.name is not None:
            quote = "'" if '"' in self.name else '"'
            parts.append(f"attributes.run_name = {quote}{self.name}{quote}")
        if self.status:
            parts.append(f"attributes.status = '{self.status}'")
        values = [value.replace("'", "") for value in self.values]  # no id of ours has one, and it cannot be quoted
        tagged = [f"tags.`{self.tag}` = '{value}'" for value in values] if self.tag else [""]
        return [" AND ".join(filter(None, [tag, *parts])) for tag in tagged]


def whole_number(values: Mapping[str, str], key: str) -> int | None:
    """A tag or param as a whole number; None where it is missing or something else."""
    text = values.get(key, "").strip()
    plain = text.removeprefix("-")
    return int(text) if plain.isascii() and plain.isdigit() and len(plain) <= DIGITS else None


def epoch_length(tags: Mapping[str, str]) -> int | None:
    """Steps of an epoch, from a run's tags; None where they lack it."""
    steps = whole_number(tags, "steps_per_epoch")
    return steps if steps is not None and steps > 0 else None


def saturates(params: Mapping[str, str]) -> bool:
    """Whether the hidden units are bounded on both sides; one-sided units may have f' = 0 for half of z."""
    return params.get("activation", "") in SATURATING


def doubts(runs: Sequence[StoredRun], keys: Sequence[str]) -> Iterator[str]:
    """Yield sentences on what is missing or odd in the runs of a sweep whose arms differ in `keys`, and its effect."""
    known = {outcome.value for outcome in Outcome}
    ended = [run for run in runs if run.status != "RUNNING"]
    without = [run for run in ended if not run.tags.get("outcome")]
    yield from _sentence(without, "no tag outcome", "its status stands for it")
    odd = [run for run in ended if run.tags.get("outcome") and run.tags["outcome"] not in known]
    yield from _sentence(odd, "a tag outcome that is none", f"known are {', '.join(sorted(known))}; not counted")
    seedless = [run for run in runs if whole_number(run.params, "seed") is None]
    yield from _sentence(seedless, "no whole number as param seed", "never paired with another run")
    timeless = [run for run in ended if run.metrics and epoch_length(run.tags) is None]
    yield from _sentence(timeless, "no whole number as tag steps_per_epoch", "not in figures by epoch")
    for key in keys:
        owners = [other for other in keys if key.startswith(f"{other}.")]
        lacking = [run for run in runs if key not in run.params]
        if not owners:
            yield from _sentence(lacking, f"no param {one_line(key)}", "an arm of their own")


def _sentence(runs: Sequence[StoredRun], problem: str, effect: str) -> Iterator[str]:
    if runs:
        names = ", ".join(f"{one_line(run.name)} ({run.id[:8]})" for run in runs[:NAMED])
        more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
        yield f"{problem}: {names}{more}; {effect}"
