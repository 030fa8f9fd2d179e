"""Scores beside hand-worked ones."""

import numpy as np
import pytest
import torch
from workbench.experiments.attention import scores

from workbench.claims.catalog import choose
from workbench.claims.study import Study
from workbench.data.agreement import ASKED, distances
from workbench.data.datasets import Dataset

(ENTRY,) = choose(["attention"])
AGREEMENT = ["data=agreement", "data.clauses=2", "data.examples=60", "split.test=0.5", "train.epochs=1"]


def test_chance_is_the_share_of_the_most_frequent_class() -> None:
    """Chance is 2/3 where two of three targets are of class 1; positions without a target do not count."""
    data = Dataset("three", np.zeros((2, 2), int), np.array([[1, -1], [0, 1]]), 2, vocabulary=1)
    assert scores.chance(data) == pytest.approx(2 / 3)


def test_far_accuracy_is_that_of_far_verbs() -> None:
    """Counted sentence by sentence, for two nets with data of their own."""
    study = Study(ENTRY, {})
    small = ["architecture=elman", "architecture.width=2"]
    trained = study.train({"net": [*small, *AGREEMENT, "data.seed=null"]}, range(2), tracked=False)
    pack, params = trained.final("net")
    x, y = pack.data.chunk(pack.data.test, 0, 30)
    guesses = pack.objective.model.forward(params, x)[0].argmax(-1)
    for net, accuracy in enumerate(scores.with_far(trained).values("net", scores.FAR_ACCURACY)):
        rows = [
            bool(guesses[net, row, at] == y[net, row, at].argmax())
            for row, at in enumerate((x[net] == ASKED).int().argmax(1).tolist())
            if distances(x[net, row : row + 1].numpy())[0] >= 11
        ]
        assert len(rows) > 3
        assert accuracy == pytest.approx(np.mean(rows))


def test_trigrams_see_two_tokens() -> None:
    """A sum of bits is known from two of them at two positions of eight; bits are copied by them hardly ever."""
    study = Study(ENTRY, {})
    bits = ["data=parity_stream", "data.length=8", "data.examples=4000", "data.seed=null", "architecture=elman"]
    (spec,) = study.specs(*bits, seeds=[0])
    assert 0.45 < scores.ngram_accuracy(spec) < 0.75
    assert torch.tensor(scores.dataset_of(study, bits).x.shape).tolist() == [4000, 8]
