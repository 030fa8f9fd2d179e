"""Outline of a model: shapes and parameters worked by hand, and blocks that repeat."""

import pytest

import workbench as wb
from workbench.config.prepare import prepare, scheme_of
from workbench.inspect.model_figure import model_figure
from workbench.nn.outline import Outline, outline, repeats


def outline_of(*words: str) -> Outline:
    """The outline of a configuration's net."""
    spec = wb.configure(*words)
    shared = prepare(spec)
    return outline(shared.model, shared.inputs, dict(scheme_of(spec).constants))


def test_shapes_and_parameters_by_hand() -> None:
    """Wine's 13 features, five units, three classes: 13·5 + 5 and 5·3 + 3 parameters."""
    net = outline_of("data=wine", "architecture.hidden=[5]")
    boxes = [(box.kind, box.shape, box.parameters) for block in net.blocks for box in block.boxes]
    assert boxes == [("Dense", (5,), 70), ("Activate", (5,), 0), ("Dense", (3,), 18)]
    assert (net.inputs, net.parameters) == ((13,), 88)


@pytest.mark.parametrize(
    "words",
    [
        ("architecture=residual_mlp", "norm=batch"),
        pytest.param(("architecture=cnn", "data=digits"), marks=pytest.mark.slow),
        pytest.param(("architecture=transformer", "data=recall"), marks=pytest.mark.slow),
        pytest.param(("architecture=gru", "data=counter"), marks=pytest.mark.slow),
    ],
)
def test_parameters_are_those_of_the_net(words: tuple[str, ...]) -> None:
    """All boxes together have the parameters that a replica is drawn, and the last leaves what the loss takes."""
    spec = wb.configure(*words)
    shared = prepare(spec)
    net = outline_of(*words)
    assert net.parameters == sum(values.numel() for values in shared.model.init(0, scheme_of(spec)).values())
    assert any(block.is_residual for block in net.blocks) == (
        words[0] in ("architecture=residual_mlp", "architecture=transformer")
    )


def test_repeated_blocks_are_drawn_once() -> None:
    """Eight equal hidden layers: the first, which sees the inputs, seven of one kind, and the output."""
    net = outline_of("data=wine", "architecture.hidden=[5,5,5,5,5,5,5,5]")
    groups = repeats(net.blocks)
    assert sum(len(blocks) * count for blocks, count in groups) == len(net.blocks) == 17
    assert [count for _, count in groups if count > 1] == [7]
    (axes,) = model_figure(net, "net").axes
    assert "× 7" in [text.get_text() for text in axes.texts]
