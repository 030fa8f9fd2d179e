"""Cost and power of a reproduction, printed before anything runs.

The spread is that of the last kept verdict of the claim, so that a plan is for other seeds than those it was seen on.
"""

from collections.abc import Iterator
from math import sqrt

from scipy import stats

from workbench.claims import wording
from workbench.claims.catalog import Entry, choose
from workbench.claims.claim import SEEDS
from workbench.claims.request import Request
from workbench.claims.rules import Judgment, OfASample
from workbench.claims.stored_verdicts import last_verdicts
from workbench.claims.study import Study
from workbench.claims.verdict import PartVerdict, Reproduction
from workbench.core.errors import unknown_name
from workbench.sweeps.preflight import forecast
from workbench.tracking.store import find_store

POWER = 0.9
MOST = 100_000  # seeds: more than these are none that anybody trains


def plan(request: Request) -> Iterator[str]:
    """Lines for every claim asked for.

    Raises UnknownNameError for a claim or a profile.
    """
    entries = choose(list(request.names), request.folder)
    for entry in entries:
        if request.profile not in entry.claim.profiles:
            raise unknown_name(f"claim {entry.name}: --profile", request.profile, entry.claim.profiles)
    kept, _ = last_verdicts(find_store(request.uri))
    for entry in entries:
        settings = request.settings(entry.claim)
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        yield f"{entry.name} {request.profile} ({shown})"
        last = kept.get(entry.name)
        yield f"  cost: {cost(entry, request, last)}"
        seeds = settings.get(SEEDS)
        for part in last.parts if last and isinstance(seeds, int) else ():
            if part.role == "primary":
                yield from (f"  {part.name}: {line}" for line in power(entry, part, int(str(seeds))))
        if last is None:
            first = f"workbench reproduce {entry.name} --seed-offset 1000"
            yield f"  power: no spread is stored, of tuning seeds or of a verdict; first measure it: {first}"


def cost(entry: Entry, request: Request, last: Reproduction | None) -> str:
    """Runs and time: those of the last verdict, by the number of seeds; without one, at least what all arms take."""
    settings = request.settings(entry.claim)
    if last is not None:
        before, now = (one.get(SEEDS) for one in (last.settings, settings))
        times = now / before if isinstance(now, int) and isinstance(before, int) else 1
        runs, seconds = round(last.runs * times), last.seconds * times
        machine = last.environment.get("machine", "its machine")
        source = f"from version {last.version}, profile {last.profile}, on {machine}"
        return f"about {runs:,} runs, {wording.duration(seconds)} ({source})"
    claim, seeds = entry.claim, settings.get(SEEDS)
    study = Study(entry, settings)
    each = (seeds if isinstance(seeds, int) else 1) + len(claim.learning_rates) * claim.tuning_seeds
    specs = [spec for over in claim.arms.values() for spec in study.specs(*over, seeds=range(each))]
    if not specs:
        return "nothing is trained by arms; time not known before a first verdict"
    ahead = forecast(specs)
    took = wording.duration(ahead.seconds)
    return f"at least {ahead.runs:,} runs, {took}, more where the code trains arms at several sizes"


def power(entry: Entry, part: PartVerdict, seeds: int) -> Iterator[str]:
    """Power of this many seeds for a part, from the spread of its last verdict, and the seeds for 90 % power."""
    judgment, now = part.deciding.judgment, entry.claim.parts.get(part.name)
    rule = now.rule if now else None
    if not isinstance(rule, OfASample) or judgment.low is None or judgment.high is None or not judgment.n:
        yield "exact, or without a spread: no number of seeds changes it"
        return
    width = rule.gap[1] - rule.gap[0]
    least = _needed(judgment, seeds) * _error(judgment, seeds)
    where = f" at {part.deciding.where}" if part.deciding.where else ""
    yield f"{seeds} seeds find what lies {least:.2g} beyond a bound with {POWER:.0%} power{where}"
    if width <= 0:
        yield "its bounds are one number, so nothing lies between them, and no distance from it is named"
        return
    n = enough_seeds(judgment, width)
    found = f"{n:,} seeds" if n else f"more than {MOST:,} seeds"
    yield f"it takes {found} to find an effect as far beyond a bound as the bounds lie apart, {width:.3g}"
    yield f"an effect in the middle of the bounds ends between them in {between(judgment, width, seeds):.0%} of studies"


def _level(judgment: Judgment) -> float:
    return judgment.level or 0.025


def _kept(n: int) -> int:
    """Values in an interquartile mean of n."""
    return max(2, n - 2 * (n // 4))


def _error(judgment: Judgment, n: int) -> float:
    """The standard error that n seeds would have, from the interval of the last verdict."""
    low, high, before = judgment.low or 0.0, judgment.high or 0.0, judgment.n or 1
    half = (high - low) / 2
    return half / float(stats.t.isf(_level(judgment), _kept(before) - 1)) * sqrt(before / n)


def _needed(judgment: Judgment, n: int) -> float:
    """Standard errors beyond a bound at which a t test of n seeds finds an effect with this power."""
    df = _kept(n) - 1
    return float(stats.t.isf(_level(judgment), df) + stats.t.isf(1 - POWER, df))


def enough_seeds(judgment: Judgment, distance: float) -> int | None:
    """The least number of seeds that find an effect so far beyond a bound; None where they are too many."""
    low, high = 4, MOST
    if _needed(judgment, high) * _error(judgment, high) > distance:
        return None
    while low < high:
        middle = (low + high) // 2
        if _needed(judgment, middle) * _error(judgment, middle) <= distance:
            high = middle
        else:
            low = middle + 1
    return low


def between(judgment: Judgment, width: float, n: int) -> float:
    """The chance that an interval lies wholly within bounds so far apart, where the effect is in their middle."""
    error = _error(judgment, n)
    room = width / 2 - float(stats.t.isf(_level(judgment), _kept(n) - 1)) * error
    if error == 0:
        return float(room > 0)
    return max(0.0, 2 * float(stats.norm.cdf(room / error)) - 1)
