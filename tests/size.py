"""Prints how long the files and function bodies of workbench/ are: ``make size``.

A body is a function's lines without its docstring; a file is its lines as they stand.
"""

import ast
from collections.abc import Iterator
from math import ceil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "workbench"
SHOWN = 10


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement to the last, the docstring apart."""
    first, *rest = node.body
    documented = ast.get_docstring(node, clean=False) is not None
    if documented and not rest:
        return 0
    start = rest[0] if documented else first
    assert node.end_lineno is not None
    return node.end_lineno - start.lineno + 1


def functions(file: Path) -> Iterator[tuple[int, str]]:
    """(lines of the body, where it is) of every function and method."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield body_lines(node), f"{file.relative_to(PACKAGE.parent)}:{node.lineno} {node.name}"


def percentile(values: list[int], share: float) -> int:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def show(title: str, rows: list[tuple[int, str]]) -> None:
    """The largest rows, under a line of totals."""
    sizes = [size for size, _ in rows]
    print(
        f"{title}: {len(sizes)}, {sum(sizes)} lines; median {percentile(sizes, 0.5)}, "
        f"p90 {percentile(sizes, 0.9)}, largest {max(sizes)}"
    )
    for size, name in sorted(rows, reverse=True)[:SHOWN]:
        print(f"{size:6d}  {name}")


if __name__ == "__main__":
    files = sorted(PACKAGE.rglob("*.py"))
    lines = [
        (len(file.read_text(encoding="utf-8").splitlines()), str(file.relative_to(PACKAGE.parent))) for file in files
    ]
    show("files", lines)
    show("function bodies", [one for file in files for one in functions(file)])
