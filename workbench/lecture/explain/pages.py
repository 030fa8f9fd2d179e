"""Title and content of an explanation, by the kind of the net."""

from workbench.config.schema import RunSpec
from workbench.lecture.explain import content, elman, transformer
from workbench.lecture.explain.content import Step
from workbench.lecture.explain.step import exact_pack
from workbench.lecture.explain.worked import work


def explanation(spec: RunSpec, example: int) -> tuple[str, list[Step]]:
    """Work a training step on an example, the first being 1; raises ConfigError for nets that have no page."""
    pack = exact_pack(spec)
    model = pack.objective.model
    for is_kind, page in ((elman.is_recurrent, elman.page), (transformer.has_attention, transformer.page)):
        if is_kind(model):
            return page(spec, pack, example)
    worked = work(spec, pack, example)
    return content.title(spec, worked), list(content.steps(spec, worked))
