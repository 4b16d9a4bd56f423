"""Every benchmark and every example runs with --quick, and benchmarks write their figures with --json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
# What each script needs besides --quick; paths below shared/data, and packages of an extra.
BENCHMARKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bill": ((), ("anthropic", "openai", "genai_prices")),
    "caching": ((), ("anthropic", "genai_prices")),
    "calls": ((), ()),
    "causes": ((), ()),
    "critics": ((), ()),
    "data": (("--data", "cats-vs-dogs"), ()),
    "diagnose": (("--data", ""), ()),
    "dose": ((), ()),
    "engines": ((), ()),
    "edits": (("--data", ""), ()),
    "explainers": ((), ()),
    "filter": (("--data", ""), ()),
    "loop": ((), ()),
    "near_duplicates": ((), ()),
    "petworld": ((), ()),
    "photos": (("--data", ""), ()),
    "photos tag": (("--data", ""), ()),  # its --start
    "pointing": (("--data", ""), ()),
    "pretrain_petworld": ((), ()),
    "protocols": ((), ()),
    "recommendation": ((), ()),
    "report": ((), ()),
    "segmentation": (("--data", "pets-with-masks"), ()),
    "remix": (("--data", "pets-with-masks", "--checkpoint", "weights/vit-tiny-distilled"), ()),
    "slices": (("--data", ""), ()),
    "sweep": ((), ()),
    "synthesizers": ((), ("diffusers", "compel")),
    "training": ((), ()),
}
PARTS = {
    "composed_backdrops",
    "planted",
    "planted_marks",
    "pretrained",
    "reporting",
    "run_all",
    "tables",
}  # of other benchmarks
EXAMPLES = ("cats_vs_dogs", "custom_explainer", "loop")


def run(script: Path, folder: Path, *arguments: str) -> str:
    """The script's output; it runs in `folder`, where what it writes is thrown away."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XAIAUG_CACHE": str(folder / "cache")}
    process = subprocess.run(
        [sys.executable, str(script), "--quick", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,  # it hangs; `make check --durations` shows how long each takes
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def resolve(arguments: tuple[str, ...]) -> list[str]:
    """The arguments with paths below shared/data; skips where these are absent."""
    resolved = []
    for option, name in zip(arguments[::2], arguments[1::2], strict=True):
        if not (DATA / name).is_dir():
            pytest.skip(f"needs {DATA / name}, which is not redistributed")
        resolved += [option, str(DATA / name)]
    return resolved


# Hashes 20,000 photographs first; `photos tag` runs the same script on fewer in make check.
LONG = {"photos"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else pytest.mark.ci) for name in BENCHMARKS]
)
def test_a_benchmark_runs_and_writes_its_figures(name, tmp_path):
    arguments, packages = BENCHMARKS[name]
    for package in packages:
        pytest.importorskip(package)
    file = tmp_path / "figures.json"
    script, _, start = name.partition(" ")
    more = ("--start", start) if start else ()
    run(ROOT / "benchmarks" / f"{script}.py", tmp_path, *resolve(arguments), *more, "--json", str(file))
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures.keys() > {"command", "date", "machine", "seeds"}
    assert figures["machine"]["cores"] and figures["machine"]["versions"]["xaiaug"]


@pytest.mark.ci
def test_the_example_runs_and_ends_with_a_report(tmp_path):
    """The other examples run in `test_docs.py`."""
    output = run(ROOT / "examples" / "cats_vs_dogs.py", tmp_path)
    assert (tmp_path / output.rsplit("report: ", 1)[1].strip()).exists()


def test_no_script_is_left_out():
    benchmarks = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - PARTS
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert benchmarks == {name.partition(" ")[0] for name in BENCHMARKS}
    assert examples == set(EXAMPLES)
