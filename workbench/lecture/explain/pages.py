"""Title and content of an explanation, by the kind of the net."""

from collections.abc import Callable

from workbench.config.schema import RunSpec
from workbench.engine.replicas import Pack
from workbench.lecture.explain import cnn, content, elman, gru, lstm, transformer
from workbench.lecture.explain.content import Step
from workbench.lecture.explain.movie import movie
from workbench.lecture.explain.step import exact_pack, refuse_padding
from workbench.lecture.explain.worked import work
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import contains, within
from workbench.nn.layers.cells import GRU, LSTM, Cell, Elman
from workbench.nn.layers.conv2d import Conv2d
from workbench.nn.layers.recurrent import Recurrent
from workbench.nn.model import Model

Page = Callable[[RunSpec, Pack, int], tuple[str, list[Step]]]
RECURRENT: dict[type[Cell], Page] = {Elman: elman.page, GRU: gru.page, LSTM: lstm.page}


def explanation(spec: RunSpec, example: int) -> tuple[str, list[Step]]:
    """Work a training step on an example, the first being 1; raises ConfigError for nets that have no page."""
    pack = exact_pack(spec)
    model = pack.objective.model
    if page := _of_positions(model):
        refuse_padding(spec, model)
        return page(spec, pack, example)
    worked = work(spec, pack, example)
    steps = list(content.steps(spec, worked))
    return content.title(spec, worked), [movie(spec, pack, worked, steps), *steps]


def _of_positions(model: Model) -> Page | None:
    """Choose the page of a net of positions by its kind of layer."""
    if recurrent := next((layer for layer in within(model) if isinstance(layer, Recurrent)), None):
        return RECURRENT[type(recurrent.cell)]
    kinds = ((Attention, transformer.page), (Conv2d, cnn.page))
    return next((page for kind, page in kinds if contains(model, kind)), None)
