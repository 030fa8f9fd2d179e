"""Scores of trained nets, and of what they are compared with: guesses at random, n-grams."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

import workbench as wb
from workbench.config.prepare import prepare
from workbench.config.schema import RunSpec
from workbench.data.agreement import distances
from workbench.data.datasets import NO_TARGET, Dataset
from workbench.data.ngrams import ngrams

ACCURACY, FAR_ACCURACY = "test/accuracy", "test/far"
FAR = 11  # words from a noun to its verb with two clauses between them, at least
ORDER = 3  # of n-grams: trigrams, of two tokens and the class that follows


def dataset_of(study: wb.Study, overrides: Sequence[str]) -> Dataset:
    """A task's data set: what all of its draws have in common can be read off it."""
    (spec,) = study.specs(*overrides, seeds=[0])
    return prepare(spec).dataset


def chance(data: Dataset) -> float:
    """Share of the most frequent class among the targets: the accuracy of the best constant guess."""
    counts = np.bincount(data.y[data.y != NO_TARGET])
    return float(counts.max() / counts.sum())


def with_far(trained: wb.Trained) -> wb.Trained:
    """The same runs with one metric more: the accuracy at verbs that are far from their nouns."""
    metrics = {
        arm: [{**one, FAR_ACCURACY: far} for one, far in zip(several, far_accuracies(trained, arm), strict=True)]
        for arm, several in trained.metrics.items()
    }
    return replace(trained, metrics=metrics)


def far_accuracies(trained: wb.Trained, arm: str) -> list[float]:
    """Share of right answers of an arm's nets in test sentences whose verb is `FAR` words from its noun or more."""
    pack, params = trained.final(arm)
    x, y = pack.data.chunk(pack.data.test, 0, pack.data.test.size)
    z = pack.objective.model.forward(params, x)[0]
    asked = y.any(-1)
    right = ((z.argmax(-1) == y.argmax(-1)) & asked).any(2)
    far = torch.as_tensor(np.stack([distances(one) >= FAR for one in x.numpy()]))
    return [float(one[at].double().mean()) for one, at in zip(right, far, strict=True)]


def ngram_accuracy(spec: RunSpec) -> float:
    """Share of a run's test targets that trigrams guess, fitted to its training and validation part."""
    shared = prepare(spec)
    parts = shared.split(spec.config.split)
    there = parts.test.y != NO_TARGET
    guesses = ngrams(shared.dataset, parts, ORDER).guesses(parts.test.x)
    return float((guesses == parts.test.y)[there].mean())
