"""Options in a user's --config-dir that are none: exit code 2 with file, rule and way out, in bounded time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import SMALL, Answer
from tests.sampling import sampled
from workbench.config.schema import packaged
from workbench.config.targets import EXAMPLE
from workbench.config.yaml_files import LOADER
from workbench.core.bounded_yaml import parse_yaml
from workbench.core.errors import ConfigError

pytest_plugins = ["tests.outer_fixtures"]

Cli = Callable[..., Answer]
BOMB = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
FACTORIES = """
from workbench.nn.activations import Activation, tanh
def raising() -> Activation:
    raise RuntimeError("boom")
def untyped():
    return tanh()
def other() -> int:
    return 3
def lying() -> Activation:
    return 3
def needs(slope: float) -> Activation:
    return tanh()
def positional(slope: float, /) -> Activation:
    return tanh()
def unreadable() -> "Activtion":
    return tanh()
def sine() -> Activation:
    return tanh()
VALUE = 3
"""
FILES = [
    (b"\ta: 1\n", "line 1: must be YAML, but it is indented by a tab; write blanks"),
    (b"\x00\x01\x02", "must be text, but character 0"),
    (b"\xff\xfea\x00:\x00", "must be text in UTF-8"),
    (b"text", "must hold keys with values, got a str"),
    (b"- a\n- b\n", "must hold keys with values, got a list"),
    (b"3", "must hold keys with values, got a int"),
    (b"1: 2", "must hold keys with values, got keys that are no text"),
    (b"a: 1\na: 2\n", "line 2: must be YAML, but there is: duplicate key a; take it out"),
    (b"a: [1,\n", "line 2: must be YAML"),
    (b"a: 'x\n", "must be YAML"),
    (b"a: *b\n", "line 1: must be YAML, but there is: undefined alias 'b'; take it out"),
    (b"a: &a [*a]\n", "must not hold itself by an alias; drop the alias"),
    (b"a: " + b"[" * 5000 + b"]" * 5000, "must nest its values at most 50 deep; flatten it"),
    (b"a: " + b"[" * 60 + b"]" * 60, "must nest its values at most 50 deep; flatten it"),
    (BOMB.encode(), "must hold at most 100000 values, aliases followed; write fewer"),
    (b"a: " + b"x" * 300_000, "must have at most 262144 bytes"),
    (b"a: !!python/object/apply:os.system [x]\n", "has a tag (!...) that is no value; drop the tag"),
    (b"a: !!int x\n", "a value does not fit its tag"),
    (b"a: " + b"9" * 5000, "a value does not fit its tag or is too long"),
    (b"_target_: os.system\ncommand: x\n", "must say that it returns Activation"),
    (b"_target_: builtins.dict\n", "must return Activation, got dict; name another"),
    (b"_target_: 3\n", "must name a function in _target_"),
    (b"_target_: [a]\n", "must name a function in _target_"),
    (
        b"_target_: nowhere_at_all.f\n",
        "there is no module 'nowhere_at_all'; put it into the current folder or that of --config-dir",
    ),
    (b"_target_: f\n", "it must be MODULE.FUNCTION; write for example"),
    (b"_target_: own_factories.nothing\n", "module own_factories has no 'nothing'; correct the name"),
    (b"_target_: own_factories.VALUE\n", "it must be a function, got int; name one"),
    (b"_target_: own_factories.raising\n", "own_factories.raising raised RuntimeError('boom'); mend it"),
    (b"_target_: own_factories.untyped\n", "must say that it returns Activation; write '-> Activation'"),
    (b"_target_: own_factories.other\n", "must return Activation, got int; name another"),
    (b"_target_: own_factories.lying\n", "must return Activation, got int; name another"),
    (b"_target_: own_factories.needs\n", "activation.slope: must be given, it has no default"),
    (b"_target_: own_factories.needs\nslope: x\n", "activation.slope: must be a valid number"),
    (b"_target_: own_factories.positional\nslope: 1\n", "must take 'slope' by name; drop the '/'"),
    (b"_target_: own_factories.unreadable\n", "must have annotations that can be read, but: name 'Activtion' is not"),
    (b"_target_: own_importing.f\n", "importing own_importing raised ZeroDivisionError"),
    (b"_target_: own_leaving.f\n", "importing own_leaving raised SystemExit"),
    (b"defaults: [mine]\n_target_: own_factories.other\n", "leads back to itself, by its defaults"),
    (b"defaults: 3\n", "workbench: "),
    (b"defaults: [nothing]\n", "workbench: "),
    (b"_target_: ${seed}\n", "workbench: "),
    (b"", "activation: must name a function in _target_"),
]


@pytest.mark.parametrize(("content", "message"), sampled(FILES, 3), ids=[str(content[:24]) for content, _ in FILES])
def test_own_option_that_is_none(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    """A file that is no option gives one message that names the rule, mostly with file and line; nothing is written."""
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "mine.yaml").write_bytes(content)
    (folder / "own_factories.py").write_text(FACTORIES)
    (folder / "own_importing.py").write_text("1 / 0\n")
    (folder / "own_leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(folder)
    answer = cli("train", "--config-dir", "own", *SMALL, "activation=mine", "sweep.dry_run=true")
    assert answer.code == 2
    assert answer.err.startswith("workbench: ")
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not (folder / "mlflow.db").exists()


def test_annotation_as_the_message_writes_it(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that messages give as an example is accepted."""
    (folder / "own" / "activation").mkdir(parents=True)
    (folder / "own" / "activation" / "mine.yaml").write_text("_target_: own_factories.sine\n")
    (folder / "own_factories.py").write_text(FACTORIES)
    monkeypatch.syspath_prepend(folder)
    assert f"{EXAMPLE}:\n" in FACTORIES
    assert cli("train", "--config-dir", "own", *SMALL, "activation=mine", "sweep.dry_run=true").code == 0


TEXTS = [
    *(file.read_bytes() for file in sorted(packaged("conf").rglob("*.yaml"))),
    *(content for content, _ in FILES),
    *(
        b"a:\t1\n",
        b"a: [b? c]\n",
        b"a: [b ? c]\n",
        b"a: >#-\n  b\n",
        b"a: |2#\n  b\n",
        b"a:\n- 1\n-\t2\n",
        b"'a': \"\\u00e4\"",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_libyaml_reads_what_python_would(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same values or the same words of refusal, for all that comes with the workbench and for what is wrong."""

    def read() -> str:
        try:
            return repr(parse_yaml(text, "own.yaml", LOADER))
        except ConfigError as error:
            return str(error)

    fast = read()
    monkeypatch.setattr("yaml.__with_libyaml__", False)
    assert fast == read()
