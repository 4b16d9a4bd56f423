"""A training passes checkpoints and snapshots as keywords, and only to a `fit` that declares them."""

from pathlib import Path

import pytest
from fakes import NearestColour, paint_folder

from xaiaug import Context, Recipe, Splits
from xaiaug.engines import LocalEngine
from xaiaug.interfaces import Checkpoints
from xaiaug.stages import StageRuntime, Training, WhatToKeep, fit
from xaiaug.store import Store

OPTIONS = {"checkpoints", "snapshots"}
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


@pytest.fixture
def train(tmp_path):
    splits = Splits.from_folder(paint_folder(tmp_path / "images", {"train": 6, "guide": 2, "validation": 2, "test": 2}))

    def train(classifier, keeping=None):
        """The optional keywords that its `fit` was called with."""
        calls.clear()
        with Store(tmp_path / "run") as store:
            context = Context(labels=splits.labels)
            runtime = StageRuntime(store, LocalEngine(), lambda progress: None, context)
            training = Training("baseline", 0, Recipe(steps=3, batch_size=4), splits.train, splits.validation)
            fit(runtime, classifier, training, keeping)
        (call,) = calls
        return call

    return train


@pytest.mark.parametrize(
    ("kind", "options"), [(Plain, set()), (Resuming, {"checkpoints"}), (Keeping, OPTIONS), (Loose, set())]
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
