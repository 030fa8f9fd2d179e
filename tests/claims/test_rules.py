"""Every branch of every rule, with evidence whose intervals are worked by hand."""

from statistics import stdev

import pytest
from pydantic import TypeAdapter, ValidationError

from workbench.claims.evidence import ArmScores, Estimate, Evidence, Exact, PerSeed, Rate, Rates, Witness
from workbench.claims.rules import Above, Always, AnyRule, Below, Exists, Judgment, Label, OfASample, Rule, Within
from workbench.core.stats import minimum_detectable

S, R, OPEN = Label.supported, Label.refuted, Label.inconclusive
BETWEEN, NEVER = Label.between, Label.never_trains
T_8 = 2.306004  # two-sided 95 % point of Student's t with 8 degrees of freedom
SAMPLE_RULES: list[Rule] = [Above(than=1), Below(than=1, absent=2), Within(margin=1)]


def estimate(value: float, half: float) -> Estimate:
    """Build an estimate with the 95 % interval value ± half."""
    return Estimate(value, half / T_8, 8, 10)


@pytest.mark.parametrize(
    ("evidence", "label", "found", "reason"),
    [
        (Exact(4000), S, "0 of 4,000 fail", ""),
        (Exact(1, certificate="0 > 0"), S, "holds", "0 > 0"),
        (Exact(0), OPEN, "nothing checked", ""),
        (Exact(10, 1, example="x = 3", certificate="0 > 0"), R, "1 of 10 fail", "x = 3"),
        (Exact(1, 1, example="x = 3"), R, "1 of 1 fail", "x = 3"),
    ],
)
def test_always(evidence: Exact, label: Label, found: str, reason: str) -> None:
    """`always` is refuted by a single counterexample and open without checks; a certificate is its reason to hold."""
    judgment = Always().judge(evidence)
    assert (judgment.label, judgment.found, judgment.reason) == (label, found, reason)
    assert (judgment.effect, judgment.n, judgment.p) == (evidence.counterexamples, evidence.checked, None)


@pytest.mark.parametrize(
    ("found", "exhaustive", "label"), [(True, False, S), (True, True, S), (False, False, OPEN), (False, True, R)]
)
def test_exists(found: bool, exhaustive: bool, label: Label) -> None:
    """`exists` is supported by a witness, and refuted only by an exhaustive search without one."""
    judgment = Exists().judge(Witness(found, "weights", exhaustive, 0.5))
    assert judgment == Judgment(
        label=label, found="found" if found else "not found", effect=0.5, reason="weights", p=None
    )


