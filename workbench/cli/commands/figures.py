"""``workbench figures``: a run in pictures."""

import argparse
from dataclasses import replace
from pathlib import Path

from workbench.cli.options import add_allow, add_run

HELP = "a run in pictures: gradients, saturation, units, confusion of classes, attention, its function or weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_run(parser)
    add_allow(parser)
    parser.add_argument(
        "--model",
        metavar="OVERRIDE",
        nargs="*",
        help="instead, the net as boxes with shapes and parameters: of RUN, or of a configuration as for train",
    )
    parser.add_argument("-o", "--out", metavar="DIR", help="a folder for them (default: figures)")


def run(options: argparse.Namespace) -> int:
    """Draw a run, or the first run of each arm of a sweep; or the net of a configuration."""
    if options.model is not None:
        return _draw_model(options)
    from workbench.core.places import check_folder
    from workbench.core.terminal import plain_console
    from workbench.inspect.lookup import run_or_sweep
    from workbench.inspect.run_figures import MOST_RUNS, draw
    from workbench.tracking.find_run import read_run
    from workbench.tracking.safe_names import segment
    from workbench.tracking.sqlite import is_read_only
    from workbench.tracking.store import find_store

    store, console = find_store(options.uri), plain_console()
    target = run_or_sweep(store, options.run)
    check_folder("figures -o", options.out or "figures", "write for example -o figures")
    first = list({run.arm: run for run in reversed(target.runs)}.values())[::-1]  # the first run of each arm
    console.print(target.title, highlight=False, markup=False, soft_wrap=True)
    for drawn in first[:MOST_RUNS]:
        folder = Path(options.out or "figures") / segment(drawn.id[:8])
        files = draw(store, replace(read_run(store, drawn.id), allowed=options.allow), folder, console)
        names = ", ".join(file.stem for file in files if file.suffix != ".svg")
        also = "" if is_read_only(store) else " (also with the run)"
        console.print(f"{drawn.name}: {names} in {folder}/{also}", highlight=False, markup=False, soft_wrap=True)
    if len(first) > MOST_RUNS:
        console.print(f"drawn for {MOST_RUNS} of {len(first)} arms; name a run to draw it", highlight=False)
    return 0


def _draw_model(options: argparse.Namespace) -> int:
    from workbench.config.compose import configure_each
    from workbench.core.places import check_folder
    from workbench.core.terminal import plain_console
    from workbench.inspect.model_figure import draw_model
    from workbench.inspect.rebuild import spec_of
    from workbench.tracking.find_run import find_run
    from workbench.tracking.store import find_store

    folder = Path(options.out or "figures")
    check_folder("figures -o", str(folder), "write for example -o figures")
    named = options.run or ("" if not options.model or "=" in options.model[0] else options.model[0])
    if named:
        full_run = replace(find_run(find_store(options.uri), named), allowed=options.allow)
        spec, title = spec_of(full_run), full_run.run.name
    else:
        (spec,) = configure_each(options.model, [{}])
        title = " ".join([spec.choices["architecture"], *options.model])
    net, files = draw_model(spec, title, folder / "model")
    layers = sum(len(block.boxes) for block in net.blocks)
    console = plain_console()
    console.print(f"{title}: {layers} layers, {net.parameters:,} parameters", highlight=False, markup=False)
    console.print(f"model: {files[0]} and {files[1].name}", highlight=False, markup=False, soft_wrap=True)
    return 0
