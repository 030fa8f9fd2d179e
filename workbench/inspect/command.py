"""What the commands that read runs back do with their options."""

import argparse
from dataclasses import replace
from pathlib import Path

from workbench.core.errors import ConfigError
from workbench.core.places import check_folder
from workbench.core.terminal import plain_console
from workbench.tracking.safe_names import segment
from workbench.tracking.store import find_store, run_link, ui_base


def run(options: argparse.Namespace) -> int:
    """Do what is asked; the exit code."""
    return ACTIONS[options.command](options)


def _compare(options: argparse.Namespace) -> int:
    from workbench.inspect.comparison import ComparisonRequest, compare

    sweeps = [one for one in (options.sweep, options.other) if one]
    asked = ComparisonRequest(
        sweeps, options.uri, options.by, options.metric, options.format, options.table, options.out
    )
    compare(asked, plain_console())
    return 0


def _show(options: argparse.Namespace) -> int:
    from workbench.inspect.lookup import sweep_around
    from workbench.inspect.show import show
    from workbench.tracking.find_run import find_run

    store = find_store(options.uri)
    kept = find_run(store, options.run)
    before = "" if store.is_server else "workbench ui serves "
    link = before + run_link(ui_base(store), kept.experiment_id, kept.run.id)
    show(kept, link, plain_console(), sweep_around(store, kept, histories=False))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from workbench.inspect.verify import verify
    from workbench.tracking.find_run import find_run

    store, console = find_store(options.uri), plain_console()
    kept = replace(find_run(store, options.run), allowed=options.allow)
    console.print(f"{kept.run.name} ({kept.run.id})", highlight=False, markup=False, soft_wrap=True)
    found = verify(store, kept)
    for line in found.lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return int(not found.same)


def _export(options: argparse.Namespace) -> int:
    import torch

    from workbench.inspect.export import EXAMPLES, standalone
    from workbench.inspect.rebuild import final_weights, spec_of
    from workbench.tracking.find_run import find_run
    from workbench.tracking.models import log_model, save_model

    store, console = find_store(options.uri), plain_console()
    kept = replace(find_run(store, options.run), allowed=options.allow)
    folder = Path(options.out or Path("models") / segment(kept.run.id[:8]))
    if not options.log:
        if folder.exists():
            raise ConfigError(f"export: {folder} must be a new folder; name another with -o, or remove it")
        check_folder("export -o", folder, "write for example -o model")
    pack, params, how = final_weights(store, kept)
    module, x, _ = standalone(spec_of(kept), pack, params)
    example = x[:EXAMPLES].astype("float32")
    about = {"run": kept.run.id, "name": kept.run.name}
    if options.log:
        place = log_model(store, kept.run.id, module, example, about)
    else:
        save_model(module, example, folder, about)
        place = str(folder)
    outputs = module(torch.from_numpy(example)).shape[1]
    for line in (
        f"{kept.run.name} ({kept.run.id})",
        how,
        f"model: {place}, raw inputs [n, {x.shape[1]}] -> outputs [n, {outputs}], float32",
        f"load it: mlflow.pyfunc.load_model({place!r}).predict(x)",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def _diagnose(options: argparse.Namespace) -> int:
    from workbench.inspect.diagnose import diagnose
    from workbench.inspect.lookup import run_or_sweep

    console = plain_console()
    meant = run_or_sweep(find_store(options.uri), options.run)
    for line in (meant.title, *meant.doubts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    silent: dict[str, None] = {}
    for arm in dict.fromkeys(run.arm for run in meant.runs):
        found = diagnose(arm, [run for run in meant.runs if run.arm == arm], meant.others)
        silent |= dict.fromkeys(found.silent)
        console.print(f"{arm}: {'nothing found' if found.is_healthy else ''}".rstrip(), highlight=False, markup=False)
        for line in found.lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if silent:
        needs = f"not judged, because it was not logged (diagnostics=full): {', '.join(silent)}"
        console.print(needs, highlight=False, markup=False, soft_wrap=True)
    return 0


def _figures(options: argparse.Namespace) -> int:
    from workbench.inspect.lookup import run_or_sweep
    from workbench.inspect.run_figures import MOST_RUNS, draw
    from workbench.tracking.find_run import read_run
    from workbench.tracking.sqlite import is_read_only

    store, console = find_store(options.uri), plain_console()
    meant = run_or_sweep(store, options.run)
    check_folder("figures -o", options.out or "figures", "write for example -o figures")
    first = list({run.arm: run for run in reversed(meant.runs)}.values())[::-1]  # the first run of each arm
    console.print(meant.title, highlight=False, markup=False, soft_wrap=True)
    for run in first[:MOST_RUNS]:
        folder = Path(options.out or "figures") / segment(run.id[:8])
        files = draw(store, replace(read_run(store, run.id), allowed=options.allow), folder, console)
        names = ", ".join(file.stem for file in files if file.suffix == ".png")
        also = "" if is_read_only(store) else " (also with the run)"
        said = f"{run.name}: {names} in {folder}/{also}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    if len(first) > MOST_RUNS:
        console.print(f"drawn for {MOST_RUNS} of {len(first)} arms; name a run to draw it", highlight=False)
    return 0


ACTIONS = {
    "compare": _compare,
    "show": _show,
    "verify": _verify,
    "export": _export,
    "diagnose": _diagnose,
    "figures": _figures,
}
