"""Who may import whom, and what the package keeps to itself, read from the source with `ast`.

A module imports from its own level of the ladder or from lower ones. A new module takes the level of the longest name
in LEVELS that it begins with; one that stands higher gets its own line there.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = {
    "core": 0,
    "nn": 1,
    "data": 1,
    "tracking.base": 1,
    "nn.layers": 2,
    "nn.model": 3,
    "nn.builders": 3,
    "nn.pretraining_stages": 3,
    "nn.lsuv": 3,
    "nn.objective": 3,
    "nn.check": 3,
    "lecture": 3,
    "diagnostics": 4,
    "proofs": 4,
    "config.schema": 5,
    "config.arms": 5,
    "config.quoting": 0,
    "engine": 5,
    "claims": 6,
    "tracking": 6,
    "config": 7,
    "experiments": 7,
    "lecture.slides": 6,
    "runs": 8,
    "certificates": 8,
    "lecture.explain": 9,
    "sweeps": 9,
    "bench": 9,
    "inspect": 9,
    "claims.catalog": 8,
    "claims.trained_arms": 9,
    "claims.study": 9,
    "claims.reproduce": 9,
    "claims.reproduction": 10,
    "api": 10,
    "cli": 10,
    "__main__": 10,
}
FENCES = {
    # library: the modules (or packages) that may import it
    "hydra": ("config", "sweeps", "bench.usual"),
    "omegaconf": ("config", "sweeps", "bench.usual"),
    "mlflow": ("tracking", "bench.usual"),
    "pandas": ("claims", "inspect", "data"),  # the users' own tables
    "matplotlib": ("", "claims", "inspect"),  # the package itself names Figure for claims to draw on
    "optuna": ("sweeps.pruning",),
    "ray": ("sweeps.executors",),
    "submitit": ("sweeps.executors",),
}
NUMPY_FREE = ("nn", "engine", "diagnostics")
PLACED = {  # torch's functions whose last bits depend on where a number lies, or on how many replicas there are
    *("sigmoid", "softplus", "silu", "gelu", "elu", "selu", "mish", "logit", "logaddexp", "exp2", "hypot", "pow"),
    *("bmm", "baddbmm", "matmul", "einsum"),
}
TRAINING = ("nn.activations", "nn.losses", "nn.layers", "nn.optimizers", "nn.schedules", "nn.objective", "engine")
AUTOGRAD = ("nn.check.gradcheck", "nn.check.spot_check", "bench.rivals", "bench.usual.__main__")


def _module(file: Path) -> str:
    """Dotted name without ``workbench.``; empty for the package's own __init__."""
    parts = file.relative_to(ROOT / "workbench").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_module(file): ast.parse(file.read_text()) for file in sorted((ROOT / "workbench").rglob("*.py"))}
MODULES = sorted(name for name in SOURCES if name)
PLUGINS = {file.name: ast.parse(file.read_text()) for file in sorted((ROOT / "hydra_plugins").glob("*.py"))}


def _within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Full names of all imports, those inside functions too; of ``from a import b`` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _neighbors(module: str) -> set[str]:
    """The workbench modules that a module imports; a package counts where something of its __init__ is taken."""
    names = {name.removeprefix("workbench.") for name in _imported(SOURCES[module]) if name.startswith("workbench.")}
    return {name for name in names if name in SOURCES and name != module}


def _libraries(module: str) -> set[str]:
    return {name.partition(".")[0] for name in _imported(SOURCES[module])}


def _level(module: str) -> int:
    owners = [name for name in LEVELS if _within(module, (name,))]
    assert owners, f"{module}: give it a level in LEVELS"
    return LEVELS[max(owners, key=len)]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_the_ladder(module: str) -> None:
    """No module imports from a higher level."""
    above = {name: _level(name) for name in _neighbors(module) if _level(name) > _level(module)}
    assert not above, f"{module} (level {_level(module)}) imports from higher levels: {above}"


