"""Bodies of language models: what they learn from, and that they are trained once and used again as they are."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.engine.test_sequences import _spec, own_options
from workbench.config.prepare import build_pack, prepare
from workbench.config.schema import RunSpec
from workbench.config.unlabeled import unlabeled
from workbench.config.validate import validate
from workbench.core.errors import ConfigError
from workbench.data.splits import shuffled
from workbench.engine import pretrained
from workbench.engine.replicas import Pack
from workbench.engine.stages import Pretrainer, make_trainer, stage_pack
from workbench.engine.train import Trainer
from workbench.nn.pretraining import Pretraining
from workbench.nn.pretraining_stages import stages

pytest_plugins = ["tests.outer_fixtures"]
__all__ = ["own_options"]  # a fixture of all tests here

LM = ("pretraining=masked_lm", "pretraining.epochs=2", "pretraining.lr=0.5", "pretraining.examples=24")
FEW, MORE = ("split.limit=6", "optimizer.lr=0.1"), ("split.limit=12", "optimizer.lr=0.2")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin without trained bodies, and leave none."""
    pretrained.forget_trained()
    yield
    pretrained.forget_trained()


def spec(*overrides: str, seed: int = 0, data: str = "labeled_sentences") -> RunSpec:
    """Configure a net of tokens that is pretrained on 24 sentences."""
    return _spec(data, *LM, *overrides, seed=seed)


def ended(pack: Pack) -> tuple[list[dict[str, list[float]]], dict[int, torch.Tensor]]:
    """Train a pack; its metrics record by record, and its final parameters."""
    trainer = make_trainer(pack, 8)
    return [record.metrics for record in trainer.run(2)], trainer.final


def same(first: dict[int, torch.Tensor], second: dict[int, torch.Tensor]) -> bool:
    """Whether parameters are the same bits."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_body_that_was_trained_is_the_one_that_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other labels and another rate, parameters and records are the same bits, without a step of the stage."""
    pack = build_pack([spec(*MORE, seed=seed) for seed in range(2)])
    trained = ended(pack)
    pretrained.forget_trained()
    ended(build_pack([spec(*FEW, seed=seed) for seed in (1, 0)]))  # other labels, another order
    begun: list[int] = []
    monkeypatch.setattr("workbench.engine.stages.Trainer._train_epoch", counted(begun))
    taken = ended(pack)
    assert len(begun) == 2  # of the whole net alone
    assert taken[0] == trained[0]
    assert same(taken[1], trained[1])


def counted(begun: list[int]) -> object:
    """Wrap the training of an epoch, which is counted."""
    right = Trainer._train_epoch

    def train_epoch(self: Trainer, *given: object) -> object:
        begun.append(len(self.pack))
        return right(self, *given)  # type: ignore[arg-type]

    return train_epoch


def test_replicas_with_one_body_train_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four replicas of two seeds train two bodies, and end as each of them does alone."""
    specs = [spec("split.limit=6", f"optimizer.lr={rate}", seed=seed) for rate in (0.1, 0.2) for seed in range(2)]
    alone = []
    for one in specs:
        pretrained.forget_trained()
        alone.append(ended(build_pack([one]))[1][0])
    pretrained.forget_trained()
    begun: list[int] = []
    monkeypatch.setattr("workbench.engine.stages.Trainer._train_epoch", counted(begun))
    together = ended(build_pack(specs))[1]
    assert begun == [2, 2, 4, 4]
    assert same(together, dict(enumerate(alone)))


@pytest.mark.slow
def test_training_goes_on_where_the_bodies_are_gone() -> None:
    """Snapshots taken while bodies are used again are of the stage's beginning, or of what follows."""
    pack = build_pack([spec(*FEW)])
    ended(pack)
    whole = make_trainer(pack, 8)
    snapshots = [whole.snapshot().copied() for _ in whole.run(2)]
    pretrained.forget_trained()
    for snapshot in snapshots[:-1]:
        again = make_trainer(pack, 8)
        again.restore(snapshot)
        list(again.run(2))
        assert same(again.final, whole.final)


