"""The figures in the documentation are those that `make bench` measured, and are written from them by a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "tables", raising=False)
    import tables

    yield tables
    del sys.modules["tables"]


def test_the_pages_are_what_the_figures_say(tables):
    differing = [str(path.relative_to(ROOT)) for path in tables.find_differences()]
    assert not differing, f"run python benchmarks/tables.py: {differing} differ from benchmarks/results"


def test_every_mark_names_a_figure_and_every_figure_stands_somewhere(tables):
    marked = {name for path in tables.list_pages() for _, name, _ in tables._MARK.findall(path.read_text())}
    assert marked <= set(tables.FIGURES)
    assert set(tables.FIGURES) <= marked


def test_a_page_that_says_something_else_is_found_and_corrected(tables, tmp_path, monkeypatch):
    page, results = tmp_path / "docs" / "benchmarks.md", tmp_path / "results"
    page.parent.mkdir()
    results.mkdir()
    (tmp_path / "README.md").write_text("<!-- figure: near-duplicates-million -->never<!-- /figure --> ends")
    for name, value in (("ROOT", tmp_path), ("PAGE", page), ("RESULTS", results)):
        monkeypatch.setattr(tables, name, value)
    monkeypatch.setattr(tables.read_results, "__defaults__", (results,))
    row = {"hashes": 10**6, "found": 5, "planted": 5, "megabytes": 80.0}
    for way, seconds in (("by blocks", 3.9), ("all pairs", 400.0)):
        row[way] = {"median": seconds, "low": seconds, "high": 2 * seconds, "rounds": 3}
    figures = {
        "command": ["near_duplicates.py", "--json", str(tmp_path / "someone" / "x.json")],
        "date": "2026-11-28",
        "machine": {"summary": "2 cores", "gpu": None},
        "rows": [row],
        "exponent": 1.1,
    }
    (results / "near_duplicates.json").write_text(json.dumps(figures))
    assert tables.find_differences() == [tmp_path / "README.md", page]
    tables.write_documents()
    assert tables.find_differences() == []
    assert (tmp_path / "README.md").read_text().endswith("-->4 s<!-- /figure --> ends")
    text = page.read_text()
    assert "| 1,000,000 | 5 of 5 | 3.90 s (3.90 to 7.80) | 80 MB | 400 s (400 to 800) |" in text
    assert "python benchmarks/near_duplicates.py\n" in text
    assert "someone" not in text
    assert text.count("Not measured yet") == 7
    assert text.count("No GPU was at hand") == 3


def test_no_figures_name_a_path_of_the_machine_that_they_were_measured_on(tables):
    for name, figures in tables.read_results().items():
        shown = " ".join(tables._hide_paths(figures["command"]))
        assert "/" not in shown.replace("ViT-S/16", "").replace("ViT-B/16", "").replace("ViT-L/16", ""), name
        assert not any(word.startswith("/") for word in figures["command"]), name
