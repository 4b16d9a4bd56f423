"""Each stage of a run is begun once: what comes later takes its results, and does not ask again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes import paint_folder
from nursery import loop

from xaiaug import Splits
from xaiaug.store import Reader, Store
from xaiaug.store.schema import BEGUN, CASES, EXPLAIN


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each stage was begun."""
    count: Counter[str] = Counter()
    begin = Store.begin

    def counted(store: Store, stage: Any, keys: Any, total: int) -> None:
        count[str(stage)] += 1
        begin(store, stage, keys, total)

    monkeypatch.setattr(Store, "begin", counted)
    return count


@pytest.mark.parametrize(
    "experiment",
    [
        {"arms": "basic"},
        {"arms": "basic", "test_explanation": True, "seeds": (0, 1)},
        {"arms": ["generated+training", "correct-case-prompts", "random-map", "no-map", "unguided"]},
        {"arms": "basic", "rounds": 2},
        {"arms": "basic", "seeds": (0, 1), "vary": ["critique", "baseline"]},
    ],
)
def test_a_run_begins_each_of_its_stages_once(tmp_path: Path, begun: Counter[str], experiment: dict[str, Any]) -> None:
    paint_folder(tmp_path / "photos", {"train": 16, "guide": 24, "test": 8})
    runs = loop()
    tables = runs.settings.model_dump()
    tables["experiment"] |= experiment
    again = type(runs)(*runs.plugins.by_kind.values(), settings=tables)
    again.run(Splits.from_folder(tmp_path / "photos"), tmp_path / "run")
    assert begun and {stage: count for stage, count in begun.items() if count > 1} == {}
    reader = Reader(tmp_path / "run")
    assert sorted(reader.get_fact(BEGUN) or []) == sorted(begun)
    reader.close()


def test_beginning_a_stage_again_replaces_it_and_lists_it_once(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.start_session()
        for keys in (["a"], ["b", "c"]):
            store.begin(CASES, keys, len(keys))
        store.begin(EXPLAIN, ["d"], 1)
        assert store.ledger.get_fact(BEGUN) == [str(CASES), str(EXPLAIN)]
        assert store.ledger.stages()[CASES] == (["b", "c"], 2)
