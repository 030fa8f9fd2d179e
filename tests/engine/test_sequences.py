"""Targets at positions through data, losses, training and evaluation; the references are torch's."""

import re
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.reference import build
from workbench.api.own import register
from workbench.config.compose import configure
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.config.validate import validate
from workbench.core.errors import ConfigError, DataError
from workbench.core.seeds import generator
from workbench.data.batches import pack_data
from workbench.data.datasets import NO_TARGET, Dataset
from workbench.data.splits import Change, split
from workbench.engine.evaluate import measure
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer
from workbench.nn.activations import Activation
from workbench.nn.check.gradcheck import against_autograd
from workbench.nn.inputs import Inputs
from workbench.nn.layers.activate import Activate
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.masked import masked
from workbench.nn.layers.readout import Mean
from workbench.nn.model import Model
from workbench.nn.position_loss import at_positions

pytest_plugins = ["tests.outer_fixtures"]

CPU = torch.device("cpu")
WORDS, LENGTH, CLASSES = 5, 6, 4


def _tokens(seed: int = 0, positions: bool = True, examples: int = 40) -> Dataset:
    """Random sentences of 1 to 6 words, padded with 0; targets at words, or one for each sentence."""
    stream = np.random.default_rng(seed)
    lengths = stream.integers(1, LENGTH + 1, (examples, 1))
    x = np.where(np.arange(LENGTH) < lengths, stream.integers(1, WORDS, (examples, LENGTH)), 0)
    y = np.where((x > 0) & (stream.random(x.shape) < 0.8), (x * 7 + 1) % CLASSES, NO_TARGET)
    return Dataset(
        "sentences",
        x.astype(np.int64),
        y if positions else x.max(1) % CLASSES,
        CLASSES,
        vocabulary=WORDS,
        padding=0,
        groups=np.arange(examples) // 4,
    )


def labeled_words() -> Dataset:
    """Sentences with a target at some words."""
    return _tokens()


def labeled_sentences() -> Dataset:
    """Sentences with one target each."""
    return _tokens(positions=False)


def tagger(inputs: Inputs, n_out: int, per_position: bool, activation: Activation, width: int = 7) -> Model:
    """Embedding, units at each position, and an answer at each or over their mean."""
    if inputs.vocabulary is None:
        raise ConfigError(f"architecture: tagger needs tokens, got {inputs.kind}; write data=labeled_words")
    layers = [Embedding("l1", inputs.vocabulary, width), Dense("l2", width, width), Activate("l2", activation)]
    readout = [] if per_position else [Mean()]
    return masked(Model((*layers, *readout, Dense("l3", width, n_out))), inputs.padding)


@pytest.fixture(autouse=True)
def own_options(registered: None) -> None:
    """Register the data sets and the architecture of this file."""
    for function in (labeled_words, labeled_sentences):
        register("data", function.__name__, function)
    register("architecture", "tagger", tagger)


USUAL = ("architecture=tagger", "activation=tanh", "dtype=float64", "device=cpu", "train.batch_size=8")


def _spec(data: str, *overrides: str, seed: int = 0) -> RunSpec:
    return configure([*USUAL, f"data={data}", *overrides, f"seed={seed}", f"split.seed={seed}"])


