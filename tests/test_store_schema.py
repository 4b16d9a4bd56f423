"""One file owns the names in a run's ledger, and the steps of a run are listed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.records.pipeline import STEPS, STOPS, StageKind, Stop
from xaiaug.store import schema
from xaiaug.store.schema import Fact, StageName, Wave

PACKAGE = Path(__file__).resolve().parents[1] / "xaiaug"
OWNER, PIPELINE = PACKAGE / "store" / "schema.py", PACKAGE / "records" / "pipeline.py"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path not in (OWNER, PIPELINE)]
FACTS = {value.name for value in vars(schema).values() if isinstance(value, Fact)}
TAKES_A_NAME = {"get_fact", "set_fact", "rows", "begin", "Stage", "StageName", "Fact"}

words = st.text(max_size=12)
names = st.builds(
    StageName,
    st.sampled_from(StageKind),
    st.lists(words, max_size=3).map(tuple),
    st.sampled_from(["", schema.round_part(1), schema.seed_part(12)]),
)


@given(names)
def test_the_name_of_a_stage_is_read_back_as_it_was_written(name: StageName) -> None:
    assert StageName.parse(str(name)) == name


@given(words, st.integers(0, 99), st.integers(0, 9), st.sampled_from(["", schema.round_part(2)]))
def test_a_wave_is_read_back_from_its_stages(source: str, seed: int, number: int, part: str) -> None:
    wave = Wave(source, seed, number, part)
    for kind in (StageKind.SYNTHESIZE, StageKind.CURATE, StageKind.REVIEW):
        stage = StageName.parse(str(wave.stage(kind)))
        assert Wave.of(stage) == wave
        assert stage.is_first_wave == (number == 0)
    assert wave.name_work("make images").endswith(" again") == (number > 0)


def test_only_stages_on_test_count_as_a_look_at_test() -> None:
    looks = [schema.predict_test_stage("a", 0), schema.predict_curve_stage("a", 0, 5)]
    others = [schema.PREDICT_GUIDE, schema.PREDICT_JUDGE, schema.fit_stage("test", 0), schema.CASES]
    assert all(stage.is_test for stage in looks) and not any(stage.is_test for stage in others)


def test_facts_have_names_of_their_own_and_outcomes_are_marked() -> None:
    facts = [value for value in vars(schema).values() if isinstance(value, Fact)]
    assert len({fact.name for fact in facts}) == len(facts)
    assert set(schema.OUTCOMES) == {fact for fact in facts if fact.outcome}


def spelled_names(path: Path) -> Iterator[str]:
    """Strings that name a stage or a fact: given to what takes such a name, or beginning as stage names do."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            constant = first.value if isinstance(first, ast.Constant) else None
            if called in TAKES_A_NAME and (isinstance(constant, str) or isinstance(first, ast.JoinedStr)):
                yield f"{called}({ast.unparse(first)})"
            elif isinstance(node.func, ast.Attribute) and called in ("fact", "tell") and constant in FACTS:
                yield f"{called}({constant!r})"
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if any(text.startswith(f"{kind}/") for kind in StageKind):
            yield text


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_file_spells_the_name_of_a_stage_or_fact(path: Path) -> None:
    assert list(spelled_names(path)) == []


def listings(path: Path) -> Iterator[str]:
    """Literals that list three or more of the steps, stops or kinds of stages."""
    stops, redone, kinds = set(STOPS), {step.redoes for step in STEPS}, {str(kind) for kind in StageKind}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        entries = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", None)
        texts = {entry.value for entry in entries or () if isinstance(entry, ast.Constant)}
        others = set() if not isinstance(node, ast.Dict) else texts  # a record may have such fields among others
        if any(len(texts & group) >= 3 and others <= group for group in (stops, redone, kinds)):
            yield ast.unparse(node)[:80]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_file_lists_the_steps_of_a_run(path: Path) -> None:
    assert list(listings(path)) == []


def test_every_stop_ends_one_step() -> None:
    assert [step.stop for step in STEPS if step.stop] == list(Stop)
