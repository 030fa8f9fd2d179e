"""Sentences with number agreement: each is one of the grammar's, and the best accuracy is that of counting."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from tests.reference import build
from workbench.data.agreement import (
    INVARIABLE,
    PADDING,
    PLURALS,
    SINGULARS,
    VERBS,
    WORDS,
    bayes_accuracy,
    distances,
)
from workbench.data.datasets import NO_TARGET, Dataset

HALF = Fraction(1, 2)
Parsed = tuple[str, int, int, str]  # noun, its position, the asked verb's position, the word after it


def _parsed(words: list[str]) -> Parsed:
    """Parse a sentence with a stack of nouns; fails where it is none of the grammar's."""
    rest = list(enumerate(words))[::-1]
    stack: list[tuple[int, str]] = []
    answer: list[Parsed] = []
    while True:
        assert rest.pop()[1] == "the"
        stack.append(rest.pop())
        assert stack[-1][1] in (*SINGULARS, *PLURALS, *INVARIABLE)
        if rest[-1][1] != "that":
            break
        rest.pop()
    if rest[-1][1] == "near":
        assert [rest.pop()[1], rest.pop()[1]] == ["near", "the"]
        assert rest.pop()[1] in (*SINGULARS, *PLURALS, *INVARIABLE)
    while stack:
        (at, noun), (place, verb), (_, end) = stack.pop(), rest.pop(), rest.pop()
        assert end in ("itself", "themselves", "again")
        if verb == "?":
            answer.append((noun, at, place, end))
            continue
        number = next(number for number in (0, 1) if verb in VERBS[number])
        assert noun not in (SINGULARS, PLURALS)[1 - number]
        assert end != ("themselves", "itself")[number]
    assert not rest
    (only,) = answer
    return only


@pytest.fixture(scope="module")
def sentences() -> list[list[str]]:
    """4000 sentences as words, without padding."""
    dataset: Dataset = build("data", "agreement", examples=4000)
    return [[WORDS[token] for token in x if token != PADDING] for x in dataset.x]


def test_sentences_are_those_of_the_grammar(sentences: list[list[str]]) -> None:
    """Each sentence parses; its one target is at the asked verb and is its noun's number; padding is at its end."""
    dataset: Dataset = build("data", "agreement", examples=4000)
    for words, x, y in zip(sentences, dataset.x, dataset.y, strict=True):
        noun, _, place, end = _parsed(words)
        assert (x[len(words) :] == PADDING).all()
        assert np.flatnonzero(y != NO_TARGET).tolist() == [place]
        assert noun not in (SINGULARS, PLURALS)[1 - y[place]]
        assert end != ("themselves", "itself")[y[place]]


def test_distance_is_that_of_the_noun(sentences: list[list[str]]) -> None:
    """The distance by formula is that of the parsed sentence; each of the ten has a tenth, to five standard errors."""
    dataset: Dataset = build("data", "agreement", examples=4000)
    parsed = [_parsed(words) for words in sentences]
    expected = [place - at for _, at, place, _ in parsed]
    assert distances(dataset.x).tolist() == expected
    counts = Counter(expected)
    assert sorted(counts) == [1, 4, 6, 9, 11, 14, 16, 19, 21, 24]
    assert max(abs(count / 4000 - 0.1) for count in counts.values()) < 5 * np.sqrt(0.09 / 4000)


def test_a_sentence_by_hand() -> None:
    """The number of "the keys that the man near the cabinets holds again ? themselves" is 9 words away."""
    words = ["the", "keys", "that", "the", "man", "near", "the", "cabinets", "holds", "again", "?", "themselves"]
    assert _parsed(words) == ("keys", 1, 10, "themselves")
    assert distances(np.array([[WORDS.index(word) for word in words]])).tolist() == [9]


@pytest.mark.parametrize(
    ("given", "word", "present"),
    [
        ({"clauses": 0}, "that", False),
        ({"attractors": 0.0}, "near", False),
        ({"attractors": 1.0}, "near", True),
        ({"cue": 0.0}, "itself", False),
        ({"cue": 1.0}, "again", False),
        ({"invariable": 0.0}, "sheep", False),
        ({"invariable": 1.0}, "sheep", True),
    ],
)
def test_options_say_which_words_there_are(given: dict[str, float], word: str, present: bool) -> None:
    """Probabilities of 0 and 1, and no clauses, leave their words out, or put them into all."""
    dataset: Dataset = build("data", "agreement", examples=400, **given)
    assert (dataset.x == WORDS.index(word)).any() == present
    if word == "near" and present:
        assert (dataset.x == WORDS.index(word)).any(1).all()


