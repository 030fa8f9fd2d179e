"""Cost and power of a reproduction, printed before anything runs.

The spread is that of the last kept verdict of the claim, so that a plan is for other seeds than those it was seen on.
Runs of tuning seeds have none of what a claim compares: that is known where its code has measured it.
"""

from collections.abc import Iterator, Mapping
from math import sqrt

from scipy import stats

from workbench.claims import wording
from workbench.claims.catalog import Entry, choose
from workbench.claims.claim import SEEDS
from workbench.claims.request import Request
from workbench.claims.rules import Judgment, OfASample
from workbench.claims.stored_verdicts import last_verdicts
from workbench.claims.study import Study
from workbench.claims.trained_arms import shared_ratio
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
        for part in last.parts if last else ():
            if part.role == "primary":
                yield from (f"  {part.name}: {line}" for line in power(entry, part, settings))
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


def power(entry: Entry, part: PartVerdict, settings: Mapping[str, object]) -> Iterator[str]:
    """Power of the profile's seeds for a part, from the spread of its last verdict, and the seeds for 90 % power."""
    judgment, now = part.deciding.judgment, entry.claim.parts.get(part.name)
    named = now.n if now and now.n else SEEDS
    seeds = named if isinstance(named, int) else settings.get(named)
    if not (now and isinstance(now.rule, OfASample) and isinstance(seeds, int) and judgment.low is not None):
        yield "exact, or without a spread of seeds: no number of seeds is planned by it"
        return
    if judgment.seeds_low is None and now.over == "data":  # of a version that judged other seeds alone
        judgment = judgment.model_copy(update={"ratio": shared_ratio(Study(entry, settings).specs(seeds=[0])[0])})
    low, high = now.rule.bounds
    inside = now.rule.gap[0] > now.rule.gap[1]
    distance = (high - low) / 2 if inside else high - low
    where = f" at {part.deciding.where}" if part.deciding.where else ""
    yield f"{seeds} seeds find what lies {needed(judgment, seeds):.2g} beyond a bound with {POWER:.0%} power{where}"
    if distance <= 0:
        yield "its bounds are one number, so nothing lies between them, and no distance from it is named"
        return
    effect = "in the middle of the bounds" if inside else "as far beyond a bound as the bounds lie apart"
    n = enough_seeds(judgment, distance)
    found = (
        f"it takes {n:,} seeds" if n else "no number of seeds is enough" if judgment.ratio else f"{MOST:,} are too few"
    )
    yield f"{found} to find an effect {effect}, {distance:.3g}, with {POWER:.0%} power"
    if not inside:
        middle, last = (between(judgment, low, high, seeds, at) for at in ((low + high) / 2, judgment.effect or 0.0))
        yield f"chance to end between the bounds: {middle:.0%} for an effect in their middle, {last:.0%} for that found"


def _level(judgment: Judgment) -> float:
    return judgment.level or 0.025


def _kept(n: int) -> int:
    """Values in an interquartile mean of n."""
    return max(2, n - 2 * (n // 4))


def _error(judgment: Judgment, n: int) -> float:
    """The standard error that n seeds would have, from the interval for other seeds of the last verdict.

    What other data like these add to it, n_test / n_train times the variance of one value, does not fall with n.
    """
    low, high, before = judgment.seeds_low, judgment.seeds_high, judgment.n or 1
    if low is None or high is None:
        low, high = judgment.low or 0.0, judgment.high or 0.0
    own = (high - low) / 2 / float(stats.t.isf(_level(judgment), _kept(before) - 1))
    return own * sqrt(before * (1 / n + judgment.ratio))


def needed(judgment: Judgment, n: int) -> float:
    """Distance beyond a bound at which n seeds find an effect with this power."""
    df = _kept(n) - 1
    return float(stats.t.isf(_level(judgment), df) + stats.t.isf(1 - POWER, df)) * _error(judgment, n)


def enough_seeds(judgment: Judgment, distance: float) -> int | None:
    """The least number of seeds that find an effect so far beyond a bound; None where they are too many."""
    low, high = 4, MOST
    if needed(judgment, high) > distance:
        return None
    while low < high:
        middle = (low + high) // 2
        if needed(judgment, middle) <= distance:
            high = middle
        else:
            low = middle + 1
    return low


def between(judgment: Judgment, low: float, high: float, n: int, effect: float) -> float:
    """The chance that the interval of n seeds lies wholly within the bounds."""
    error = _error(judgment, n)
    half = float(stats.t.isf(_level(judgment), _kept(n) - 1)) * error
    if error == 0:
        return float(low < effect < high)
    ends = stats.norm.cdf((high - half - effect) / error) - stats.norm.cdf((low + half - effect) / error)
    return max(0.0, float(ends))