def test_a_language_model_sees_examples_without_targets() -> None:
    """The stage trains on 24 sentences, of which the net has six with targets; its steps are counted."""
    pack = build_pack([spec("split.limit=6")])
    (stage,) = stages(pack.objective.model, pack.pretraining)
    learner = stage_pack(pack, pack.initial_params(), stage)
    assert learner.data.train.x.shape[1] == 24
    assert torch.equal(learner.data.train.x[:, :6], pack.data.train.x)
    trainer = make_trainer(pack, 8)
    assert isinstance(trainer, Pretrainer)
    steps = [(record.epoch, record.step) for record in trainer.run(2)]
    assert steps == [(0, 0), (1, 3), (2, 6), (2, 6), (3, 7), (4, 8), (4, 8)]
    assert trainer.finish([], 8).step == 8


@pytest.mark.slow
def test_the_text_of_a_body_is_of_all_that_determines_it() -> None:
    """Labels and rates of the whole net leave the text as it is; everything else changes it."""

    def text(*overrides: str, **given: int) -> str:
        return build_pack([spec(*overrides, **given)]).bodies[0]

    usual = text()
    for other in (FEW, MORE, ("train.epochs=1",), ("pretraining.frozen_epochs=1",), ("schedule=cosine",)):
        assert text(*other) == usual
    changed = [
        *("pretraining.epochs=1", "pretraining.lr=0.1", "pretraining.masked=0.3", "pretraining.examples=23"),
        *("pretraining.shuffled=true", "architecture.width=8", "activation=relu", "init=glorot"),
        *("optimizer=adam", "train.batch_size=4", "train.clip_norm=1", "dtype=float32"),
    ]
    texts = [text(other) for other in changed]
    assert len({usual, text(seed=1), *texts}) == len(changed) + 2


@pytest.mark.slow
def test_a_mask_in_attention_is_no_part_of_the_text() -> None:
    """What the whole net does with its body, read both ways or from the last position, does not determine it."""
    net = ("architecture=transformer", "architecture.width=4", "architecture.heads=2", "architecture.feed_forward=4")
    ways = (("architecture.causal=false",), ("architecture.readout=mean",), ())
    assert len({build_pack([spec(*net, *way)]).bodies for way in ways}) == 1


def test_shuffled_sentences_have_the_same_tokens() -> None:
    """Each sentence keeps its tokens, padding at the end, in an order that its seed draws."""
    x = np.array([[3, 1, 2, 4, 1, 0, 0], [4, 3, 2, 1, 4, 2, 3]] * 50)
    mixed = shuffled(x, 5, padding=0)
    assert np.array_equal(np.sort(mixed), np.sort(x))
    assert (mixed[::2, 5:] == 0).all()
    assert (mixed[1::2] != x[1::2]).mean() > 0.5
    assert np.array_equal(shuffled(x, 5, 0), mixed)
    assert not np.array_equal(shuffled(x, 6, 0), mixed)
    one = spec("pretraining.shuffled=true")
    settings = Pretraining(2, examples=24, shuffled=True, kind="masked_lm")
    drawn = unlabeled(prepare(one), one.config.split, settings)
    plain = unlabeled(prepare(one), one.config.split, Pretraining(2, examples=24, kind="masked_lm"))
    assert np.array_equal(np.sort(drawn), np.sort(plain))
    assert not np.array_equal(drawn, plain)


def test_more_examples_than_there_are_are_refused() -> None:
    """A number beyond the training part is refused with what to write, which is taken."""
    with pytest.raises(ConfigError, match="examples: must be at most the 32 examples of the training part, got 33; "):
        validate(spec("split.limit=6", "pretraining.examples=33"))
    validate(spec("split.limit=6", "pretraining.examples=32"))


@pytest.mark.slow
def test_the_oldest_bodies_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many bytes the body that was used last the longest ago is dropped."""
    packs = [build_pack([spec(*FEW, seed=seed)]) for seed in range(3)]
    ended(packs[0])
    (body,) = pretrained.trained_bodies(packs[0].bodies)
    monkeypatch.setattr(pretrained, "MOST_BYTES", 2 * body.bytes)
    ended(packs[1])
    pretrained.trained_bodies(packs[0].bodies)
    ended(packs[2])
    assert [bool(pretrained.trained_bodies(pack.bodies)) for pack in packs] == [True, False, True]
