"""The quick-start notebook is a valid notebook without outputs, and runs from top to bottom."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
# Smaller sizes for tests; nothing else is changed.
SMALLER = {
    '"train": 400, "guide": 500': '"train": 24, "guide": 60',
    '"validation": 20, "test": 200': '"validation": 4, "test": 12',
    "steps=60": "steps=2",
    "steps=40": "steps=2",
}


def read_cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def run_cell(source: str, names: dict) -> object:
    """Executes a cell as a notebook does; returns the value of its last expression, which would be shown."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)  # noqa: S102
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)  # noqa: S307


def test_the_notebook_is_of_format_4_5_and_holds_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = read_cells()
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert {"cell_type", "id", "metadata", "source"} <= cell.keys() and cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    assert "/work" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.ci
def test_every_cell_runs_in_order_and_what_it_ends_with_shows_itself(tmp_path, monkeypatch) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    shown = []
    for cell in read_cells():
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            for usual, small in SMALLER.items():
                source = source.replace(usual, small)
            shown.append(run_cell(source, names))
    forms = [hasattr(value, "_repr_html_") or hasattr(value, "_repr_png_") for value in shown]
    assert sum(forms) == 4  # the result twice, the overlay, the critique
    assert names["result"].report.complete and shown[-1].exists()
    mpl.pyplot.close("all")
