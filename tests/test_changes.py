"""Settings that differ are shown with the stages they make stale, and nothing else is shown."""

import json

import pytest
from fakes import paint_folder
from hypothesis import given
from hypothesis import strategies as st
from nursery import loop

from xaiaug import Splits
from xaiaug.loop.settings_diff import diff_settings, settings_snapshot
from xaiaug.records.pipeline import REDONE

tables = st.dictionaries(
    st.sampled_from(["critic", "recipe", "mistakes"]),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1),
    min_size=1,
)


@given(tables)
def test_equal_settings_show_nothing(settings):
    assert diff_settings(settings, settings) == []


@given(tables, tables)
def test_every_key_that_differs_is_shown_once(before, after):
    def flat(settings):
        return {f"{table}.{key}": value for table, values in settings.items() for key, value in values.items()}

    old, new = flat(before), flat(after)
    assert {c.key for c in diff_settings(before, after)} == {k for k in old | new if old.get(k) != new.get(k)}


def test_a_parameter_that_is_a_tuple_is_no_change_after_a_way_through_a_file():
    plugins = {"synthesizer": {"parameters": {"invariances": ("colour", "light")}}}
    told = json.loads(json.dumps(settings_snapshot({}, plugins, "f")))
    assert diff_settings(told, settings_snapshot({}, plugins, "f")) == []


def test_a_setting_that_is_not_there_is_told_from_one_of_that_name():
    before = {"recipe": {"trainer": {"report_to": "nothing"}}}
    (gone, new) = diff_settings(before, {"recipe": {"trainer": {"seed": 1}}})
    assert "report_to: 'nothing' -> not set (" in str(gone) and "seed: not set -> 1 (" in str(new)
    assert json.dumps([gone.after, new.before]) == '["not set", "not set"]'


def test_a_first_run_shows_nothing():
    assert diff_settings({}, {"critic": {"model": "a"}}) == []


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("data.fingerprint", "baseline"),
        ("classifier.parameters.checkpoint", "baseline"),
        ("mistakes.max", "heatmaps"),
        ("explainer.version", "heatmaps"),
        ("critic.parameters.model", "critiques"),
        ("synthesizer.source", "images"),
        ("experiment.images_per_mistake", "images"),
        ("experiment.fit_baseline", "baseline"),
        ("recipe.steps", "baseline"),
        ("experiment.until", None),
        ("budget.usd", None),
        ("privacy.allow_upload", None),
    ],
)
def test_a_setting_makes_stale_what_comes_of_it(key, first):
    def nested(value):
        *path, last = key.split(".")
        settings = {last: value}
        for name in reversed(path):
            settings = {name: settings}
        return settings

    (change,) = diff_settings(nested(1), nested(2))
    assert change.stale == (REDONE[REDONE.index(first) :] if first else ())
    assert f"{key}: 1 -> 2" in str(change)


def test_the_arms_recipe_leaves_a_baseline_that_says_otherwise_alone():
    before, after = ({"recipe": {"steps": n}, "baseline": {"steps": 5}} for n in (1, 2))
    assert [change.stale for change in diff_settings(before, after)] == [("arms",)]


def test_a_run_that_goes_on_with_other_settings_says_what_is_done_again(tmp_path):
    folder = paint_folder(tmp_path / "painted", {"train": 10, "guide": 12, "validation": 4, "test": 8})
    seen = []

    def go(**options):
        seen.clear()
        loop(**options).run(Splits.from_folder(folder), tmp_path / "run", watch=seen.append)
        return [step.note for step in seen if step.stage == "settings changed"]

    assert go(images=1) == []
    assert go(images=1) == []
    (note,) = go(images=2)
    assert note == "experiment.images_per_mistake: 1 -> 2 (again: images, arms)"
    begun = [step for step in seen if step.stage == "critique mistakes"]
    assert all(step.done == step.total for step in begun), "the critiques of before serve still"


def test_looking_at_test_again_with_other_settings_is_told(tmp_path):
    folder = paint_folder(tmp_path / "painted", {"train": 10, "guide": 12, "validation": 4, "test": 8})
    splits = Splits.from_folder(folder)
    first = loop(images=1).run(splits, tmp_path / "run")
    again = loop(images=1).run(splits, tmp_path / "run")
    assert first.report.data.test_seen == again.report.data.test_seen == 0
    other = loop(images=2).run(splits, tmp_path / "run")
    assert other.report.data.test_seen == 1
    assert any("test split was used once before" in note.text for note in other.report.notes)
