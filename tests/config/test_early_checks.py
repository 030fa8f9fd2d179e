"""What is refused before torch is imported, and what is imported to answer at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.config.early_checks import SUPPLIED
from workbench.config.instantiate import _signature
from workbench.config.options import option, options
from workbench.config.schema import GROUPS, TARGET
from workbench.config.signatures import Opaque, signature_in_source
from workbench.config.targets import resolve_target
from workbench.config.values import is_family, is_node, kind_of, member_kind

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "mlflow", "matplotlib", "scipy", "pandas", "sklearn")
AT_ONCE = [
    [],
    ["--help"],
    ["train", "--help"],
    ["compare", "--help"],
    ["train", "activation=rlu"],
    ["train", "--epochs", "3"],
    ["train", "train.epoch=3"],
    ["train", "train.epochs=0"],
    ["train", "+optimizer.rate=1"],
    ["train", "optimizer.lr=-1"],
    ["train", "architecture.hidden=[0]"],
    ["train", "activation=relu,tanh"],
    ["train", "-m", "optimizer.lr=0.1,-1"],
    ["train", "-m", "sweep.on_error=stop,continue"],
    ["check", "optimizer.momentum=2"],
    ["explain", "activation=leaky_relu", "activation.slope=7"],
]
SCRIPT = """
import json, os, sys
from workbench.cli.entry import main
codes = []
for words in json.loads(sys.argv[1]):
    try:
        codes.append(main(words))
    except SystemExit as end:
        codes.append(end.code)
for line in ("workbench tr", "workbench train activation=r", "workbench compare --", "workbench explain --f"):
    os.environ |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    codes.append(main(["-sc", "query=bash"]))
print(json.dumps([codes, [name for name in sys.argv[2:] if name in sys.modules]]))
"""


def _nodes() -> Iterator[Any]:
    """Every node of every option: group or dotted key, and the node."""
    for group in GROUPS:
        for name in options(group):
            waiting = [(group, option(group, name))]
            while waiting:
                key, node = waiting.pop()
                yield pytest.param(key, node, id=f"{group}={name} {key}")
                for inner, value in node.items():
                    members = value.items() if is_family(value) else [("", value)]
                    waiting += [(f"{key}.{inner}", member) for _, member in members if is_node(member)]


@pytest.mark.parametrize(("key", "node"), list(_nodes()))
def test_signatures_in_source_are_those_of_the_functions(key: str, node: Any) -> None:
    """Parameters, rules on their values and defaults are the same, read from source and from the function."""
    read, known = signature_in_source(node[TARGET]), _signature(resolve_target(key, node[TARGET]))
    assert read is not None
    assert list(read) == list(known)
    for name, parameter in known.items():
        assert read[name].is_required == parameter.is_required
        if name in SUPPLIED.get(key, ()):
            continue
        takes_node = kind_of(parameter.hint) or member_kind(parameter.hint)
        assert bool(kind_of(read[name].hint) or member_kind(read[name].hint)) == bool(takes_node)
        if not takes_node:
            assert read[name].hint == parameter.hint
            assert Opaque.__name__ not in str(read[name].hint)


@pytest.mark.slow
def test_answers_at_once_import_nothing_heavy() -> None:
    """Help, completion and refusals of overrides import neither torch nor what reads, draws or keeps numbers."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(AT_ONCE), *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    codes, imported = json.loads(done.stdout.splitlines()[-1])
    assert imported == []
    assert codes == [0, 0, 0, 0, *[2] * (len(AT_ONCE) - 4), 0, 0, 0, 0], done.stderr
