"""Language models as a stage before the training on labels: what is hidden, what is learned, and what is kept."""

from dataclasses import replace

import pytest
import torch

from tests.engine.test_sequences import CLASSES, LENGTH, WORDS, Reference, _spec, own_options
from workbench.certificates.trained import spot_points
from workbench.config.compose import configure
from workbench.config.prepare import build_pack, prepare
from workbench.config.validate import validate
from workbench.core.errors import ConfigError, ShapeError
from workbench.engine.replicas import Pack
from workbench.engine.stages import make_trainer, stage_pack
from workbench.nn.check.gradcheck import against_autograd, autograd
from workbench.nn.check.spot_check import deviations
from workbench.nn.layers.base import EVALUATION, Mode
from workbench.nn.layers.cells import GRU
from workbench.nn.layers.dense import Dense
from workbench.nn.layers.embedding import Embedding
from workbench.nn.layers.recurrent import Bidirectional, Recurrent
from workbench.nn.masking import Masking, next_tokens
from workbench.nn.model import Model
from workbench.nn.params import Params
from workbench.nn.pretraining import Pretraining
from workbench.nn.pretraining_stages import stages

pytest_plugins = ["tests.outer_fixtures"]
__all__ = ["own_options"]  # a fixture of all tests here

MASKED = ("pretraining=masked_lm", "pretraining.epochs=2", "pretraining.lr=0.5")
NEXT = ("pretraining=next_token", "pretraining.epochs=2", "pretraining.lr=0.5")


def test_shares_of_hidden_tokens() -> None:
    """15 % are chosen; of those 80 % become the mask, 10 % another token or the same, 10 % stay; padding never is."""
    keys = torch.arange(4)
    x = torch.randint(1, 20, (4, 200, 100), generator=torch.Generator().manual_seed(0))
    x[:, :, 90:] = 0
    y = torch.nn.functional.one_hot(x, 21).double()
    hidden, targets = Masking(0.15, 20, padding=0)(x, y, Mode(True, keys))
    chosen = targets.sum(3).bool()
    assert torch.equal(targets[chosen], y[chosen])
    assert not chosen[:, :, 90:].any()
    assert torch.equal(hidden[~chosen], x[~chosen])
    count = 4 * 200 * 90
    assert chosen.sum() / count == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / count) ** 0.5)
    masked, kept = (hidden == 20)[chosen].double().mean(), (hidden == x)[chosen].double().mean()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / 19, abs=0.02)
    others = hidden[chosen & (hidden != 20) & (hidden != x)]
    assert set(others.tolist()) == set(range(1, 20))


def test_choices_are_those_of_the_key() -> None:
    """A replica hides the same tokens alone and in a pack, others at another step, in evaluation always the same."""
    x = torch.randint(0, 9, (3, 5, 7), generator=torch.Generator().manual_seed(0))
    y = torch.nn.functional.one_hot(x, 10).double()
    masking = Masking(0.5, 9)
    together = masking(x, y, Mode(True, torch.tensor([4, 5, 6])))
    alone = masking(x[1:2], y[1:2], Mode(True, torch.tensor([5])))
    assert torch.equal(together[0][1:2], alone[0])
    assert torch.equal(together[1][1:2], alone[1])
    assert not torch.equal(masking(x[1:2], y[1:2], Mode(True, torch.tensor([6])))[0], alone[0])
    assert torch.equal(masking(x, y, EVALUATION)[0], masking(x, y, EVALUATION)[0])


def test_every_step_hides_other_tokens() -> None:
    """The stage of a net without dropout hides other places at each step; a pass without keys is refused."""
    pack = build_pack([_spec("labeled_words", *MASKED)])
    (stage,) = stages(pack.objective.model, pack.pretraining)
    learner = stage_pack(pack, pack.initial_params(), stage)
    x, y = learner.data.batch(torch.arange(16).view(1, 16))
    hidden = [learner.objective.seen(x, y, learner.mode(step))[1].sum(3).bool() for step in range(20)]
    often = torch.stack(hidden).sum(0)[x != 0]
    assert (often > 0).double().mean() > 0.9  # 1 - 0.85^20 = 0.96
    assert often.max() < 12
    with pytest.raises(ShapeError, match=r"a training pass needs Mode.keys \[R\], got None"):
        learner.objective.seen(x, y, Mode(True))


