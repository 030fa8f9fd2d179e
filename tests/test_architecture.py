"""Check with `ast` who may import whom, how long files and functions may be, and what the package keeps to itself.

A room is what lies at the package's top: a module imports from its own room and from those before it in ROOMS. Within
a room, as between all modules, no import goes in a circle.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    *("core", "nn", "data", "diagnostics", "proofs", "engine"),
    *("config", "experiments", "tracking", "certificates", "runs", "sweeps"),
    *("lecture", "claims", "inspect", "bench", "api", "play", "cli", "__main__"),
    "",  # the package's own __init__: it hands out what users import, and nothing in the package imports it
)
LONGEST_FILE, LONGEST_BODY = 300, 50  # lines; a body is what follows a function's docstring
FENCES = {
    # library: the modules (or packages) that may import it
    "hydra": ("config", "sweeps", "bench.usual"),
    "omegaconf": ("config", "sweeps", "bench.usual"),
    "mlflow": ("tracking", "bench.usual"),
    "pandas": ("claims", "inspect", "data", "api"),  # the users' own tables, and tables for users
    "matplotlib": ("", "claims", "inspect", "api"),  # the package itself names Figure for claims to draw on
    "sympy": ("lecture",),
    "optuna": ("sweeps.pruning",),
    "ray": ("sweeps.executors",),
    "submitit": ("sweeps.executors",),
    "starlette": ("play",),
    "uvicorn": ("play",),
}
NUMPY_FREE = ("nn", "engine", "diagnostics")
PLACED = {  # torch's functions whose last bits depend on where a number lies, or on how many replicas there are
    *("sigmoid", "softplus", "silu", "gelu", "elu", "selu", "mish", "logit", "logaddexp", "exp2", "hypot", "pow"),
    *("bmm", "baddbmm", "matmul", "einsum"),
}
TRAINING = (
    "nn.activations",
    "nn.losses",
    "nn.weighted_loss",
    "nn.layers",
    "nn.optimizers",
    "nn.schedules",
    "nn.objective",
    "engine",
)
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


@cache
def _names(module: str) -> frozenset[str]:
    return frozenset(_imported(SOURCES[module]))


def _neighbors(module: str) -> set[str]:
    """The workbench modules that a module imports; a package counts where something of its __init__ is taken.

    So does the package's own __init__, whose name is empty.
    """
    names = {name.partition(".")[2] for name in _names(module) if name.partition(".")[0] == "workbench"}
    return {name for name in names if name in SOURCES and name != module}


def _libraries(module: str) -> set[str]:
    return {name.partition(".")[0] for name in _names(module)}


def _room(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("module", SOURCES)
def test_imports_come_from_rooms_before(module: str) -> None:
    """No module imports from a room that stands after its own in ROOMS."""
    own = ROOMS.index(_room(module))
    after = {name for name in _neighbors(module) if ROOMS.index(_room(name)) > own}
    assert not after, f"{module or 'workbench'} imports from rooms after {_room(module)!r}: {after}"


def test_every_room_has_a_place() -> None:
    """Each folder and file at the package's top is in ROOMS, and no other name is."""
    assert {_room(module) for module in SOURCES} == set(ROOMS)


def test_engine_sees_tracking_through_its_base_only() -> None:
    """Mathematics, data and engine do not know how runs are kept: of tracking they import the base alone."""
    for module in MODULES:
        if _within(module, ("nn", "data", "diagnostics", "engine")):
            assert not {name for name in _neighbors(module) if _within(name, ("tracking",))} - {"tracking.base"}, module


def test_there_is_no_import_cycle() -> None:
    """Imports form no cycle, not even inside functions; a package's __init__ is imported before what lies in it."""
    graph = {module: _neighbors(module) for module in SOURCES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(name or 'workbench' for name in error.args[1])}")