def test_engine_sees_tracking_through_its_base_only() -> None:
    """Neither the mathematics nor the engine knows how runs are kept."""
    for module in MODULES:
        if _within(module, ("nn", "data", "diagnostics", "engine")):
            assert not {name for name in _neighbors(module) if _within(name, ("tracking",))} - {"tracking.base"}, module


def test_there_is_no_import_cycle() -> None:
    """Not even through imports inside functions; a package's __init__ is imported before what lies in it."""
    graph = {module: _neighbors(module) for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("library", sorted(FENCES))
def test_libraries_stay_in_their_fences(library: str) -> None:
    """Whoever wants to replace a library finds all of it in one place."""
    outside = [name for name in SOURCES if library in _libraries(name) and not _within(name, FENCES[library])]
    assert not outside, f"{library} belongs in {FENCES[library]}, found in {outside}"


def test_numpy_stays_out_of_the_mathematics() -> None:
    """One array library in the training step: no copy to the host can slip in."""
    assert not [name for name in MODULES if _within(name, NUMPY_FREE) and "numpy" in _libraries(name)]


def test_the_schema_imports_no_torch() -> None:
    """`workbench.config.schema` describes runs without loading what trains them."""
    assert "torch" not in _libraries("config.schema")
    assert not _neighbors("config.schema") - {"core.errors", "config", "core"}


def _uses_of_autograd(tree: ast.AST) -> Iterator[str]:
    """requires_grad in any form, torch.autograd, enable_grad, and a backward() of autograd's, which takes no params."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="requires_grad" | "requires_grad_" | "autograd" | "enable_grad"):
                yield f"line {node.lineno}: {node.attr}"
            case ast.keyword(arg="requires_grad"):
                yield f"line {node.lineno}: requires_grad="
            case ast.Call(func=ast.Attribute(attr="backward"), args=args) if len(args) < 2:
                yield f"line {node.lineno}: backward()"
            case ast.ImportFrom(module=str(module)) if module.startswith("torch.autograd"):
                yield f"line {node.lineno}: {module}"


def test_autograd_is_a_reference_and_nothing_else() -> None:
    """Only the gradient checks and the benchmark, which compare with it, touch autograd."""
    found = {name: list(_uses_of_autograd(tree)) for name, tree in SOURCES.items()}
    assert not {name: uses for name, uses in found.items() if uses and name not in AUTOGRAD}
    assert all(found[name] for name in AUTOGRAD), "the search finds what is there"


def test_training_computes_by_functions_that_do_not_depend_on_place() -> None:
    """What has other last bits in another pack is called by `nn.elementwise` and `nn.products` alone, if at all."""

    def uses(name: str) -> set[str]:
        called = {node.attr for node in ast.walk(SOURCES[name]) if isinstance(node, ast.Attribute)}
        return {one for one in called if one.rstrip("_") in PLACED}

    assert not {name: uses(name) for name in MODULES if _within(name, TRAINING) and uses(name)}
    assert uses("nn.products") == {"bmm", "baddbmm"}


@pytest.mark.parametrize("name", ["", *MODULES, *PLUGINS])
def test_modules_functions_and_classes_say_what_they_are(name: str) -> None:
    """A docstring for the module and every public function and class in it."""
    tree = PLUGINS.get(name) or SOURCES[name]
    assert ast.get_docstring(tree), name
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent, f"{name}: no docstring in {silent}"


def test_the_package_itself_imports_lazily() -> None:
    """`import workbench` runs no import but typing's: the others stand behind TYPE_CHECKING or in a function."""
    at_once = [node for node in SOURCES[""].body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {name.partition(".")[0] for node in at_once for name in _imported(node)} == {"typing"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("workbench.cli.parser", ["torch", "mlflow", "hydra", "omegaconf", "numpy", "pandas"]),
        ("workbench.config.schema", ["torch", "mlflow", "numpy"]),
        ("workbench.engine.train", ["mlflow", "hydra", "omegaconf", "matplotlib"]),
    ],
)
def test_importing_stays_light(module: str, absent: list[str]) -> None:
    """What a fresh interpreter has loaded after one import, whoever imports it along the way."""
    code = f"import sys, {module}; print(*[name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