def test_next_tokens() -> None:
    """The target is the token after; there is none at the end and before padding."""
    assert next_tokens(torch.tensor([[[3, 4, 5], [6, 0, 0]]]), 9, padding=0).tolist() == [[[4, 5, 9], [9, 9, 9]]]
    assert next_tokens(torch.tensor([[[3, 0, 5]]]), 9).tolist() == [[[0, 5, 9]]]


@pytest.mark.parametrize("overrides", [MASKED, NEXT])
def test_gradients_of_a_language_model_equal_autograd(overrides: tuple[str, ...]) -> None:
    """Gradients of the stage are autograd's to 1e-10 in training, and a spot check finds nothing."""
    pack = build_pack([_spec("labeled_words", *overrides, seed=seed) for seed in range(2)])
    params = pack.initial_params()
    (stage,) = stages(pack.objective.model, pack.pretraining)
    learner = stage_pack(pack, params, stage)
    x, y = learner.data.batch(torch.arange(16).view(2, 8))
    _, errors = against_autograd(learner.objective, learner.initial_params(), x, y, Mode(True, torch.tensor([3, 4])))
    assert set(errors) == {"l1.W", "l2.W", "l2.b", "lm.W", "lm.b"}
    assert max(errors.values()) < 1e-10
    for point in spot_points(pack, params, range(2)):
        assert deviations(point)[0] == []


@pytest.mark.parametrize("overrides", [MASKED, NEXT])
def test_the_net_begins_from_what_the_language_model_learned(overrides: tuple[str, ...]) -> None:
    """The loss of the stage falls; the net then has its embedding and layers, and an output as initialized."""
    long = ("pretraining.epochs=15", "pretraining.lr=0.2", *["pretraining.masked=0.5"] * (overrides is MASKED))
    pack = build_pack([_spec("labeled_sentences", *overrides, "architecture.width=16", *long)])
    before = pack.initial_params()
    trainer = make_trainer(pack, 8)
    records = list(trainer.run(1))
    losses = [record.metrics["pretrain.1/loss"][0] for record in records[:16]]
    assert losses[15] < losses[0]
    reached = _params_at_the_start(pack)
    assert not torch.equal(reached["l1.W"], before["l1.W"])
    assert not torch.equal(reached["l2.W"], before["l2.W"])
    assert torch.equal(reached["l3.W"], before["l3.W"])


def _params_at_the_start(pack: Pack) -> dict[str, torch.Tensor]:
    """Parameters of the whole net as its own training begins."""
    trainer = make_trainer(pack, 8)
    records = trainer.run(1)
    for record in records:
        if "train/loss" in record.metrics:
            break
    return {name: value.clone() for name, value in trainer.params.items()}


def test_a_frozen_body_is_the_language_model() -> None:
    """In the frozen stage the output alone learns, on the mean of what the body makes of a sentence."""
    pack = build_pack(
        [_spec("labeled_sentences", *MASKED, "pretraining.frozen_epochs=2", seed=seed) for seed in (0, 1)]
    )
    trainer = make_trainer(pack, 8)
    seen = {}
    for record in trainer.run(1):
        if "train/loss" in record.metrics:
            break
        seen |= {name: row for name, row in record.metrics.items() if name.startswith("frozen")}
    reached = {name: value.clone() for name, value in trainer.params.items()}
    stage = stages(pack.objective.model, pack.pretraining)[1]
    coded = stage_pack(pack, trainer.params, stage).data.train
    assert coded.x.shape == (2, pack.data.train.size, 7)
    reference = Reference(pack, 1)
    params = {name: value[1] for name, value in reached.items()}
    part = pack.data.train
    assert seen["frozen/loss"][1] == pytest.approx(float(reference.loss(params, part.x[1], part.labels[1])), rel=1e-9)


