"""Sentences in which a verb agrees with a noun some words before it, from a small context-free grammar.

    Sentence      -> Subject(n, k) Predicate(n)
    Subject(n, 0) -> the Noun(n) | the Noun(n) near the Noun(m)
    Subject(n, k) -> the Noun(n) that Subject(m, k - 1) Predicate(m)
    Predicate(n)  -> Verb(n) itself/themselves | Verb(n) again

Each n, m is singular or plural, with probability 1/2 and independent of all others: "the keys that the man near the
cabinets holds again are themselves". Nouns between a verb and its own are attractors (Linzen, Dupoux and Goldberg
2016, arXiv 1611.01368); nesting in the center, as here, is what makes the verb's noun other than the first or last.
Some nouns have one form for both numbers ("sheep"), so that only the word after the verb may tell.
"""

from fractions import Fraction as Ratio
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from workbench.core.seeds import stream_seed
from workbench.data.datasets import NO_TARGET, Array, Dataset, require_numbers

SINGULARS = ("key", "cabinet", "man", "dog", "boy", "author", "book", "child")
PLURALS = ("keys", "cabinets", "men", "dogs", "boys", "authors", "books", "children")
INVARIABLE = ("sheep", "deer")
VERBS = ("is", "holds", "sees", "likes"), ("are", "hold", "see", "like")
FRAME = ("-", "?", "the", "that", "near", "again", "itself", "themselves")  # padding, the asked verb, and words
WORDS = (*FRAME, *SINGULARS, *PLURALS, *INVARIABLE, *VERBS[0], *VERBS[1])  # by token
PADDING, ASKED, THE, THAT, NEAR, AGAIN, ITSELF = range(7)
NOUN, SAME, VERB = (WORDS.index(word) for word in (SINGULARS[0], INVARIABLE[0], VERBS[0][0]))
Share = Annotated[float, Interval(ge=0, le=1)]


def agreement(
    clauses: Annotated[int, Interval(ge=0, le=100)] = 4,
    attractors: Share = 0.5,
    invariable: Share = 0.25,
    cue: Share = 0.5,
    examples: Annotated[int, Ge(4)] = 10_000,
    seed: int | None = 0,
) -> Dataset:
    """Sentences with one verb asked for: the target at the token ``?`` in its place is 0 (singular) or 1 (plural).

    Sentences have 0 to `clauses` nested clauses. First it is drawn how many of them stand between the asked verb and
    its noun, all numbers alike, then how many there are in all. `attractors` is the probability of "near the ...",
    `invariable` of a noun with one form, `cue` of itself/themselves after a verb. Short sentences are filled up by the
    token `PADDING` at their end. The distance from noun to verb is that of `distances`, the best possible accuracy
    that of `bayes_accuracy`: a causal net sees the left context, others see both sides.

    Without a seed every split draws its own examples. Raises DataError where they do not fit into memory.
    """
    length = 5 * clauses + 7
    require_numbers("data.examples", examples, 5 * length)
    stream = np.random.default_rng(stream_seed(seed or 0, "data", "agreement"))
    between = stream.integers(0, clauses + 1, examples)
    depth = stream.integers(between, clauses + 1)
    near = stream.random(examples) < attractors
    words = _draw_words(stream, (examples, clauses + 2), invariable, cue)
    first_verb = _first_verb(depth, near)
    rows = np.arange(examples)
    x = np.full((examples, length), PADDING)
    for subject in range(clauses + 1):
        on = rows[subject <= depth]
        x[on, 3 * subject], x[on, 3 * subject + 1] = THE, words.nouns[on, subject]
        x[rows[subject < depth], 3 * subject + 2] = THAT
        place = first_verb[on] + 2 * (depth[on] - subject)
        x[on, place], x[on, place + 1] = words.verbs[on, subject], words.ends[on, subject]
    on = rows[near]
    for offset, word in ((2, NEAR), (3, THE), (4, words.nouns[on, -1])):
        x[on, 3 * depth[on] + offset] = word
    asked = first_verb + 2 * between
    x[rows, asked] = ASKED
    y = np.full((examples, length), NO_TARGET)
    y[rows, asked] = words.plural[rows, depth - between]
    return Dataset(
        "agreement", x, y, 2, classes=("singular", "plural"), tokens=WORDS, vocabulary=len(WORDS), padding=PADDING
    )


class _Words(NamedTuple):
    """Numbers (1 for the plural) of subjects, their nouns and verbs and the words after these, each [N, subjects].

    Subjects are counted from the outermost; the last column is for the noun after "near", which has no verb.
    """

    plural: Array
    nouns: Array
    verbs: Array
    ends: Array


def _draw_words(stream: np.random.Generator, shape: tuple[int, int], invariable: float, cue: float) -> _Words:
    plural = stream.integers(0, 2, shape)
    marked = NOUN + len(SINGULARS) * plural + stream.integers(0, len(SINGULARS), shape)
    unmarked = SAME + stream.integers(0, len(INVARIABLE), shape)
    nouns = np.where(stream.random(shape) < invariable, unmarked, marked)
    verbs = VERB + len(VERBS[0]) * plural + stream.integers(0, len(VERBS[0]), shape)
    return _Words(plural, nouns, verbs, np.where(stream.random(shape) < cue, ITSELF + plural, AGAIN))


def _first_verb(depth: Array, near: Array) -> Array:
    """Position of the innermost verb, behind all subjects."""
    position: Array = 3 * depth + 2 + 3 * near
    return position


def distances(x: Array) -> Array:
    """Number of words from its noun to the asked verb, [N], of sentences x [N, T]: 1 where it is the next word."""
    near = (x == NEAR).any(1)
    between = ((x == ASKED).argmax(1) - _first_verb((x == THAT).sum(1), near)) // 2
    distance: Array = 1 + 3 * near + 5 * between
    return distance


def bayes_accuracy(context: Literal["left", "both"], invariable: float = 0.25, cue: float = 0.5) -> Ratio:
    """Exact accuracy of the best possible guess at an asked verb, from the words to its left or on both sides.

    The noun of an asked verb is known from the words to its left, and so is its number unless it has one form. All
    numbers are independent, so nothing else tells then but itself/themselves after the verb; without it every guess is
    right with probability 1/2. So: 1 - invariable/2, and 1 - invariable (1 - cue)/2. It is the same at all distances.
    """
    a, q = Ratio(str(invariable)), Ratio(str(cue))
    return 1 - a / 2 if context == "left" else 1 - a * (1 - q) / 2