def test_loss_is_the_mean_over_targets() -> None:
    """C and delta are those of torch's cross entropy over the targets there are, for each replica."""
    loss = at_positions(build("loss", "softmax_nll", smoothing=0.1))
    stream = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 4, 5, generator=stream, dtype=torch.float64)
    labels = torch.randint(-1, 5, (2, 3, 4), generator=stream)
    labels[1, :2] = NO_TARGET
    y = F.one_hot(labels.clamp(min=0), 5).double() * (labels >= 0).unsqueeze(-1)
    value, delta = loss.value_and_delta(z, y)
    for r in range(2):
        leaf = z[r].clone().requires_grad_()
        expected = F.cross_entropy(leaf.flatten(0, 1), labels[r].flatten(), ignore_index=NO_TARGET, label_smoothing=0.1)
        torch.testing.assert_close(value[r], expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(delta[r], torch.autograd.grad(expected, leaf)[0], rtol=1e-12, atol=1e-15)
    assert loss.count(y).tolist() == [int((labels[r] >= 0).sum()) for r in range(2)]


def test_a_batch_without_targets_is_no_step() -> None:
    """Where no position has a target, C and delta are 0, not 0/0."""
    loss = at_positions(build("loss", "softmax_nll"))
    value, delta = loss.value_and_delta(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    assert value.tolist() == [0.0]
    assert not delta.any()


def test_parts_keep_groups_whole_and_tokens_whole() -> None:
    """No group of four sentences is in two parts; tokens are not scaled, and stay int64 in batches."""
    data = _tokens()
    parts = split(data, 3, 0.2, 0.2, standardize=True)
    numbered = split(replace(data, y=np.arange(40), n_classes=40), 3, 0.2, 0.2, standardize=True)
    groups = [{number // 4 for number in part.y} for part in numbered]
    assert [len(group) for group in groups] == [6, 2, 2]
    assert len(set.union(*groups)) == 10
    pack = pack_data([parts], [0, 0], CLASSES, "positions", torch.float32, CPU)
    x, y = pack.batch(torch.tensor([[0, 2], [5, 1]]))
    assert x.dtype == torch.int64
    assert torch.equal(x[1, 0], torch.as_tensor(parts.train.x[5]))
    assert y.shape == (2, 2, LENGTH, CLASSES)
    labels = torch.as_tensor(parts.train.y[5])
    assert torch.equal(y[1, 0].argmax(1)[labels >= 0], labels[labels >= 0])
    assert torch.equal(y[1, 0].sum(1), (labels >= 0).float())


def test_changes_of_tokens() -> None:
    """Label noise changes that share of the targets there are and no other; tokens cannot be made binary."""
    data = _tokens()
    before, after = (split(data, 1, 0.2, 0.2, True, Change(label_noise=noise)).train.y for noise in (0.0, 0.5))
    assert ((before >= 0) == (after >= 0)).all()
    assert (before != after).sum() == round(0.5 * (before >= 0).sum())
    with pytest.raises(DataError, match=r"has tokens, which have no range; drop split\.binarize"):
        split(data, 1, 0.2, 0.2, True, Change(binarize=0.5))


@pytest.mark.parametrize("token", [-1, WORDS])
def test_unknown_tokens_are_refused(token: int) -> None:
    """Tokens and targets are among those that the data set says there are."""
    x = np.array([[0, token]], dtype=np.int64)
    with pytest.raises(DataError, match="tokens must be int64 from 0 to 4"):
        Dataset("d", x, np.array([0]), 2, vocabulary=WORDS).checked()
    with pytest.raises(DataError, match="targets must be int64 from -1 to 1"):
        Dataset("d", np.zeros((1, 2), dtype=np.int64), np.array([[0, 2]]), 2, vocabulary=WORDS).checked()


@dataclass(frozen=True)
class Reference:
    """One replica's net as torch computes it, with its data."""

    pack: Pack
    replica: int

    def loss(self, params: dict[str, Tensor], x: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the targets there are."""
        z = self.outputs(params, x)
        return F.cross_entropy(z.reshape(-1, CLASSES), labels.reshape(-1), ignore_index=CLASSES)

    def outputs(self, params: dict[str, Tensor], x: Tensor) -> Tensor:
        """Logits at each position, or of the mean over words."""
        a = torch.tanh(F.linear(params["l1.W"][x], params["l2.W"], params["l2.b"]))
        if not self.pack.objective.loss.at_positions:
            there = (x > 0).double().unsqueeze(-1)
            a = (a * there).sum(1) / there.sum(1)
        return F.linear(a, params["l3.W"], params["l3.b"])

    def trained(self, epochs: int) -> dict[str, Tensor]:
        """Parameters after so many epochs of gradient descent, in the order that the seed draws."""
        params = {name: value[self.replica].clone() for name, value in self.pack.initial_params().items()}
        stream, part = generator(self.pack.seeds[self.replica], "order"), self.pack.data.train
        rate = float(self.pack.optimizer.lr[self.replica])
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(part.size, generator=stream), 8):
                leaves = {name: value.requires_grad_() for name, value in params.items()}
                loss = self.loss(leaves, part.x[self.replica][rows], part.labels[self.replica][rows])
                slopes = torch.autograd.grad(loss, list(leaves.values()))
                pairs = zip(leaves.items(), slopes, strict=True)
                params = {name: (value - rate * slope).detach() for (name, value), slope in pairs}
        return params


@pytest.mark.parametrize("data", ["labeled_words", "labeled_sentences"])
def test_training_equals_that_of_torch(data: str) -> None:
    """Weights after three epochs and the evaluation there are torch's on the same batches, to 1e-9."""
    pack = build_pack([_spec(data, seed=seed) for seed in range(2)])
    hand, errors = against_autograd(
        pack.objective, pack.initial_params(), *pack.data.batch(torch.arange(16).view(2, 8))
    )
    assert max(errors.values()) < 1e-10
    assert set(hand) == {"l1.W", "l2.W", "l2.b", "l3.W", "l3.b"}
    trainer = Trainer(pack, 8)
    list(trainer.run(3))
    for replica in range(2):
        reference = Reference(pack, replica)
        params = reference.trained(3)
        final = trainer.params.with_flat(trainer.final[replica].unsqueeze(0))
        for name, value in params.items():
            torch.testing.assert_close(final[name][0], value, rtol=1e-9, atol=1e-12)
        _assert_evaluated(reference, params, measure(pack.objective, trainer.params, pack.data, pack.data.test)[0])


def _assert_evaluated(reference: Reference, params: dict[str, Tensor], metrics: dict[str, Tensor]) -> None:
    part, replica = reference.pack.data.test, reference.replica
    x, labels = part.x[replica], part.labels[replica]
    loss, right = float(reference.loss(params, x, labels)), reference.outputs(params, x).argmax(-1) == labels
    found = {name: float(row[replica]) for name, row in metrics.items()}
    assert found["loss"] == pytest.approx(loss, rel=1e-9)
    assert found["accuracy"] == pytest.approx(float(right.sum() / (labels < CLASSES).sum()))
    if reference.pack.objective.loss.at_positions:
        assert found["bits"] == pytest.approx(loss / log(2))
        assert found["perplexity"] == pytest.approx(exp(loss))
        assert found["exact"] == pytest.approx(float((right | (labels == CLASSES)).all(1).double().mean()))


def test_evaluation_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over chunks of a few examples, and blocks of one replica, give what one chunk gives."""
    pack = build_pack([_spec("labeled_words", seed=seed) for seed in range(2)])
    params = pack.initial_params()
    whole, _ = measure(pack.objective, params, pack.data, pack.data.train, units=True)
    monkeypatch.setattr("workbench.engine.evaluate.CHUNK_NUMBERS", 5 * (pack.objective.numbers or 0))
    parts, _ = measure(pack.objective, params, pack.data, pack.data.train, units=True)
    assert whole.keys() == parts.keys() >= {"loss", "bits", "saturation/l2"}
    for name, row in whole.items():
        torch.testing.assert_close(parts[name], row, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_an_architecture_that_does_not_fit_is_refused() -> None:
    """Tokens go to architectures of tokens; a loss without positions and targets that are inputs are refused."""
    for overrides, message in [
        (
            ["architecture=mlp"],
            "architecture: mlp takes features, but data=labeled_words has tokens; write "
            "architecture=transformer (also possible: elman, gru, lstm, tcn)",
        ),
        (["loss=squared_error"], "but data=labeled_words has 4 classes at positions; write loss=softmax_nll"),
        (
            ["target=input", "loss=squared_error"],
            "target: input must be features, but data=labeled_words has tokens; write target=label",
        ),
        (["data=wine"], "architecture: tagger needs tokens, got features"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(message)):
            validate(_spec("labeled_words", *overrides))


@pytest.mark.slow
def test_a_norm_over_padding_is_refused() -> None:
    """Batch norm would count positions that only fill sentences up; layer norm sees each position alone."""
    common = ("data=agreement", "data.examples=100", "architecture=tcn")
    with pytest.raises(ConfigError, match="over the batch, and would count the padding"):
        validate(configure([*common, "norm=batch"]))
    for norm in ("layer", "none"):
        validate(configure([*common, f"norm={norm}"]))


def test_padding_counts_in_no_mean() -> None:
    """What stands at padded positions changes neither the loss nor the mean that a sentence is read out by."""
    for data in ("labeled_words", "labeled_sentences"):
        pack = build_pack([_spec(data)])
        x, y = pack.data.batch(torch.arange(8).view(1, 8))
        params = pack.initial_params()
        before, _ = pack.objective.model.forward(params, x)
        params["l1.W"][:, 0] = 5.0  # of padding
        after, _ = pack.objective.model.forward(params, x)
        loss = pack.objective.loss
        assert torch.equal(loss.value(before, y), loss.value(after, y))
        torch.testing.assert_close(loss.delta(before, y), loss.delta(after, y), rtol=0, atol=0)
        if data == "labeled_sentences":
            assert torch.equal(before, after)
        else:
            assert not torch.equal(before, after)


def test_memory_is_that_of_the_positions() -> None:
    """Numbers of an example count all positions; trained parameters are exact."""
    shared = prepare(_spec("labeled_words"))
    assert shared.n_params == WORDS * 7 + 7 * 7 + 7 + 7 * CLASSES + CLASSES
    least = LENGTH * (1 + 7 + 7 + 7 + CLASSES)  # tokens, vectors, z, a, logits
    assert least <= (shared.numbers or 0) <= 2 * least
