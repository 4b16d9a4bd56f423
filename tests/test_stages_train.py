"""A training passes checkpoints and snapshots as keywords, and only to a `fit` that declares them."""

from pathlib import Path

import pytest
from fakes import NearestColour, paint_folder

from xaiaug import Context, Recipe, Splits
from xaiaug.engines import LocalEngine
from xaiaug.errors import RunStopped
from xaiaug.interfaces import Checkpoints
from xaiaug.stages import StageRuntime, Training, WhatToKeep, fit
from xaiaug.store import Store

OPTIONS = {"checkpoints", "monitor", "snapshots"}
calls = []


class Plain(NearestColour):
    """A third-party classifier: `fit` takes the required arguments only, and nobody else may set its attributes."""

    def __setattr__(self, name, value):
        assert name not in OPTIONS, f"{name} was set from outside"
        super().__setattr__(name, value)

    def fit(self, train, validation, *, recipe, seed):
        calls.append({})
        return super().fit(train, validation, recipe=recipe, seed=seed)


class Resuming(Plain):
    def fit(self, train, validation, *, recipe, seed, checkpoints="default"):
        calls.append({"checkpoints": checkpoints})
        return NearestColour.fit(self, train, validation, recipe=recipe, seed=seed)


class Keeping(Plain):
    def fit(self, train, validation, *, recipe, seed, checkpoints="default", snapshots="default"):
        calls.append({"checkpoints": checkpoints, "snapshots": snapshots})
        return NearestColour.fit(self, train, validation, recipe=recipe, seed=seed)


class Loose(Plain):
    """Takes any keyword, which does not tell what it does with one."""

    def fit(self, train, validation, **keywords):
        calls.append({name: keywords.pop(name) for name in OPTIONS & keywords.keys()})
        return NearestColour.fit(self, train, validation, **keywords)


class Stoppable(Plain):
    """Does a step after another, and may or may not stop when it is told."""

    def __init__(self, obeys: bool = True) -> None:
        super().__init__()
        self.obeys = obeys

    def fit(self, train, validation, *, recipe, seed, checkpoints=None, monitor=None):
        calls.append({"checkpoints": checkpoints, "monitor": monitor})
        for step in range(1, recipe.steps + 1):
            if monitor.on_step(step, recipe.steps) and self.obeys:
                raise RunStopped("as I was told")
            if step == 2 and not self.obeys:
                break
        return NearestColour.fit(self, train, validation, recipe=recipe, seed=seed)


@pytest.fixture
def train(tmp_path):
    splits = Splits.from_folder(paint_folder(tmp_path / "images", {"train": 6, "guide": 2, "validation": 2, "test": 2}))

    def train(classifier, keeping=None, watch=lambda progress: None, stopping=bool):
        """The optional keywords that its `fit` was called with."""
        calls.clear()
        with Store(tmp_path / "run") as store:
            context = Context(labels=splits.labels)
            runtime = StageRuntime(store, LocalEngine(), watch, context, stopping)
            training = Training("baseline", 0, Recipe(steps=3, batch_size=4), splits.train, splits.validation)
            fit(runtime, classifier, training, keeping)
        (call,) = calls
        return call

    return train


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Plain, set()), (Resuming, {"checkpoints"}), (Keeping, {"checkpoints", "snapshots"}), (Loose, set())],
)
def test_each_fit_gets_the_keywords_that_it_declares_and_no_attribute(train, kind, options, tmp_path):
    assert kind.fit_options() == options
    call = train(kind(), WhatToKeep(checkpoint_steps=5, curve=True))
    assert call.keys() == options
    if "checkpoints" in options:
        assert isinstance(call["checkpoints"], Checkpoints)
        assert call["checkpoints"].every == 5
    if "snapshots" in options:
        assert isinstance(call["snapshots"], Path)
        assert call["snapshots"].is_relative_to(tmp_path / "run")


@pytest.mark.parametrize("keeping", [None, WhatToKeep(), WhatToKeep(checkpoint_steps=5)])
def test_an_option_that_is_not_wanted_keeps_its_default(train, keeping):
    assert train(Keeping(), keeping)["snapshots"] == "default"


def test_nothing_is_passed_where_nothing_is_wanted(train):
    assert train(Keeping()) == {"checkpoints": "default", "snapshots": "default"}


def test_a_training_that_can_be_stopped_may_keep_itself_though_no_checkpoints_were_asked_for(train, tmp_path):
    call = train(Stoppable())
    assert call["checkpoints"].every is None
    assert call["checkpoints"].folder.is_relative_to(tmp_path / "run")


def test_progress_counts_the_steps_of_a_training_that_tells_them(train):
    told = []
    train(Stoppable(), watch=told.append)
    assert [(one.stage, one.done, one.total) for one in told] == [
        ("train baseline", done, 3) for done in (0, 1, 2, 3, 3)
    ]


@pytest.mark.parametrize("obeys", [True, False])
def test_a_training_that_was_told_to_stop_is_never_taken_for_a_finished_one(train, obeys):
    told = []
    with pytest.raises(RunStopped, match="stopped in train baseline at step 2 of 3: rerun the same command to resume"):
        train(Stoppable(obeys), watch=told.append, stopping=lambda: told[-1].done == 2)
    (call,) = calls
    assert call["monitor"] is not None


def test_a_stop_after_the_last_step_keeps_the_training(train):
    told = []
    train(Stoppable(), watch=told.append, stopping=lambda: told[-1].done == 3)
    assert told[-1].done == 3