@pytest.mark.parametrize(
    ("rule", "value", "half", "label"),
    [
        (Above(than=1), 2.0, 0.99, S),
        (Above(than=1), 2.0, 1.01, OPEN),
        (Above(than=1), 0.2, 0.29, R),
        (Above(than=1), 0.2, 0.31, OPEN),
        (Above(than=1), 0.75, 0.24, BETWEEN),
        (Above(than=1), 0.75, 0.26, OPEN),
        (Above(than=1), 0.6, 0.11, OPEN),
        (Above(than=1), 0.9, 0.11, OPEN),
        (Above(than=1, absent=0.9), 0.75, 0.1, R),
        (Above(than=1, absent=0.0), 0.2, 0.1, BETWEEN),
        (Above(than=-1), -0.4, 0.2, S),
        (Below(than=1, absent=2), 0.0, 0.99, S),
        (Below(than=1, absent=2), 0.0, 1.01, OPEN),
        (Below(than=1, absent=2), 3.0, 0.99, R),
        (Below(than=1, absent=2), 3.0, 1.01, OPEN),
        (Below(than=1, absent=2), 1.5, 0.49, BETWEEN),
        (Below(than=1, absent=2), 1.5, 0.51, OPEN),
        (Below(than=1, absent=2), 1.2, 0.21, OPEN),
        (Within(margin=1), 0.5, 0.49, S),
        (Within(margin=1), -0.5, 0.49, S),
        (Within(margin=1), 0.5, 0.51, OPEN),
        (Within(margin=1), -0.5, 0.51, OPEN),
        (Within(margin=1), 1.5, 0.49, R),
        (Within(margin=1), -1.5, 0.49, R),
        (Within(margin=1), 1.5, 0.51, OPEN),
        (Within(margin=1), -1.5, 0.51, OPEN),
        (Within(margin=1, around=3), 3.5, 0.49, S),
        (Within(margin=1, around=3), 0.0, 0.49, R),
    ],
)
def test_interval_decides(rule: Rule, value: float, half: float, label: Label) -> None:
    """Each bound of each rule is decided just inside the interval's end and open just outside."""
    judgment = rule.judge(estimate(value, half))
    assert judgment.label is label
    assert [judgment.effect, judgment.low, judgment.high] == pytest.approx(
        [value, value - half, value + half], rel=1e-5
    )
    assert judgment.level == pytest.approx(0.025)
    assert judgment.p is not None
    assert (judgment.p <= 0.025) is (label is not OPEN)
    assert judgment.n == 10


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (Above(than=1), [2.0, 2.1, 2.2, 2.3, 2.4]),
        (Above(than=9), [2.0, 2.1, 2.2, 2.3, 2.4]),
        (Below(than=3, absent=4), [2.0, 2.1, 2.2, 2.3, 2.4]),
        (Below(than=0, absent=1), [2.0, 2.1, 2.2, 2.3, 2.4]),
        (Within(margin=3), [2.0, 2.1, 2.2, 2.3, 2.4]),
        (Within(margin=1), [2.0, 2.1, 2.2, 2.3, 2.4]),
    ],
)
def test_test_must_agree(rule: Rule, values: list[float]) -> None:
    """The interval of five seeds lies on one side, their permutation test has 1/32 at best; a sixth seed decides."""
    judgment = rule.judge(PerSeed(tuple(values)))
    assert judgment.label is OPEN
    assert judgment.p is not None
    assert judgment.p >= 1 / 32
    assert rule.judge(PerSeed((*values, 2.25))).label is not OPEN


class Certain(Estimate):
    """An estimate whose tests leave no doubt of anything, whatever its interval."""

    def p_above(self, bound: float) -> float:
        """None."""
        return 0.0

    def p_below(self, bound: float) -> float:
        """None."""
        return 0.0


@pytest.mark.parametrize(
    ("rule", "value", "label"),
    [
        (Above(than=1), 1.5, S),
        (Above(than=1), 0.3, R),
        (Below(than=1, absent=2), 0.5, S),
        (Below(than=1, absent=2), 2.5, R),
        (Within(margin=1), 0.5, S),
        (Within(margin=1), -0.5, S),
        (Within(margin=1), 1.5, R),
        (Within(margin=1), -1.5, R),
    ],
)
def test_interval_must_agree(rule: Rule, value: float, label: Label) -> None:
    """The tests say yes to everything: an interval beyond the bound decides, and one that reaches over it does not."""
    assert rule.judge(Certain(value, 0.1 / T_8, 8, 10)).label is label
    assert rule.judge(Certain(value, 0.6 / T_8, 8, 10)).label is OPEN


@pytest.mark.parametrize("rule", [Above(than=1), Below(than=-1, absent=1), Within(margin=1, around=-3)])
def test_confidence_is_the_rules(rule: Rule) -> None:
    """A confidence of 99 % makes the level half a percent: eight seeds are needed instead of six."""
    strict = rule.model_copy(update={"confidence": 0.99})
    six, eight = (PerSeed(tuple(2 + 0.1 * seed for seed in range(n))) for n in (6, 8))
    labels = [one.judge(values).label for one, values in ((rule, six), (strict, six), (strict, eight))]
    assert labels[1] is OPEN
    assert labels[0] is labels[2] is not OPEN
    assert strict.judge(eight).level == pytest.approx(0.005)


@pytest.mark.parametrize("rule", SAMPLE_RULES)
def test_one_seed_is_inconclusive(rule: Rule) -> None:
    """A single seed is inconclusive whatever its value, even at the edge of the grid, as it has no interval."""
    for at_edge in ((), ("relu",)):
        judgment = rule.judge(PerSeed((7.0,), at_edge))
        assert (judgment.label, judgment.found, judgment.n, judgment.low) == (OPEN, "7", 1, None)


