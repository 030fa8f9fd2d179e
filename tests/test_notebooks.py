"""The notebooks of docs: each asks a question, runs from first cell to last, and shows what its last words say."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.outer import environment

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
SEEN = {  # of what its cells print
    "check_a_claim": ("decide alike: supported", "wrote claims/faster/measure.py", "INCONCLUSIVE"),
    "see_a_net_die": ("dead units: layer l2: ", "try: bias=small_positive", "3 diverged"),
    "sweep_your_own_table": ("houses.csv: 300 rows, 4 columns", "R² of the test part: 0."),
    "write_a_layer": ("wrote shifted.py", "agrees: True", "agrees: False", "test/accuracy"),
}


def test_each_notebook_is_listed() -> None:
    """The folder holds these notebooks; README and the site's navigation name each."""
    assert {file.stem for file in FOLDER.iterdir()} == SEEN.keys()
    for name in SEEN:
        assert f"(docs/notebooks/{name}.ipynb)" in (ROOT / "README.md").read_text()
        assert f"- notebooks/{name}.md\n" in (ROOT / "mkdocs.yml").read_text()


@pytest.mark.parametrize("name", SEEN)
def test_a_notebook_asks_and_answers(name: str) -> None:
    """It begins with one question, ends with what was seen, has short cells, and is kept without outputs."""
    cells: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    assert texts[0].count("**Question:** ") == 1
    assert texts[-1].startswith("**Seen:** ")
    assert max(text.count("\n") for text in texts) < 13
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel runs all cells in an empty folder, without an error, and prints what the notebook speaks of."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setattr(os, "environ", environment(PYTHONPATH=str(ROOT), PYDEVD_DISABLE_FILE_VALIDATION="1"))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.get("text", "") or str(output.get("data", "")) for output in outputs)
    assert not [text for text in SEEN[name] if text not in printed], printed
