"""What is given to a loop wins over its settings, whatever its value; what is not given leaves them alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import NearestColour
from hypothesis import given
from hypothesis import strategies as st

from xaiaug import Arm, FeedbackLoop, Recipe
from xaiaug.config import Settings

SETTINGS = {
    "critic": {"name": "measured"},
    "explainer": {"name": "uniform"},
    "synthesizer": {"name": "petworld", "prior": "uniform"},
    "experiment": {"arms": "paper", "seeds": [3, 4], "images_per_mistake": 9},
    "recipe": {"steps": 7},
    "baseline": {"steps": 8},
    "curation": {"remakes": 1},
    "budget": {"usd": 2.0},
}
# Each argument at the value that it has when it is left out, and where the settings show what became of it.
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "explainer": ("auto", lambda settings: settings.explainer.name),
    "critic": ("measured", lambda settings: settings.critic.name),
    "synthesizer": ("remix", lambda settings: settings.synthesizer.name),
    "arms": ("basic", lambda settings: settings.experiment.arms),
    "seeds": ((0,), lambda settings: settings.experiment.seeds),
    "images_per_mistake": (5, lambda settings: settings.experiment.images_per_mistake),
    "budget_usd": (None, lambda settings: settings.budget.usd),
}


def loop(**arguments: Any) -> FeedbackLoop:
    return FeedbackLoop(NearestColour(), settings=SETTINGS, **arguments)


@given(st.sets(st.sampled_from(sorted(DEFAULTS))))
def test_an_argument_equal_to_its_default_wins_and_one_left_out_does_not(given_names: set[str]) -> None:
    settings = loop(**{name: DEFAULTS[name][0] for name in given_names}).settings
    left_alone = loop().settings
    for name, (default, look) in DEFAULTS.items():
        assert look(settings) == (default if name in given_names else look(left_alone))


def test_what_is_left_out_is_as_the_settings_say() -> None:
    settings = loop().settings
    assert (settings.experiment.arms, settings.experiment.seeds, settings.budget.usd) == ("paper", (3, 4), 2.0)
    assert settings.synthesizer.parameters == {"prior": "uniform"}


@pytest.mark.parametrize("argument", [None, Recipe(steps=5)])
def test_a_recipe_replaces_the_whole_table(argument: Recipe | None) -> None:
    trained, baseline = loop(recipe=argument, baseline_recipe=None).settings.recipes()
    assert trained == baseline == (argument or Recipe())


def test_a_default_curation_replaces_that_of_the_settings() -> None:
    assert loop(curation="default").settings.curation == Settings().curation
    assert loop().settings.curation.remakes == 1


def test_parameters_of_another_plugin_do_not_reach_the_one_that_was_given() -> None:
    settings = loop(synthesizer="remix").settings
    assert (settings.synthesizer.name, settings.synthesizer.parameters) == ("remix", {})
    same = loop(synthesizer="petworld").settings
    assert same.synthesizer.parameters == {"prior": "uniform"}


def test_checked_settings_may_be_given_and_arguments_win_over_them_too() -> None:
    checked = loop().settings
    assert FeedbackLoop(NearestColour(), settings=checked).settings.experiment == checked.experiment
    again = FeedbackLoop(NearestColour(), seeds=(0,), settings=checked).settings
    assert again.experiment == checked.experiment.model_copy(update={"seeds": (0,)})


def test_rows_of_arms_are_taken_as_they_are() -> None:
    mine = replace(Arm("mine", "a test"), sampling="balanced")
    assert mine in loop(arms=["baseline", mine]).arms


def test_a_loop_of_a_file_is_built_as_any_other(tmp_path: Path) -> None:
    file = tmp_path / "xaiaug.toml"
    file.write_text('[data]\nfolder = "photos"\n[critic]\nname = "measured"\n[classifier]\ncheckpoint = "x"\n')
    of_file = FeedbackLoop.from_config(file)
    assert vars(of_file).keys() == vars(loop()).keys()
    assert of_file.settings.data.folder == tmp_path / "photos"