def test_equal_seeds_are_judged_by_the_sign_test() -> None:
    """No spread is no reason to believe fewer than six."""
    assert Above(than=1).judge(PerSeed((2.0,) * 6)).label is S
    assert Above(than=1).judge(PerSeed((2.0,) * 5)).label is OPEN
    assert Above(than=2).judge(PerSeed((2.0,) * 9)).label is OPEN
    assert Above(than=2, absent=2).judge(PerSeed((2.0,) * 9)).label is OPEN
    assert Above(than=6).judge(PerSeed((2.0,) * 9)).label is R
    assert Above(than=1).judge(PerSeed((2.0,) * 6)).found == "2 [2, 2]"


def test_small_but_real_asks_for_no_more_seeds() -> None:
    """Small but real effects, sure or found so far, name no power, since no number of seeds decides."""
    sure = Above(than=1).judge(PerSeed(tuple(0.7 + 0.01 * seed for seed in range(10))))
    assert (sure.label, sure.reason) == (BETWEEN, "small but real: no number of seeds decides")
    so_far = Above(than=1).judge(PerSeed(tuple(0.75 + 0.1 * seed for seed in range(-5, 6))))
    assert (so_far.label, "power" in so_far.reason, "between the bounds" in so_far.reason) == (OPEN, False, True)
    assert "power" in Above(than=1).judge(PerSeed(tuple(1.1 + 0.2 * seed for seed in range(-5, 6)))).reason
    assert Above(than=1).judge(PerSeed((0.75, 0.76, 0.77))).label is OPEN, "three seeds have no p value that low"


def arms(*accuracies: float) -> tuple[ArmScores, ...]:
    """Arms whose seeds all have this accuracy, of ten classes."""
    return tuple(ArmScores(f"arm {number}", (one,) * 10, 0.1) for number, one in enumerate(accuracies))


TEN = tuple(3 + 0.1 * seed for seed in range(10))


@pytest.mark.parametrize(
    ("accuracies", "label"), [((0.9, 0.1), S), ((0.1, 0.2), S), ((0.19, 0.15), NEVER), ((0.1, 0.05), NEVER)]
)
def test_a_gain_says_nothing_where_no_arm_trains(accuracies: tuple[float, ...], label: Label) -> None:
    """The better arm must be a tenth above chance, whichever it is, also at an edge; without a floor all goes."""
    rule = Above(than=1, floor=0.1)
    for at_edge in ((), ("arm 0",)):
        judgment = rule.judge(PerSeed(TEN, at_edge, arms(*accuracies)))
        assert judgment.label is (OPEN if at_edge and label is S else label)
        assert [arm.accuracy for arm in judgment.arms] == list(accuracies)
    assert Above(than=1).judge(PerSeed(TEN, (), arms(*accuracies))).label is S
    for free in (Below(than=9, absent=10, floor=0.1), Within(margin=9, floor=0.1)):
        assert free.judge(PerSeed(TEN, (), arms(*accuracies))).label is label
    assert rule.judge(PerSeed(TEN, (), arms(0.1, 0.1))).p is None
    assert "no arm is 10% above chance, 10.0%: arm 0 10.0%" in rule.judge(PerSeed(TEN, (), arms(0.1, 0.1))).reason


def test_arms_say_how_many_runs_failed() -> None:
    """An arm's failed runs lie below the floor, or at chance without one; its accuracy is the interquartile mean."""
    scores = ArmScores("relu", (0.1, 0.15, *[0.9] * 8), 0.1)
    (without,) = Above(than=1).judge(PerSeed(TEN, (), (scores,))).arms
    (with_floor,) = Above(than=1, floor=0.1).judge(PerSeed(TEN, (), (scores,))).arms
    assert (without.failed, with_floor.failed, with_floor.n, with_floor.accuracy) == (1, 2, 10, pytest.approx(0.9))


def test_a_floor_needs_accuracies() -> None:
    """A floor without the accuracies of the arms raises TypeError, and the rule's words name the floor."""
    with pytest.raises(TypeError, match="rule above: a floor needs evidence with the accuracies of its arms"):
        Above(than=1, floor=0.1).judge(PerSeed(TEN))
    assert "never trains if no arm is 10% above chance" in Above(than=1, floor=0.1).says


