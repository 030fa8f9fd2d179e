"""Keys of runs, which are equal exactly for runs that must give the same result."""

import inspect
import json
from functools import lru_cache
from hashlib import sha256
from textwrap import dedent

from workbench.config.schema import NOT_RESULT, RunSpec
from workbench.config.targets import names_in, resolve_target
from workbench.core.source_text import meaningful_lines
from workbench.core.version import __version__


def run_key(spec: RunSpec, data_digest: str) -> str:
    """Digest, 16 hexadecimal digits, of the configuration, the data's content, the version and the functions used."""
    relevant = {key: value for key, value in spec.resolved.items() if key not in NOT_RESULT}
    chosen = {name for node in relevant.values() for name in names_in(node)}
    code = {name: _code(resolve_target("run", name)) for name in chosen}
    content = json.dumps([relevant, data_digest, __version__, code], sort_keys=True)
    return sha256(content.encode()).hexdigest()[:16]


@lru_cache(maxsize=256)
def _code(function: object) -> str:
    """Digest of a function's source; for a user's function, of its whole module, which it may call.

    Comments and docstrings do not count. Empty where there is no source.
    """
    module = inspect.getmodule(function)
    is_ours = module is not None and module.__name__.partition(".")[0] == "workbench"
    try:
        source = inspect.getsource(function if is_ours or module is None else module)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""
    return sha256(meaningful_lines(dedent(source)).encode()).hexdigest()