def _nouns(number: int, invariable: Fraction) -> Iterator[tuple[str, Fraction]]:
    """Two nouns with forms for both numbers and one without, for the words of each number."""
    yield from ((word, (1 - invariable) / 2) for word in (SINGULARS, PLURALS)[number][:2])
    yield INVARIABLE[0], invariable


def _ends(number: int, cue: Fraction) -> Iterator[tuple[str, Fraction]]:
    yield ("itself", "themselves")[number], cue
    yield "again", 1 - cue


def _simple(invariable: Fraction, cue: Fraction) -> Iterator[tuple[tuple[str, ...], int, Fraction]]:
    """All sentences without a clause, the number of each, and its probability."""
    for n in (0, 1):
        for noun, p in _nouns(n, invariable):
            for end, q in _ends(n, cue):
                yield ("the", noun, "?", end), n, p * q / 4
                for m in (0, 1):
                    for other, r in _nouns(m, invariable):
                        yield ("the", noun, "near", "the", other, "?", end), n, p * q * r / 8


def _nested(invariable: Fraction, cue: Fraction) -> Iterator[tuple[tuple[str, ...], int, Fraction]]:
    """All sentences with one clause and one verb; either of its two verbs is asked for."""
    for n in (0, 1):
        for m in (0, 1):
            for noun, p in _nouns(n, invariable):
                for inner, q in _nouns(m, invariable):
                    for end, r in _ends(m, cue):
                        for last, s in _ends(n, cue):
                            weight = p * q * r * s / 8
                            begin = ("the", noun, "that", "the", inner)
                            yield (*begin, "?", end, VERBS[n][0], last), m, weight
                            yield (*begin, VERBS[m][0], end, "?", last), n, weight


@pytest.mark.parametrize(("invariable", "cue"), [("1/4", "1/2"), ("1", "0"), ("0", "1"), ("2/5", "3/10")])
@pytest.mark.parametrize("grammar", [_simple, _nested])
def test_bayes_accuracy_is_that_of_counting_all_sentences(grammar: object, invariable: str, cue: str) -> None:
    """The sum over contexts of the more probable number's share, in rational numbers, is the closed form exactly."""
    a, q = Fraction(invariable), Fraction(cue)
    left: dict[tuple[str, ...], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 2)
    both: dict[tuple[str, ...], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 2)
    for words, number, weight in grammar(a, q):  # type: ignore[operator]
        left[words[: words.index("?")]][number] += weight
        both[words][number] += weight
    assert sum(map(sum, left.values())) == 1
    assert sum(map(max, left.values())) == bayes_accuracy("left", float(a), float(q))
    assert sum(map(max, both.values())) == bayes_accuracy("both", float(a), float(q))


def test_the_best_guess_reaches_the_bayes_accuracy(sentences: list[list[str]]) -> None:
    """Guesses by noun, and by noun and next word, else at random: their accuracies, to four standard errors."""
    dataset: Dataset = build("data", "agreement", examples=4000)
    known = dict.fromkeys(SINGULARS, 0) | dict.fromkeys(PLURALS, 1)
    cues = {"itself": 0, "themselves": 1}
    coins = np.random.default_rng(0).integers(0, 2, 4000).tolist()
    right = np.zeros((2, 4000))
    for row, words in enumerate(sentences):
        noun, _, place, end = _parsed(words)
        left = known.get(noun, coins[row])
        both = known.get(noun, cues.get(end, coins[row]))
        right[:, row] = np.array([left, both]) == dataset.y[row, place]
    for rate, exact in zip(right.mean(1), (bayes_accuracy("left"), bayes_accuracy("both")), strict=True):
        assert rate == pytest.approx(float(exact), abs=4 * float(exact * (1 - exact)) ** 0.5 / np.sqrt(4000))
    assert (bayes_accuracy("left"), bayes_accuracy("both")) == (Fraction(7, 8), Fraction(15, 16))