@pytest.mark.parametrize("bound", [0.0, 10.0])
def test_a_learning_rate_at_the_edge_decides_nothing(bound: float) -> None:
    """A best learning rate at the grid's edge leaves open what would be supported and what would be refuted."""
    values = tuple(3 + 0.1 * seed for seed in range(10))
    assert Above(than=bound).judge(PerSeed(values)).label is not OPEN
    judgment = Above(than=bound).judge(PerSeed(values, ("relu", "tanh")))
    assert judgment.label is OPEN
    assert judgment.reason == "best learning rate on the grid's edge: relu, tanh"
    assert judgment.effect == pytest.approx(3.45)


def test_open_verdict_says_what_could_be_found() -> None:
    """An open verdict's reason gives the effect that a t test finds with 80 % power, from the spread of the seeds."""
    values = (-1.0, 0.5, 1.0, 2.0, 0.0, 1.5)
    judgment = Above(than=0.5).judge(PerSeed(values))
    expected = minimum_detectable(stdev((0.0, 0.0, 0.5, 1.0, 1.5, 1.5)) * (5 / 3) ** 0.5, 4)
    assert judgment.label is OPEN
    assert judgment.reason == (
        f"at this spread and number of seeds a t test finds {expected:.2g} beyond a bound with 80 % power"
    )
    assert Above(than=0.5).judge(Rate(5, 10)).reason == ""


FAR = {"above": (1e3, -1e3), "below": (-1e3, 1e3), "within": (0.0, 1e3)}  # values as clear as can be, for and against


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99, 0.9999])
@pytest.mark.parametrize("rule", SAMPLE_RULES)
def test_too_few_values_are_those_that_no_evidence_can_help(rule: Rule, confidence: float) -> None:
    """Samples of 1 to 20 values stay open on the clearest evidence exactly where they are called too few."""
    one = rule.model_copy(update={"confidence": confidence})
    assert isinstance(one, OfASample)
    kind = type(rule).__name__.lower()
    for n in range(1, 21):
        labels = {one.judge(PerSeed((value,) * n)).label for value in FAR[kind]}
        assert (labels == {OPEN}) is bool(one.too_few(n)), n
        if few := one.too_few(n):
            needed = int(few.rpartition(" ")[2])
            assert one.judge(PerSeed((FAR[kind][0],) * needed)).label is S
            assert one.judge(PerSeed((FAR[kind][0],) * (needed - 1))).label is OPEN
            assert one.judge(PerSeed((FAR[kind][0],) * n)).reason == few


def test_high_confidence_takes_more_seeds() -> None:
    """Each seed halves the least p value, and it takes as many as that makes."""
    strict = Above(than=1, confidence=0.99999)
    assert (strict.too_few(18), strict.too_few(17).endswith("it takes at least 18")) == ("", True)
    assert strict.judge(PerSeed((1e3,) * 25)).label is S
    assert strict.model_copy(update={"confidence": 1 - 2**-50}).too_few(20).endswith("it takes at least 51")


def test_too_few_for_one_of_several_cells_is_said() -> None:
    """Six values decide at the level itself, not at a quarter of it: the reason names eight beside the power."""
    judgment = Above(than=0).judge(PerSeed((-1.0, -1.1, -1.2, -1.3, -1.4, -1.5)), 4, R)
    assert judgment.label is OPEN
    assert "one of 4 cells cannot make it refuted: " in judgment.reason
    assert judgment.reason.endswith("it takes at least 8")


@pytest.mark.parametrize("alone", [S, R])
@pytest.mark.parametrize("label", [S, R])
def test_only_what_decides_alone_has_its_level_divided(label: Label, alone: Label) -> None:
    """A supported cell of eight where one supports, a refuted one where one refutes."""
    value, wide = (4.0, 3.9) if label is S else (-4.0, 3.9)
    rule, strict = Above(than=0), label is alone
    assert rule.judge(estimate(value, wide)).label is label
    assert rule.judge(estimate(value, wide), 8, alone).label is (OPEN if strict else label)
    judgment = rule.judge(estimate(value, 1.0), 8, alone)
    assert judgment.label is label
    assert judgment.level == pytest.approx(0.025 / 8 if strict else 0.025)
    half = 3.676568 / T_8 if strict else 1.0  # Student's t with 8 degrees of freedom at 0.025 / 8
    assert [judgment.low, judgment.high] == pytest.approx([value - half, value + half], abs=1e-3)
    assert rule.judge(estimate(0.1, 1.0), 8, alone).level == pytest.approx(0.025)


