"""Pages that mkdocs makes of the program: every key, option, command and public name; README, changes and notebooks."""

import argparse
import inspect
import json
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import workbench
from workbench.cli.entry import main
from workbench.cli.parser import command_names, make_parser, takes_overrides
from workbench.config.options import option, options, usual_options
from workbench.config.schema import GROUPS, TARGET, Config, packaged
from workbench.config.signatures import signature_in_source
from workbench.config.targets import resolve_target

ROOT = Path(__file__).parents[1]
OTHER_GROUPS = ("debug", "hydra/launcher", "hydra/sweeper")
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "of length ≥", "max_length": "of length ≤"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README and CHANGELOG, with links as seen from docs/, and what lies in docs/claims to the navigation."""
    for name, source in (("index.md", "README.md"), ("changelog.md", "CHANGELOG.md")):
        text = (ROOT / source).read_text(encoding="utf-8")
        text = text.replace("(docs/", "(").replace('"docs/', '"').replace("(CHANGELOG.md)", "(changelog.md)")
        files.append(File.generated(config, name, content=text))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.append(File.generated(config, f"{file.src_uri.removesuffix('ipynb')}md", content=notebook_page(file)))
    (claims,) = (section["Claims"] for section in config.nav or [] if "Claims" in section)
    claims += sorted(file.src_uri for file in files if re.fullmatch(r"claims/\w+\.md", file.src_uri))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Write what is generated in the place of the comment that asks for it."""
    if not page.file.src_uri.startswith("notebooks/"):
        markdown = markdown.replace(".ipynb)", ".md)")  # a notebook is read here, and elsewhere opened
    writers = {"keys": keys, "options": all_options, "commands": commands, "names": names}
    return re.sub(r"<!-- generated: (\w+) -->", lambda asked: "\n".join(writers[asked[1]]()), markdown)


def notebook_page(file: File) -> str:
    """Cells of a notebook as Markdown, and a link to the notebook itself."""
    cells = json.loads(file.content_string)["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    shown = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*shown, f"[This page as a notebook]({Path(file.src_uri).name})\n"])


def keys() -> Iterator[str]:
    """Yield a table of the keys outside of the groups: default, limits, and the comment in conf/config.yaml."""
    comments = _comments((packaged("conf") / "config.yaml").read_text(encoding="utf-8"))
    limits: dict[str, list[str]] = {}
    for rule, _, key, _ in Config()._rules():
        limits.setdefault(key, []).append(rule)
    yield from ("| key | default | must be | what it is |", "|---|---|---|---|")
    for key, kind, default in _spine(Config()):
        rule = ", ".join(kind.__members__ if isinstance(kind, type) and issubclass(kind, Enum) else limits.get(key, []))
        yield f"| `{key}` | `{default}` | {rule} | {comments.get(key, '')} |"


def _spine(section: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield name, type and default of each key of a section and of those inside it; groups have options instead."""
    for field in fields(section):
        key, value = prefix + field.name, getattr(section, field.name)
        if is_dataclass(value):
            yield from _spine(value, f"{key}.")
        elif key not in (*GROUPS, "claim"):
            shown = value.name if isinstance(value, Enum) else str(value).lower() if isinstance(value, bool) else value
            yield key, field.type, "null" if shown is None else shown


def _comments(text: str) -> dict[str, str]:
    """Comment behind each key of a yaml file."""
    comments, section = {}, ""
    for line in text.splitlines():
        if match := re.match(r"(?:# )?(\s*)(\w+):\s*(.*?)\s*(?:#\s*(.*))?$", line):
            section = match[2] if not match[1] else section
            comments[match[2] if not match[1] else f"{section}.{match[2]}"] = match[4] or ""
    return comments


def all_options() -> Iterator[str]:
    """Yield each option of each group: what its function says of itself, its yaml file, and the limits of its keys."""
    for group in (*GROUPS, *OTHER_GROUPS):
        usual = usual_options().get(group)
        yield f"## {group}\n\n" + (f"Without one, `{group}={usual}`.\n" if usual else "")
        for name in options(group):
            yield f"### {group}={name}\n\n{_said(group, name)}\n"
            yield f"```yaml\n{(packaged('conf') / group / f'{name}.yaml').read_text(encoding='utf-8')}```\n"


def _said(group: str, name: str) -> str:
    """First paragraph of the docstring of an option's function, and the limits of its keys."""
    node = option(group, name)
    if group in OTHER_GROUPS or TARGET not in node:
        return ""
    described = " ".join((inspect.getdoc(resolve_target(group, node[TARGET])) or "").partition("\n\n")[0].split())
    signature = signature_in_source(node[TARGET]) or {}
    limits = {key: _limits(signature[key].hint) for key in node if key in signature}
    return "\n\n".join([described, "; ".join(f"`{key}` {limit}" for key, limit in limits.items() if limit)])


def _limits(hint: Any) -> str:
    """Limits of a value or of its elements in words; empty where it has none."""
    rules = [asdict(part) for part in get_args(hint) if is_dataclass(part)]
    texts = [
        f"{SIGNS[name]} {value}"
        for rule in rules
        for name, value in rule.items()
        if name in SIGNS and value is not None
    ]
    return ", ".join(texts) or next(filter(None, map(_limits, get_args(hint))), "")


def commands() -> Iterator[str]:
    """Yield the help of each command, as the parser prints it."""
    os.environ["COLUMNS"] = "100"
    (listed,) = (action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name in command_names():
        said = StringIO()
        if takes_overrides(name):
            with redirect_stdout(said):
                _help_of(name)
        else:
            said.write(listed.choices[name].format_help())
        yield f"## workbench {name}\n\n```text\n{said.getvalue().strip()}\n```\n"


def _help_of(name: str) -> None:
    with suppress(SystemExit):  # argparse's way
        main([name, "--help"])


def names() -> Iterator[str]:
    """Yield what mkdocstrings asks for: each public name of the package, by where it is defined."""
    for name in sorted(workbench.__all__, key=str.swapcase):  # functions first
        item = getattr(workbench, name)
        if getattr(item, "__module__", "").startswith("workbench."):
            yield f"::: {item.__module__}.{name}\n"
