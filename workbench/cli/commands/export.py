"""``workbench export``: a run's network as an MLflow model."""

import argparse
from dataclasses import replace
from pathlib import Path

from workbench.cli.options import add_allow, add_run
from workbench.core.errors import ConfigError

HELP = "a run's network as an MLflow model that needs nothing of the workbench"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_run(parser)
    add_allow(parser)
    parser.add_argument("-o", "--out", metavar="DIR", help="a new folder for it (default: models/RUN)")
    parser.add_argument("--log", action="store_true", help="log it to MLflow, with the run, instead")


def run(options: argparse.Namespace) -> int:
    """Write or log the model."""
    import torch

    from workbench.core.places import check_folder
    from workbench.core.terminal import plain_console
    from workbench.inspect.export import EXAMPLES, standalone
    from workbench.inspect.rebuild import final_weights, spec_of
    from workbench.tracking.find_run import find_run
    from workbench.tracking.models import log_model, save_model
    from workbench.tracking.safe_names import segment
    from workbench.tracking.store import find_store

    store, console = find_store(options.uri), plain_console()
    full_run = replace(find_run(store, options.run), allowed=options.allow)
    folder = Path(options.out or Path("models") / segment(full_run.run.id[:8]))
    if not options.log:
        if folder.exists():
            raise ConfigError(f"export: {folder} must be a new folder; name another with -o, or remove it")
        check_folder("export -o", folder, "write for example -o model")
    pack, params, how = final_weights(store, full_run)
    module, x, _ = standalone(spec_of(full_run), pack, params)
    example = x[:EXAMPLES] if module.takes_tokens else x[:EXAMPLES].astype("float32")
    about = {"run": full_run.run.id, "name": full_run.run.name}
    if options.log:
        address = log_model(store, full_run.run.id, module, example, about)
    else:
        save_model(module, example, folder, about)
        address = str(folder)
    kind = "tokens" if module.takes_tokens else "raw inputs"
    outputs = ", ".join(map(str, module(torch.from_numpy(example)).shape[1:]))
    for line in (
        f"{full_run.run.name} ({full_run.run.id})",
        how,
        f"model: {address}, {kind} [n, {x.shape[1]}] -> outputs [n, {outputs}], float32",
        f"load it: mlflow.pyfunc.load_model({address!r}).predict(x)",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0
