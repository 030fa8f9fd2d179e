"""docs/own_data.md: its table, and the command to train, are those of a file like the page's."""

import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.outer import Answer

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


def test_survey_of_the_page(cli: Callable[..., Answer], folder: Path) -> None:
    """The page's table is printed, and a command of the page is the one that is said to train."""
    write_houses(folder / "houses.csv")
    answer = cli(*shlex.split(COMMANDS[0])[1:])
    assert answer.code == 0
    table = [line.split() for line in PAGE.partition("```text\n")[2].partition("\ntarget:")[0].splitlines() if line]
    surveyed = [line.split() for line in answer.out.splitlines()]
    for row in table:
        assert any(row[:3] == line[:3] for line in surveyed), row
    (proposed,) = (line for line in answer.out.splitlines() if line.startswith("train: "))
    assert any(command.startswith(proposed.removeprefix("train: ")) for command in COMMANDS)