def test_what_could_be_found_is_said_at_the_divided_level() -> None:
    """Supported by itself, open as one of eight cells of which one supports: the power is that at an eighth."""
    values = (0.2, 0.6, 0.9, 1.3, 0.4, 1.0, 0.1, 1.4, 0.7, 0.3, 0.8, -0.4)
    rule = Above(than=0.15)
    assert rule.judge(PerSeed(values)).label is S
    judgment = rule.judge(PerSeed(values), 8, S)
    least = minimum_detectable(*PerSeed(values).spread(), 1 - 0.05 / 8)
    assert judgment.label is OPEN
    assert judgment.reason.startswith(f"at this spread and number of seeds a t test finds {least:.2g} beyond")


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        (Above(than=1), S),
        (Above(than=9), R),
        (Below(than=3, absent=4), S),
        (Below(than=0, absent=1), R),
        (Within(margin=3), S),
        (Within(margin=1), R),
    ],
)
def test_a_p_value_that_is_the_level_decides(rule: OfASample, label: Label) -> None:
    """A p value equal to the level decides: at confidence 15/16 the level is 1/32, the least p of five seeds."""
    exact = rule.model_copy(update={"confidence": 1 - 2**-4})
    judgment = exact.judge(PerSeed((2.0,) * 5))
    assert (judgment.label, judgment.p, judgment.level) == (label, 2**-5, 2**-5)
    assert exact.too_few(5) == ""


@pytest.mark.parametrize("evidence", [Rate(50, 50), Rates(50, 50, 0, 50)])
def test_rates_are_samples(evidence: Evidence) -> None:
    """Shares of successes are judged by the same rules as samples."""
    assert Above(than=0.5).judge(evidence).label is S
    assert Below(than=0.2, absent=0.5).judge(evidence).label is R


@pytest.mark.parametrize(
    ("rule", "evidence", "message"),
    [
        (Always(), Rate(1, 2), "rule always: needs Exact as evidence, got Rate"),
        (Always(), Witness(True, "w"), "rule always: needs Exact as evidence, got Witness"),
        (Exists(), Exact(1), "rule exists: needs Witness as evidence, got Exact"),
        (Exists(), PerSeed((1.0,)), "rule exists: needs Witness as evidence, got PerSeed"),
        (Above(than=1), Exact(1), "rule above: needs a sample as evidence, got Exact"),
        (Below(than=1, absent=2), Witness(True, "w"), "rule below: needs a sample as evidence, got Witness"),
        (Within(margin=1), Exact(1), "rule within: needs a sample as evidence, got Exact"),
    ],
)
def test_evidence_of_another_form_is_refused(rule: Rule, evidence: Evidence, message: str) -> None:
    """Evidence of another form raises TypeError with the rule, the form it needs and the form that came."""
    with pytest.raises(TypeError) as error:
        rule.judge(evidence)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Always(), ["one counterexample refutes"]),
        (Exists(), ["one example", "a search of everything"]),
        (Above(than=1), ["95% interval lies above 1,", "below 0.5"]),
        (Above(than=1, absent=0.2), ["above 1,", "below 0.2"]),
        (Below(than=1, absent=2, confidence=0.9), ["90% interval lies below 1,", "above 2"]),
        (Within(margin=0.5, around=2), ["95% interval lies within 2 ± 0.5", "outside"]),
    ],
)
def test_rules_say_what_they_do(rule: Rule, words: list[str]) -> None:
    """Each rule's description gives the rule with its numbers."""
    assert all(text in rule.says for text in words), rule.says


@pytest.mark.parametrize(
    "node",
    [
        {"kind": "always", "than": 1},
        {"kind": "above"},
        {"kind": "below", "than": 1},
        {"kind": "within", "margin": 0},
        {"kind": "within", "margin": -1},
        {"kind": "above", "than": 1, "confidence": 0.5},
        {"kind": "above", "than": 1, "confidence": 1},
        {"kind": "larger", "than": 1},
        {"than": 1},
    ],
)
def test_rules_that_are_none(node: dict[str, object]) -> None:
    """Rules with unknown kinds or keys, missing or impossible numbers are refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(AnyRule).validate_python(node)
