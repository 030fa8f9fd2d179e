"""``workbench explain``: one training step worked with its numbers, or the lecture's examples of the chain rule.

It has its own options; for the training step, overrides for the rest.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import Parser
from workbench.core.errors import ConfigError
from workbench.core.places import check_file, writing
from workbench.lecture.explain.defaults import EXAMPLE, with_defaults
from workbench.lecture.explain.formats import FORMATS, SUFFIXES

if TYPE_CHECKING:
    from workbench.config.schema import RunSpec

HELP = "work one training step, or the chain rule, in formulas"
WORDS = (CHAIN := "chain",)
WAY = "write for example --out step.html"
EPILOG = """Other arguments are overrides as for train: without them, a 2-2-1 sigmoid net on XOR. With
architecture=elman, gru or lstm, backpropagation through time on three bits; with architecture=cnn, a convolution
of a digit; with architecture=transformer, a block of one head on three tokens. The step of a plain
net, written to a .html file, is a movie with a drawing of the net.
`workbench explain chain` works the lecture's two examples of the chain rule instead, exactly.

examples:
  workbench explain
  workbench explain chain
  workbench explain architecture.hidden=[3] activation=tanh optimizer.weight_decay=0.1 --example 3
  workbench explain data=diabetes loss=squared_error --out step.html
  workbench explain architecture=elman
  workbench explain architecture=lstm
  workbench explain architecture=cnn
  workbench explain architecture=transformer
"""


def run_overrides(arguments: Sequence[str]) -> int:
    """Work one training step in the lecture's notation and print it, or write it to a file."""
    from workbench.config.compose import command_line
    from workbench.config.early_checks import check_written

    options, overrides = make_parser().parse_known_args(arguments)
    form = options.format or SUFFIXES.get(Path(options.out or "").suffix, "text")
    if options.out is not None:
        check_file("explain --out", options.out, WAY)
    if CHAIN in overrides:
        _deliver(_chain_rule(options, overrides, form), options.out)
        return 0

    def explain(spec: "RunSpec") -> None:
        check_written([spec])
        from workbench.lecture.explain.pages import explanation
        from workbench.lecture.explain.render import RENDERERS

        page = explanation(spec, EXAMPLE if options.example is None else options.example)
        _deliver(RENDERERS[form](*page), options.out)

    command_line(with_defaults(overrides), explain, _refuse_many)
    return 0


def _chain_rule(options: argparse.Namespace, words: Sequence[str], form: str) -> str:
    """Render both examples; raises ConfigError for what belongs to a training step."""
    from workbench.lecture.explain.chain import TITLE, steps
    from workbench.lecture.explain.render import RENDERERS

    foreign = [word for word in words if word != CHAIN]
    foreign += [f"--example {options.example}"] * (options.example is not None)
    if foreign:
        raise ConfigError(
            f"explain chain: takes --format and --out only, got {' '.join(foreign)}; write workbench explain chain"
        )
    return RENDERERS[form](TITLE, list(steps()))


def _deliver(page: str, out: str | None) -> None:
    if out is None:
        print(page, end="")
        return
    with writing("explain --out", "a file", Path(out), WAY):
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(page, encoding="utf-8")
    print(f"explanation: {out}")


def _refuse_many(specs: "list[RunSpec]", executor: object) -> list[dict[str, float]]:
    raise ConfigError(f"explain: takes one configuration, got {len(specs)}; drop -m")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command's own options."""
    parser = Parser(
        prog="workbench explain",
        description="Work one training step of a small net by hand: forward, cost, backward, gradients, update.",
        usage="workbench explain [--example K] [--format FORMAT] [--out FILE] [OVERRIDE ...]\n"
        "       workbench explain chain [--format FORMAT] [--out FILE]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command beside those of Hydra."""
    parser.add_argument("--example", type=int, metavar="K", help=f"training example, from 1 (default: {EXAMPLE})")
    parser.add_argument("--format", choices=FORMATS, help="default: by the suffix of --out, else text")
    parser.add_argument("--out", metavar="FILE", help="write to a file")
