"""docs/own_data.md: each of its commands runs, in the page's order, on a table like the page's."""

import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outer import Answer
from workbench.tracking.store import Store

pytest_plugins = ["tests.outer_fixtures"]

PAGE = (Path(__file__).parents[1] / "docs" / "own_data.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def write_houses(file: Path) -> None:
    """Write houses with a counter, blanks among numbers and texts, names that all differ, and a price."""
    draw = random.Random(0)
    lines = ["id,area,rooms,city,code,price"]
    for i in range(120):
        area, rooms, city = (
            round(draw.uniform(40, 200), 1),
            draw.randint(1, 6),
            draw.choice(["Ulm", "Bonn", "Köln", ""]),
        )
        price = round(2000 * area + 10000 * rooms + draw.gauss(0, 5000))
        lines.append(f"{i},{area if i % 11 else ''},{rooms},{city},h{i:03d},{price}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_commands_of_the_page(cli: Callable[..., Answer], store: Store, folder: Path) -> None:
    """All commands end with exit code 0; the first prints the page's table and the command that trains next."""
    write_houses(folder / "houses.csv")
    assert len(COMMANDS) > 3
    answers = []
    for command in COMMANDS:
        answers.append(cli(*shlex.split(command, comments=True)[1:]))
        assert answers[-1].code == 0, (command, answers[-1].err)
    table = [line.split() for line in PAGE.partition("```text\n")[2].partition("\ntarget:")[0].splitlines() if line]
    surveyed = [line.split() for line in answers[0].out.splitlines()]
    for row in table:
        assert any(row[:3] == line[:3] for line in surveyed), row
    (proposed,) = (line for line in answers[0].out.splitlines() if line.startswith("train: "))
    assert any(command.startswith(proposed.removeprefix("train: ")) for command in COMMANDS)
