"""Every family that transformers maps to image classification is right or refused in words, step by step."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as MAPPED

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def read_sweep() -> ModuleType:
    """The script that sweeps, as a module."""
    spec = importlib.util.spec_from_file_location("sweep", BENCHMARKS / "sweep.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        sys.modules["sweep"] = module
        spec.loader.exec_module(module)
    return module


sweep = read_sweep()
# Of the few in `make test`, what the family's own kind could break; the rest of the steps is slow.
QUICK = {
    "beit": ("predict", "auto", "fit"),
    "clip": ("grad-cam", "attention-relevance"),
    "deit-teacher": ("reorder", "save and load", "grad-cam"),
    "hiera": ("grad-cam", "embed"),
    "levit": ("fork", "grad-cam"),
    "perceiver-learned": ("grad-cam",),
    "siglip": ("attention-last", "auto"),
    "swinv2": ("auto", "reorder"),
}


def test_every_mapped_type_is_swept() -> None:
    swept = {name if name in MAPPED else name.rpartition("-")[0] for name in sweep.FAMILIES}
    assert swept == set(MAPPED)


def test_every_family_has_a_row_in_the_documentation() -> None:
    table = sweep.DOCS.read_text(encoding="utf-8").partition(sweep.MARKS[0])[2].partition(sweep.MARKS[1])[0]
    rows = [line.split(" | ")[0].strip("| ") for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == [*sweep.FAMILIES]


@pytest.mark.parametrize("name", QUICK)
def test_a_family_is_right_or_refused_in_words(name: str, tmp_path: Path) -> None:
    outcomes = sweep.sweep_family(name, tmp_path, QUICK[name])
    assert all(
        outcome in ("right", *sweep.METHODS) or outcome.startswith(("at ", "refused: "))
        for outcome in outcomes.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sweep.FAMILIES)
def test_every_step_of_a_family_is_right_or_refused_in_words(name: str, tmp_path: Path) -> None:
    outcomes = sweep.sweep_family(name, tmp_path)
    if all(outcome.startswith("not swept: ") for outcome in outcomes.values()):
        pytest.skip(outcomes["predict"])
    for step, outcome in outcomes.items():
        known = outcome in ("right", *sweep.METHODS) or outcome.startswith(("at ", "refused: "))
        assert known, f"{step}: {outcome}"