def test_cycles_through_the_root_and_through_functions_are_seen() -> None:
    """The search for cycles sees imports of the package itself, which no module makes, and imports inside functions."""
    tree = ast.parse("from workbench import __version__\ndef one():\n    import workbench.core.axes\n")
    assert {"workbench", "workbench.core.axes"} <= set(_imported(tree))
    assert not [module for module in MODULES if "" in _neighbors(module)]
    assert {"api.training", "config.keywords", "core.version"} <= _neighbors("")


WRITTEN = [
    *(file for folder in ("workbench", "hydra_plugins") for file in sorted((ROOT / folder).rglob("*.py"))),
    *(file for file in sorted((ROOT / "experiments").rglob("*.py")) if not file.name.startswith(("test_", "conftest"))),
]


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return function.body[-1].end_lineno - first.lineno + 1  # type: ignore[operator]


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_and_functions_keep_their_budget(file: Path) -> None:
    """A file has at most 300 lines and a body 50, for what a reader has to hold in mind at once."""
    text = file.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {one.name: _body(one) for one in functions if _body(one) > LONGEST_BODY}


COMMANDS = {name.removeprefix("cli.commands."): name for name in MODULES if name.startswith("cli.commands.")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_one_file(name: str) -> None:
    """A command's file has a help, and arguments with `run` or, where Hydra reads the arguments, `run_overrides`."""
    body = SOURCES[COMMANDS[name]].body
    defined = {one.name for one in body if isinstance(one, ast.FunctionDef)}
    assigned = {target.id for one in body if isinstance(one, ast.Assign) for target in one.targets}  # type: ignore[attr-defined]
    imported = {alias.asname or alias.name for one in body if isinstance(one, ast.ImportFrom) for alias in one.names}
    assert "HELP" in assigned
    runs = {"run", "run_overrides"} & defined
    assert len(runs) == 1
    assert runs == {"run_overrides"} or "add_arguments" in defined | assigned | imported


def test_commands_are_listed_nowhere() -> None:
    """No list, tuple, set or mapping in the package holds two names of commands: their files are the list.

    But for the functions of `import workbench`, of which some are named as commands are.
    """

    def held(node: ast.AST) -> set[str]:
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
        return {one.value for one in parts if isinstance(one, ast.Constant)} & COMMANDS.keys()

    def lists(name: str) -> list[set[str]]:
        kinds = ast.Dict | ast.List | ast.Tuple | ast.Set
        return [held(node) for node in ast.walk(SOURCES[name]) if isinstance(node, kinds)]

    assert not [(name, names) for name in MODULES for names in lists(name) if len(names) > 1]
    assert set(chain(*lists(""))) == {"check", "compare", "explain", "reproduce", "train"}


@pytest.mark.parametrize("library", sorted(FENCES))
def test_libraries_stay_in_their_fences(library: str) -> None:
    """Whoever wants to replace a library finds all of it in one place."""
    outside = [name for name in SOURCES if library in _libraries(name) and not _within(name, FENCES[library])]
    assert not outside, f"{library} belongs in {FENCES[library]}, found in {outside}"


def test_numpy_stays_out_of_the_mathematics() -> None:
    """Rooms of the training step do not import numpy: with torch alone, no copy to the host can slip in."""
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
    """Training calls functions whose last bits depend on the pack through `nn.elementwise` and `nn.products` alone."""

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("workbench.cli.parser", ["torch", "mlflow", "hydra", "omegaconf", "numpy", "pandas"]),
        ("workbench.config.schema", ["torch", "mlflow", "numpy", "omegaconf"]),
        ("workbench.inspect.comparison", ["torch", "mlflow", "omegaconf", "matplotlib"]),
        ("workbench.engine.train", ["mlflow", "hydra", "omegaconf", "matplotlib"]),
    ],
)
def test_importing_stays_light(module: str, absent: list[str]) -> None:
    """Importing a module in a fresh interpreter loads no heavy library, not even through another module."""
    code = f"import sys, {module}; print(*[name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
