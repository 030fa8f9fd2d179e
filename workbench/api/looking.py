"""Checks, explanations, comparisons and verdicts from Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.api.sweeps import Sweep
from workbench.api.training import configure
from workbench.core.errors import ConfigError
from workbench.lecture.explain.defaults import EXAMPLE, with_defaults
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    import pandas as pd

    from workbench.certificates.certificate import Certificate
    from workbench.claims.verdict import Reproduction


def check(*overrides: str, config_dir: str | None = None, **keywords: Any) -> "Certificate":
    """Check hand-written gradients against autograd and central differences, at the initial weights.

    Arguments as for `configure`. Its `agrees` says whether all do. Raises ConfigError where the run could not be
    trained.
    """
    from workbench.certificates.certificate import certify

    return certify(configure(*overrides, config_dir=config_dir, **keywords))


@dataclass(frozen=True)
class Explanation:
    """One training step worked with its numbers, as text, Markdown or HTML."""

    text: str
    markdown: str
    html: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="600"></iframe>'


def explain(*overrides: str, example: int = EXAMPLE, config_dir: str | None = None, **keywords: Any) -> Explanation:
    """Work one training step by hand as ``workbench explain`` does, of a small net on XOR unless told otherwise.

    `example` is the training example, from 1; other arguments as for `configure`. Raises ConfigError for a net that is
    too large to be read.
    """
    from workbench.config.keywords import overrides_of
    from workbench.lecture.explain.pages import explanation
    from workbench.lecture.explain.render import RENDERERS

    spec = configure(*with_defaults(overrides_of(overrides, keywords)), config_dir=config_dir)
    title, steps = explanation(spec, example)
    pages = {form: render(title, steps) for form, render in RENDERERS.items()}
    return Explanation(**pages)


def compare(
    *sweeps: str | Sweep, by: str | Sequence[str] = (), metrics: str | Sequence[str] = (), uri: str | None = None
) -> "pd.DataFrame":
    """Compare the arms of a sweep (by default the newest), or two sweeps arm by arm, as numbers.

    Of one sweep, a row for each arm and metric with mean, low, high (95 % t interval) and n; of two, with both means
    and their difference. `by` names parameters that define arms. Raises UnknownNameError for unknown names.
    """
    from workbench.inspect.comparison import ComparisonRequest, compared
    from workbench.tracking.reader import read_sweep

    if len(sweeps) > 2:
        raise ConfigError(f"compare: must get two sweeps at most, got {len(sweeps)}; compare them two by two")
    store = find_store(uri)
    chosen = sweeps or (None,)
    read = [one.stored if isinstance(one, Sweep) else read_sweep(store, one, histories=False) for one in chosen]
    by, metrics = ([given] if isinstance(given, str) else list(given) for given in (by, metrics))
    return compared(read, ComparisonRequest([one.id for one in read], uri, by, metrics)).numbers


@dataclass(frozen=True)
class Reproduced:
    """A claim of the lecture, measured and judged; `record` is all that the report has of it."""

    record: "Reproduction"

    @property
    def verdict(self) -> str:
        """``supported``, ``refuted``, ``mixed``, ``between the bounds``, ``never trains`` or ``inconclusive``."""
        return str(self.record.label)

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        from workbench.claims.wording import plain

        return plain(self.record)

    def frame(self) -> "pd.DataFrame":
        """A row for each part and cell: what it says, its role, verdict, what was found, number of values n."""
        import pandas as pd

        rows = [
            (
                part.name,
                part.says,
                part.role,
                cell.where,
                str(cell.judgment.label),
                cell.judgment.found,
                cell.judgment.n,
            )
            for part in self.record.parts
            for cell in part.cells
        ]
        return pd.DataFrame(rows, columns=["part", "says", "role", "cell", "verdict", "found", "n"])

    def __repr__(self) -> str:
        return f"<{self.record.name}: {self.verdict}. {self.sentence}>"

    def _repr_html_(self) -> str:
        head = f"<b>{escape(self.record.title)}</b>: {escape(self.verdict)}<p>{escape(self.sentence)}</p>"
        return head + str(self.frame().to_html(index=False))


def reproduce(
    name: str,
    profile: str = "quick",
    claims: str | None = None,
    uri: str | None = None,
    again: bool = False,
    seed_offset: int = 0,
    sequential: bool = False,
) -> Reproduced:
    """Measure a claim and judge it by its rule, as ``workbench reproduce NAME`` does.

    A verdict by the same rule and code is taken from the store, unless `again`. `claims` is a folder with claims of
    your own. Raises UnknownNameError for a claim that there is not.
    """
    from workbench.claims.reproduction import reproduce as measured

    (record,) = measured(
        name, profile=profile, claims=claims, uri=uri, again=again, seed_offset=seed_offset, sequential=sequential
    )
    return Reproduced(record)
