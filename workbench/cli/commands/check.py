"""``workbench check``: the certificate of a configuration, or with --all of every combination."""

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.cli.options import add_json, without_json
from workbench.core.errors import ConfigError
from workbench.core.json_output import print_json

if TYPE_CHECKING:
    from workbench.config.schema import RunSpec

HELP = "hand-written gradients of a configuration, or with --all of every combination, against two references"
ABOUT = """workbench check: hand-written gradients against autograd and central differences.

  workbench check [OVERRIDE ...]    of one configuration, by parameter; overrides are those of train
  workbench check --all             of every activation, layer and loss, a row each
  workbench check --json            either of them as one JSON document

The exit code is 1 where a gradient disagrees. Overrides are read by Hydra.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command beside those of Hydra."""
    add_json(parser)
    parser.add_argument("--all", action="store_true", help="every activation, layer and loss")


def run_overrides(arguments: Sequence[str]) -> int:
    """Print the certificate; returns 1 where a gradient disagrees."""
    if {"--help", "-h"} & {*arguments}:
        arguments = [*(word for word in arguments if word != "--all"), f"hydra.help.header='{ABOUT}'"]
    arguments, as_json = without_json(arguments)
    if "--all" in arguments:
        return _check_all([argument for argument in arguments if argument != "--all"], as_json)
    from workbench.config.compose import command_line
    from workbench.config.early_checks import check_written

    specs: list[RunSpec] = []
    command_line(arguments, specs.append)
    check_written(specs)
    from workbench.certificates.certificate import as_record, certificate_table, certify, curve_line
    from workbench.certificates.forward import forward_table
    from workbench.core.terminal import plain_console

    certificates, console = [certify(spec) for spec in specs], plain_console()
    for certificate in certificates:
        if as_json:
            print_json(as_record(certificate))
            continue
        console.print(forward_table(certificate.forward))
        console.print(certificate_table(certificate))
        for spot in certificate.spots:
            console.print(f"DISAGREES: {spot}", highlight=False, markup=False, soft_wrap=True)
        console.print(curve_line(certificate), highlight=False, soft_wrap=True)
    return int(not all(certificate.agrees for certificate in certificates))


def _check_all(overrides: Sequence[str], as_json: bool) -> int:
    if overrides:
        raise ConfigError(f"check: --all goes without overrides, got {shlex.join(overrides)}; drop one or the other")
    from workbench.certificates.survey import survey, survey_table
    from workbench.core.terminal import plain_console
    from workbench.engine.threads import one_thread

    with one_thread():
        rows = list(survey())
    agree = all(row.agrees for row in rows)
    if as_json:
        print_json({"agrees": agree, "combinations": rows})
    else:
        plain_console().print(survey_table(rows))
    return int(not agree)
