"""Title and content of an explanation, by the kind of the net."""

from workbench.config.schema import RunSpec
from workbench.lecture.explain import content, elman, transformer
from workbench.lecture.explain.content import Step
from workbench.lecture.explain.step import exact_pack, refuse_padding
from workbench.lecture.explain.worked import work
from workbench.nn.layers.attention import Attention
from workbench.nn.layers.base import contains
from workbench.nn.layers.recurrent import Recurrent


def explanation(spec: RunSpec, example: int) -> tuple[str, list[Step]]:
    """Work a training step on an example, the first being 1; raises ConfigError for nets that have no page."""
    pack = exact_pack(spec)
    model = pack.objective.model
    for kind, page in ((Recurrent, elman.page), (Attention, transformer.page)):
        if contains(model, kind):
            refuse_padding(spec, model)
            return page(spec, pack, example)
    worked = work(spec, pack, example)
    return content.title(spec, worked), list(content.steps(spec, worked))
