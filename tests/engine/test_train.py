"""Training against the same net written in torch, and what a pack may and may not change for a replica."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reference import ACTIVATION_TWINS, LOSS_TWINS, Twin, blobs, blobs_for, build, inputs_of, make_pack, stems
from workbench.config.instantiate import call
from workbench.config.options import option
from workbench.core.seeds import generator
from workbench.data.batches import PARTS, PackData
from workbench.data.datasets import Dataset
from workbench.data.splits import split
from workbench.diagnostics.observed_step import norms
from workbench.engine.evaluate import evaluate
from workbench.engine.history import Record
from workbench.engine.replicas import Pack
from workbench.engine.train import Trainer, step
from workbench.nn.check.torch_twin import copy_into, twin
from workbench.nn.initializers import Scheme, constant, glorot, he
from workbench.nn.inputs import Inputs
from workbench.nn.model import Model
from workbench.nn.optimizers import adam
from workbench.nn.params import Params
from workbench.nn.pretraining import autoencoder
from workbench.nn.schedules import cosine, warmup

DATA_OF = {
    "softmax_nll": "digits",
    "softmax_mse": "wine",
    "weighted_nll": "wine",
    "binary_nll": "breast_cancer",
    "perceptron": "breast_cancer",
    "squared_error": "diabetes",
}
PAIRS = [(activation, "softmax_nll") for activation in sorted(ACTIVATION_TWINS)] + [
    ("tanh", loss) for loss in sorted(LOSS_TWINS) if loss != "softmax_nll"
]


def _train(pack: Pack, batch_size: int = 16, epochs: int = 2) -> tuple[Trainer, list[Record]]:
    trainer = Trainer(pack, batch_size)
    return trainer, list(trainer.run(epochs))


def _loss_curve(pack: Pack, batch_size: int, steps: int) -> Tensor:
    """The batch loss of each step [steps, R]."""
    params = pack.initial_params()
    grads, state = Params.zeros(params.layout.trained, len(pack), params.flat), pack.optimizer.init(params)
    orders = [generator(seed, "order") for seed in pack.seeds]
    losses: list[Tensor] = []
    while len(losses) < steps:
        for rows in torch.split(pack.data.epoch_rows(orders), batch_size, dim=1):
            losses.append(step(pack, params, grads, state, *pack.data.batch(rows)))
    return torch.stack(losses[:steps])


def _twin_batches(pack: Pack, replica: int, batch_size: int) -> Any:
    """The replica's batches, drawn without the pack's own code."""
    own = int(pack.data.split_of[replica])
    x, y = pack.data.train.x[own], pack.data.train.y[own]
    order = generator(pack.seeds[replica], "order")
    while True:
        for rows in torch.split(torch.randperm(len(x), generator=order), batch_size):
            yield x[rows], y[rows]


def _twin_curve(
    pack: Pack, replica: int, names: tuple[str, str], settings: tuple[float, float, float], batch_size: int, steps: int
) -> tuple[list[float], Twin]:
    """Loss of each step of the torch net, and the net as trained; `names` are activation and loss."""
    net = Twin(pack.initial_params(), replica, names[0])
    return _module_curve(pack, replica, net, net.optimizer(*settings), names[1], batch_size, steps), net


def _module_curve(
    pack: Pack, replica: int, net: nn.Module, optimizer: torch.optim.Optimizer, loss: str, batch_size: int, steps: int
) -> list[float]:
    """Loss of each step of a torch module on the replica's batches."""
    losses = []
    for (x, y), _ in zip(_twin_batches(pack, replica, batch_size), range(steps), strict=False):
        optimizer.zero_grad()
        value = LOSS_TWINS[loss](net(x), y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


TOKENS = Inputs((7,), vocabulary=5)
RECURRENT = {"width": 5, "layers": 2, "bidirectional": True}
OF_POSITIONS: dict[str, tuple[Inputs, dict[str, Any]]] = {
    "elman": (Inputs((6,)), RECURRENT),
    "gru": (Inputs((6,)), RECURRENT),
    "lstm": (TOKENS, RECURRENT),
    "cnn": (Inputs((6, 6, 1)), {"channels": [3, 2], "hidden": [5], "dropout": 0.0}),
    "tcn": (TOKENS, {"width": 6, "blocks": 2}),
    "transformer": (TOKENS, {"width": 6, "blocks": 2, "feed_forward": 7}),
}


def _tokens(count: int, inputs: Inputs) -> Dataset:
    """Random sentences, of the class that their first and last tokens add up to."""
    assert inputs.vocabulary is not None
    x = torch.randint(inputs.vocabulary, (count, inputs.size), generator=torch.Generator().manual_seed(0)).numpy()
    return Dataset("tokens", x, (x[:, 0] + x[:, -1]) % 3, 3, vocabulary=inputs.vocabulary)


@pytest.mark.parametrize("name", OF_POSITIONS)
def test_nets_of_positions_train_as_torch_does(name: str) -> None:
    """Twenty steps of two layers or blocks: each step's loss is torch's to 1e-9 in float64."""
    inputs, sizes = OF_POSITIONS[name]

    def model(n_in: int, n_out: int) -> Model:
        given = {"per_position": False, "activation": build("activation", "tanh"), "norm": build("norm", "layer")}
        made: Model = call("architecture", option("architecture", name) | sizes, n_out=n_out, inputs=inputs, **given)
        return made

    data = blobs(60, inputs.size, 3) if inputs.vocabulary is None else _tokens(60, inputs)
    pack = make_pack(data, [0, 1], architecture=model, lr=[0.5, 0.1], momentum=[0.0, 0.9])
    losses, params = _loss_curve(pack, 10, 20), pack.initial_params()
    for r, (lr, momentum) in enumerate([(0.5, 0.0), (0.1, 0.9)]):
        net = twin(pack.objective.model).double()
        copy_into(net, params, r)
        optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)
        expected = _module_curve(pack, r, net, optimizer, "softmax_nll", 10, 20)
        assert losses[:, r].tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_loss_curve_follows_torch(activation: str, loss: str) -> None:
    """40 steps on real data, momentum and decay per replica: each step's loss is torch's to 1e-9 in float64."""
    calm = 1e-4 if activation == "monomial" else 1.0  # two layers of squares on 64 pixels
    lr, momentum, decay = [0.05 * calm, 0.02 * calm], [0.0, 0.9], [0.01, 0.0]
    pack = make_pack(
        build("data", DATA_OF[loss]),
        [0, 1],
        activation=activation,
        loss=loss,
        hidden=[13, 7],
        lr=lr,
        momentum=momentum,
        weight_decay=decay,
    )
    losses = _loss_curve(pack, 30, 40)
    assert losses[-10:].mean() < losses[:10].mean()
    for r in range(2):
        settings = (lr[r], momentum[r], decay[r])
        expected, _ = _twin_curve(pack, r, (activation, loss), settings, 30, 40)
        torch.testing.assert_close(losses[:, r].tolist(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", sorted(LOSS_TWINS))
def test_records_and_final_parameters_follow_torch(loss: str) -> None:
    """The loop as a whole: epoch metrics and the parameters it ends with are those of the torch net."""
    settings = (0.05, 0.9, 0.001)
    pack = make_pack(
        build("data", DATA_OF[loss]),
        [3],
        loss=loss,
        hidden=[10],
        lr=settings[0],
        momentum=settings[1],
        weight_decay=settings[2],
    )
    trainer, records = _train(pack, 64, epochs=2)
    assert [record.step for record in records] == [index * trainer.steps_per_epoch for index in (0, 1, 2, 2)]
    assert [record.epoch for record in records] == [0, 1, 2, 2]
    for record in records[:3]:
        _, twin = _twin_curve(pack, 0, ("tanh", loss), settings, 64, record.step)
        for part in ("train", "valid"):
            _check_metrics(record, part, pack.data, twin, loss)
    _check_metrics(records[3], "test", pack.data, twin, loss)
    final = pack.initial_params().with_flat(trainer.final[0].unsqueeze(0))
    for number, linear in enumerate(twin.linears, start=1):
        torch.testing.assert_close(final[f"l{number}.W"][0], linear.weight.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(final[f"l{number}.b"][0], linear.bias.detach(), rtol=1e-9, atol=1e-12)


def _check_metrics(record: Record, name: str, data: PackData, twin: Twin, loss: str) -> None:
    part = getattr(data, name)
    x, y = part.x[0], part.y[0]
    z = twin(x).detach()
    metrics = record.of(0)
    assert metrics[f"{name}/loss"] == pytest.approx(float(LOSS_TWINS[loss](z, y)), rel=1e-9)
    if loss == "squared_error":
        r2 = 1 - float((z - y).square().sum() / (y - y.mean(0)).square().sum())
        assert metrics[f"{name}/r2"] == pytest.approx(r2, rel=1e-9, abs=1e-12)
    else:
        right = (z > 0) == (y > 0.5) if loss in ("binary_nll", "perceptron") else z.argmax(1) == y.argmax(1)
        assert metrics[f"{name}/accuracy"] == pytest.approx(float(right.double().mean()), rel=1e-12)


# What a replica may depend on


def _final(pack: Pack, epochs: int = 2, batch_size: int = 16) -> Tensor:
    trainer, _ = _train(pack, batch_size, epochs)
    return torch.stack([trainer.final[replica] for replica in range(len(pack))])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_initial_weights_are_the_same_bits_in_any_pack(dtype: torch.dtype) -> None:
    """Alone, among others, in another order, with other replicas' schemes around: seed and scheme decide alone."""
    dataset = blobs(60, 3, 4)
    schemes = [Scheme(he(), constant(0.1)), Scheme(glorot(gain=2.0), constant(0.0))]

    def initial(seeds: Sequence[int]) -> Params:
        own = [schemes[seed % 2] for seed in seeds]
        return make_pack(dataset, seeds, hidden=[5], schemes=own, dtype=dtype).initial_params()

    packed = initial([7, 0, 3, 4])
    for position, seed in enumerate([7, 0, 3, 4]):
        assert torch.equal(initial([seed]).flat[0], packed.flat[position])
    assert torch.equal(initial([4, 3]).flat, packed.flat[[3, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", stems("activation"))
def test_training_in_any_pack_gives_the_same_bits_where_sizes_are_multiples_of_16(
    activation: str, dtype: torch.dtype
) -> None:
    """20 steps with momentum and decay: alone and in packs of 2 and 5, on one thread, the same bits."""
    dataset = blobs(200, 16, 16)

    def final(seeds: Sequence[int]) -> Tensor:
        settings = {name: [value / (1 + seed) for seed in seeds] for name, value in _SETTINGS.items()}
        return _final(make_pack(dataset, seeds, activation=activation, hidden=[32, 16], dtype=dtype, **settings))

    packed = final([0, 1, 2, 3, 4])
    assert packed.isfinite().all()
    assert torch.equal(final([3])[0], packed[3])
    assert torch.equal(final([4, 1]), packed[[4, 1]])


_SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}


@pytest.mark.slow
def test_training_in_another_pack_agrees_whatever_the_sizes() -> None:
    """Odd widths and batches, 100 steps in float64: within 1e-9 relative of the replica alone."""
    dataset = blobs(200, 7, 5)
    settings = {"hidden": [13, 9], "momentum": 0.9, "weight_decay": 0.01}
    packed = _final(make_pack(dataset, [0, 1, 2, 3], **settings), epochs=9, batch_size=15)
    for r in range(4):
        alone = _final(make_pack(dataset, [r], **settings), epochs=9, batch_size=15)[0]
        assert float((alone - packed[r]).norm() / alone.norm()) < 1e-9


def test_the_same_pack_twice_gives_the_same_bits() -> None:
    """Parameters and every recorded number, with odd sizes too."""
    runs = [_train(make_pack(blobs(200, 7, 5), [0, 1, 2], hidden=[13], momentum=0.9), 15) for _ in range(2)]
    assert [record.metrics for record in runs[0][1]] == [record.metrics for record in runs[1][1]]
    for replica in range(3):
        assert torch.equal(runs[0][0].final[replica], runs[1][0].final[replica])


def test_replicas_train_on_their_own_split() -> None:
    """A replica with split seed s sees the examples of split s alone, in every part."""
    dataset = blobs(200, 16, 16)
    pack = make_pack(dataset, [0, 1, 2], split_seeds=[5, 9, 5])
    trainer, records = _train(pack)
    for position, own in enumerate([5, 9, 5]):
        alone, alone_records = _train(make_pack(dataset, [position], split_seeds=[own]))
        assert torch.equal(alone.final[0], trainer.final[position])
        assert [record.of(0) for record in alone_records] == [record.of(position) for record in records]
    elsewhere = make_pack(dataset, [1], split_seeds=[5])
    assert not torch.equal(_final(elsewhere)[0], trainer.final[1])
    rows = pack.data.epoch_rows([generator(seed, "order") for seed in pack.seeds])
    x, _ = pack.data.batch(rows)
    for position, own in enumerate([5, 9, 5]):
        train = torch.as_tensor(split(dataset, own, 0.1, 0.1, True).train.x)
        assert torch.equal(x[position].sort(0).values, train.sort(0).values)


def test_selected_replicas_keep_what_is_theirs() -> None:
    """The pack of some replicas holds their seeds, schemes, numbers and splits, in the order asked for.

    Numbers are in the pack, in its optimizer and objective, and in a schedule that another one stands in.
    """
    schemes = [Scheme(he(), constant(float(number))) for number in range(3)]
    pack = make_pack(
        blobs(60, 3, 4),
        [10, 11, 12],
        lr=[0.1, 0.2, 0.3],
        weight_decay=[0.0, 0.5, 0.25],
        schemes=schemes,
        split_seeds=[1, 2, 1],
        schedule=warmup(2, cosine(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))),
        clip_norm=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
    )
    pack = replace(pack, pretraining=autoencoder(torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64)))
    chosen = pack.select([2, 1])
    assert torch.equal(chosen.learning_rates(0, 9, 9), pack.learning_rates(0, 9, 9)[:, [2, 1]])
    assert chosen.clip_norm is not None
    assert chosen.clip_norm.tolist() == [3, 2]
    assert chosen.pretraining.lr is not None
    assert chosen.pretraining.lr.tolist() == [0.6, 0.5]
    assert chosen.seeds == (12, 11)
    assert chosen.schemes == (schemes[2], schemes[1])
    assert chosen.optimizer.lr.tolist() == [0.3, 0.2]
    assert chosen.optimizer.weight_decay.tolist() == [0.25, 0.5]
    assert chosen.objective.weight_decay is not None
    assert chosen.objective.weight_decay.tolist() == [0.25, 0.5]
    assert chosen.data.split_of.tolist() == [0, 1]
    assert torch.equal(chosen.initial_params().flat, pack.initial_params().flat[[2, 1]])


def test_a_batch_larger_than_the_data_is_the_whole_data() -> None:
    """XOR with batches of 32 trains on its four points, one step an epoch, and learns them."""
    pack = make_pack(build("data", "xor"), [0], loss="binary_nll", hidden=[8], lr=0.5, momentum=0.9)
    trainer, records = _train(pack, 32, epochs=100)
    assert trainer.steps_per_epoch == 1
    assert records[-1].step == 100
    assert records[-1].of(0)["test/accuracy"] == 1


# What a step may not do


def _to_device(record: Any, device: str = "meta") -> Any:
    """A dataclass of tensors with every tensor elsewhere: on torch's meta device nothing can be read back."""
    if isinstance(record, Tensor):
        return record.to(device)
    if not is_dataclass(record) or isinstance(record, type):
        return record
    return replace(
        record,
        **{
            field.name: _to_device(getattr(record, field.name), device)
            for field in fields(record)
            if field.init and field.name not in ("schemes", "device")
        },
    )


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_a_step_reads_nothing_back_from_the_device(activation: str, loss: str) -> None:
    """Batch, step, evaluation and diagnostics run on the meta device: a host sync would raise there."""
    real = make_pack(build("data", DATA_OF[loss]), [0, 1], activation=activation, loss=loss, hidden=[5], momentum=0.9)
    real_params = real.initial_params()
    state = {name: tensor.to("meta") for name, tensor in real.optimizer.init(real_params).items()}
    assert state
    pack = _to_device(real)
    params = real_params.with_flat(real_params.flat.to("meta"))
    grads = Params.zeros(params.layout.trained, 2, params.flat)
    x, y = pack.data.batch(torch.empty(2, 8, dtype=torch.int64, device="meta"))
    assert step(pack, params, grads, state, x, y).device.type == "meta"
    metrics = norms(grads)
    for part in PARTS:
        metrics |= evaluate(pack.objective, params, pack.data, getattr(pack.data, part), units=True)
    assert {value.device.type for value in metrics.values()} == {"meta"}
    assert {tuple(value.shape) for value in metrics.values()} == {(2,)}


SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [5, 4], "dropout": 0.2},
    "maxout_mlp": {"hidden": [5, 4], "dropout": 0.2},
    "residual_mlp": {"width": 5, "blocks": 2, "dropout": 0.2},
    "highway_mlp": {"width": 5, "depth": 2},
    "autoencoder": {"hidden": [5, 3], "dropout": 0.2},
    "perceptron": {},
    "cnn": {"channels": [3], "hidden": [5], "dropout": 0.2},
    "elman": {"width": 5, "layers": 2, "bidirectional": True, "dropout": 0.2},
    "gru": {"width": 5, "layers": 2, "bidirectional": True, "dropout": 0.2},
    "lstm": {"width": 5, "layers": 2, "bidirectional": True, "dropout": 0.2},
    "tcn": {"width": 5, "dropout": 0.2},
}


@pytest.mark.parametrize("norm", stems("norm"))
@pytest.mark.parametrize("architecture", stems("architecture"))
def test_a_step_of_every_architecture_reads_nothing_back(architecture: str, norm: str) -> None:
    """A step and an evaluation of every architecture and norm run on the meta device, so they read no value back."""
    parts = {"activation": build("activation", "leaky_relu"), "norm": build("norm", norm)}
    inputs = inputs_of(architecture, **SIZES.get(architecture, {}))

    def model(n_in: int, n_out: int) -> Model:
        node = {**option("architecture", architecture), **SIZES.get(architecture, {})}
        made: Model = call("architecture", node, n_in=n_in, n_out=n_out, inputs=inputs, per_position=False, **parts)
        return made

    rows = [torch.full((2,), value, dtype=torch.float64) for value in (0.1, 0.9, 0.99, 1e-8, 0.01)]
    real = make_pack(blobs_for(inputs), [0, 1], architecture=model, optimizer=adam(*rows), clip_norm=rows[0])
    real_params = real.initial_params()
    pack = replace(_to_device(real), device=torch.device("meta"))
    params = real_params.with_flat(real_params.flat.to("meta"))
    state = {name: tensor.to("meta") for name, tensor in real.optimizer.init(real_params).items()}
    grads = Params.zeros(params.layout.trained, 2, params.flat)
    x, y = pack.data.batch(torch.empty(2, 8, dtype=torch.int64, device="meta"))
    assert step(pack, params, grads, state, x, y, 3).device.type == "meta"
    metrics = evaluate(pack.objective, params, pack.data, pack.data.valid, units=True)
    assert {value.device.type for value in metrics.values()} == {"meta"}


def test_the_meta_device_would_notice_a_host_sync() -> None:
    """The tool of the test above works: reading a number, or deciding by one, raises."""
    tensor = torch.ones(2, device="meta")
    for read in (lambda: tensor.sum().item(), lambda: bool(tensor.sum() > 0), lambda: tensor.tolist()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            read()


def test_training_never_uses_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends with the same bits when every entrance to autograd raises."""
    pack = make_pack(blobs(200, 16, 16), [0, 1], momentum=0.9, weight_decay=0.01)
    expected = _final(pack)

    def closed(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("training called autograd")

    monkeypatch.setattr(Tensor, "backward", closed)
    monkeypatch.setattr(Tensor, "requires_grad_", closed)
    monkeypatch.setattr(torch.autograd, "backward", closed)
    monkeypatch.setattr(torch.autograd, "grad", closed)
    with torch.inference_mode():
        trainer, _ = _train(pack)
        final = torch.stack([trainer.final[0], trainer.final[1]])
    assert torch.equal(final, expected)


def test_no_tensor_of_training_requires_a_gradient() -> None:
    """Parameters, gradients and losses carry no graph, although gradients are enabled."""
    assert torch.is_grad_enabled()
    pack = make_pack(blobs(100, 5, 3), [0, 1], hidden=[4], momentum=0.9)
    trainer = Trainer(pack, 10)
    x, y = pack.data.batch(pack.data.epoch_rows(trainer.orders)[:, :10])
    loss = step(pack, trainer.params, trainer.grads, trainer.state, x, y)
    for tensor in (loss, trainer.params.flat, trainer.grads.flat, *trainer.state.values()):
        assert not tensor.requires_grad
        assert tensor.grad_fn is None


# What one step costs is another file's matter; what a machine with CUDA adds is here.


@pytest.mark.cuda
@pytest.mark.parametrize("activation", stems("activation"))
def test_cuda_trains_like_the_cpu(activation: str) -> None:
    """Initial weights bit-equal, and after 20 steps in float64 parameters within 1e-9 relative of the CPU's."""
    dataset = blobs(200, 16, 16)
    here, there = (
        make_pack(dataset, [0, 1, 2], activation=activation, momentum=0.9, weight_decay=0.01, device=device)
        for device in ("cpu", "cuda")
    )
    assert torch.equal(here.initial_params().flat, there.initial_params().flat.cpu())
    cpu, cuda = _final(here), _final(there).cpu()
    assert float((cpu - cuda).norm() / cpu.norm()) < 1e-9