def test_codes_at_positions_are_frozen_too() -> None:
    """With a target at each word, the frozen stage has a code for each position, and its loss is over the targets."""
    pack = build_pack([_spec("labeled_words", *NEXT, "pretraining.frozen_epochs=1")])
    trainer = make_trainer(pack, 8)
    records = [record for record in trainer.run(1) if "frozen/loss" in record.metrics]
    assert len(records) == 2
    assert records[1].metrics["frozen/loss"][0] < records[0].metrics["frozen/loss"][0]
    stage = stages(pack.objective.model, pack.pretraining)[1]
    coded = stage_pack(pack, trainer.params, stage).data.train
    assert coded.x.shape == (1, pack.data.train.size, LENGTH, 7)


def test_a_mask_is_a_token_of_its_own() -> None:
    """The net has one row more for the mask, and the memory of the larger output is counted."""
    plain, masked = (prepare(_spec("labeled_words", *overrides)) for overrides in ((), MASKED))
    assert masked.inputs == replace(plain.inputs, vocabulary=WORDS + 1)
    assert masked.n_params == plain.n_params + 7
    assert CLASSES < WORDS + 1
    assert (masked.numbers or 0) > (plain.numbers or 0)


def test_nets_without_tokens_are_refused() -> None:
    """A language model of features is refused with what to write."""
    for data, overrides in (("wine", ["architecture=mlp"]),):
        with pytest.raises(ConfigError, match="a language model needs a net of tokens, got "):
            validate(_spec(data, *overrides, *MASKED))


def test_a_net_that_sees_the_next_token_is_refused() -> None:
    """A bidirectional net may guess hidden tokens, but not the next one."""
    layers = (Bidirectional(*(Recurrent(f"l2.{way}", 3, 2, GRU(), way == "back") for way in ("ahead", "back"))),)
    model = Model((Embedding("l1", 4, 3), *layers, Dense("l3", 4, 2)))
    rates = torch.full((1,), 0.1)
    assert len(stages(model, Pretraining(1, rates, 0.15, kind="masked_lm"))) == 1
    with pytest.raises(ConfigError, match=r"must read from the left alone, got a bidirectional one"):
        stages(model, Pretraining(1, rates, kind="next_token"))


TIED = (
    *("data=text", "data.length=6", "data.min_count=2000", "split.limit=40", "dtype=float64", "device=cpu"),
    *("architecture=transformer", "architecture.tied=true", "architecture.width=4", "architecture.blocks=1"),
    *("architecture.feed_forward=5", "activation=tanh", "pretraining=next_token", "pretraining.epochs=1"),
)


def test_a_tied_output_stays_tied_in_the_language_model() -> None:
    """The table has the gradient of both uses, written and not added to that of the step before."""
    pack = build_pack([configure([*TIED, f"seed={seed}", "split.seed=0"]) for seed in range(2)])
    (stage,) = stages(pack.objective.model, pack.pretraining)
    learner = stage_pack(pack, pack.initial_params(), stage)
    params = learner.initial_params()
    assert {name for name in params if name.startswith("lm.")} == {"lm.b"}
    x, y = learner.data.batch(torch.arange(16).view(2, 8))
    grads = Params.zeros(params.layout.trained, 2, params.flat)
    grads.flat.fill_(5.0)  # of the step before
    learner.objective.gradients(params, grads, x, y)
    expected = autograd(learner.objective, params, x, y)
    for name, gradient in grads.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-14)


def test_a_tied_output_does_not_train_alone() -> None:
    """A frozen stage of a tied output is refused with what to write."""
    with pytest.raises(ConfigError, match="an output that trains alone must have weights of its own"):
        validate(configure([*TIED, "pretraining.frozen_epochs=1"]))
