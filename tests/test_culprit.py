"""A broken plugin in a loop is named, what was finished is kept, and the mended one goes on from there."""

import json
import time

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder

from xaiaug import Critique, Explanation, FeedbackLoop, Recipe, Splits, SyntheticImage
from xaiaug.errors import PluginError, XaiaugError
from xaiaug.stages.plugin_guard import WithTimeLimit, blame_plugin, check_plain, notify_while_waiting
from xaiaug.store.run_ledger import RunLedger

pytestmark = pytest.mark.ci  # processes and limits of time


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 12, "guide": 20, "validation": 4, "test": 8})


def loop(**changed):
    plugins = {"classifier": NearestColour(), "explainer": Ramp(), "critic": ColourCritic(), "synthesizer": Painter()}
    return FeedbackLoop(
        **{**plugins, **{name: value for name, value in changed.items() if name in plugins}},
        recipe=Recipe(steps=2, batch_size=8),
        images_per_mistake=1,
        settings=changed.get("settings"),
    )


class Unprepared(ColourCritic):
    def prepare(self, context):
        raise KeyError("weights")


class Untrained(NearestColour):
    def fit(self, train, validation, *, recipe, seed):
        raise ZeroDivisionError("no images")


class Unsaved(NearestColour):
    def save(self, folder):
        raise AttributeError("nothing to save")


class Unpredicting(NearestColour):
    def predict_proba(self, images):
        raise IndexError("list index out of range")


class Flat(Ramp):
    def explain(self, classifier, images, targets):
        return [Explanation(np.zeros((2, 2), np.float32), "flat", target, False) for target in targets]


class Few(Ramp):
    def explain(self, classifier, images, targets):
        return super().explain(classifier, images, targets)[1:]


class Silent(Ramp):
    def explain(self, classifier, images, targets):
        return None


class Numpy(ColourCritic):
    def critique(self, cases):
        return [Critique("cause", "prompt", confidence=np.float32(0.5)) for _ in cases]


class Arrays(Painter):
    def synthesize(self, requests):
        return [SyntheticImage(np.zeros((8, 8, 3)), request.seed, "") for request in requests]


class Details(Painter):
    def _one(self, request):
        made = super()._one(request)
        return SyntheticImage(made.image, made.seed, made.prompt, details={"mean": np.float32(3)})


@pytest.mark.parametrize(
    ("kind", "plugin", "message"),
    [
        ("critic", Unprepared, r"Unprepared\.prepare raised KeyError: 'weights' \(test_culprit.py, line \d+\)"),
        ("classifier", Untrained, r"Untrained\.fit raised ZeroDivisionError: no images"),
        ("classifier", Unsaved, r"Unsaved\.save raised AttributeError: nothing to save"),
        ("classifier", Unpredicting, r"Unpredicting\.predict_proba raised IndexError"),
        (
            "explainer",
            Flat,
            r"Flat\.explain: a heatmap must have the size of its image, \(16, 16\) \(h w\), got \(2, 2\)",
        ),
        ("explainer", Few, r"Few\.explain was given \d+ items and must return as many results, got \d+"),
        ("explainer", Silent, r"Silent\.explain must return a list of \d+ results, got NoneType"),
        ("critic", Numpy, r"Numpy\.critique must return what is JSON-plain"),
        ("synthesizer", Arrays, r"Arrays\.synthesize: an image must be a Pillow image, got ndarray"),
        ("synthesizer", Details, r"Details\.synthesize must return what is JSON-plain"),
    ],
)
def test_the_loop_names_the_culprit_and_a_sound_plugin_goes_on(kind, plugin, message, folder, tmp_path):
    with pytest.raises(PluginError, match=message):
        loop(**{kind: plugin()}).run(Splits.from_folder(folder), tmp_path)
    kept = finished(tmp_path)
    done = loop().run(Splits.from_folder(folder), tmp_path)
    assert done.report.complete
    assert kept <= finished(tmp_path)
    assert any(name.startswith("fit/baseline") for name, _ in kept) == (plugin not in (Untrained, Unsaved))


def finished(run_dir):
    """Stage and key of every finished chunk."""
    ledger = RunLedger(run_dir / "ledger.sqlite", writable=False)
    try:
        return set(ledger.select("SELECT stage, key FROM chunks"))
    finally:
        ledger.close()


class HalfBroken(ColourCritic):
    """Raises in the middle, and gives an impossible critique."""

    def critique(self, cases):
        for case in cases:
            if case.id[0] in "0123":
                raise ValueError("cannot read this one")
        return [Critique("c", "p", confidence=7) if case.id[0] in "456" else self._one(case) for case in cases]


def test_a_plugin_that_raises_in_the_middle_costs_only_those_items(folder, tmp_path):
    result = loop(critic=HalfBroken()).run(Splits.from_folder(folder), tmp_path, until="critique")
    made = {case.id[0]: case.critique for case in result.mistakes}
    assert any(first in "0123456" for first in made) and any(first not in "0123456" for first in made)
    assert all((critique is None) == (first in "0123456") for first, critique in made.items())


class Sleeping(Painter):
    """Hangs on its second batch."""

    batch_size = 2
    calls = 0

    def synthesize(self, requests):
        type(self).calls += 1
        if self.calls == 2:
            time.sleep(3600)
        return super().synthesize(requests)


def test_a_plugin_that_hangs_is_named_after_the_time_it_may_take_and_nothing_is_lost(folder, tmp_path):
    hanging = loop(synthesizer=Sleeping(), settings={"limits": {"chunk_seconds": 1}})
    with pytest.raises(PluginError, match=r"Sleeping\.synthesize did not end within 1 s on 2 items.*chunk_seconds"):
        hanging.run(Splits.from_folder(folder), tmp_path)
    kept = finished(tmp_path)
    assert any(name.startswith("synthesize") for name, _ in kept)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "stopped"
    calls = Sleeping.calls
    done = loop(synthesizer=Sleeping(), settings={"limits": {"chunk_seconds": 60}}).run(
        Splits.from_folder(folder), tmp_path
    )
    assert done.report.complete
    assert kept <= finished(tmp_path)
    assert Sleeping.calls > calls


class Dozing(NearestColour):
    def fit(self, train, validation, *, recipe, seed):
        time.sleep(3600)


def test_a_training_that_hangs_is_named_by_a_limit_of_its_own(folder, tmp_path):
    slow = loop(classifier=Dozing(), settings={"limits": {"chunk_seconds": 60, "training_seconds": 0.5}})
    with pytest.raises(PluginError, match=r"Dozing\.fit did not end within 0.5 s.*training_seconds"):
        slow.run(Splits.from_folder(folder), tmp_path)


def test_a_limit_that_is_kept_changes_nothing(folder, tmp_path):
    free = loop().run(Splits.from_folder(folder), tmp_path / "free")
    limited = loop(settings={"limits": {"chunk_seconds": 60, "training_seconds": 60}})
    assert limited.run(Splits.from_folder(folder), tmp_path / "limited").table() == free.table()


def test_limited_work_passes_on_what_is_raised():
    def work(values):
        raise XaiaugError("on purpose")

    with pytest.raises(XaiaugError, match="on purpose"):
        WithTimeLimit(work, "Thing.do", 10, "chunk_seconds")([1])


def test_who_is_waited_for_is_told_again_and_again_until_something_is_heard():
    told = []
    with notify_while_waiting("Thing.do", 0.05, told.append) as heard:
        deadline = time.monotonic() + 20
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        heard()
    count = len(told)
    assert told[0].startswith("still waiting for Thing.do, for ")
    time.sleep(0.3)
    assert len(told) <= count + 1  # one may have been on its way


def test_errors_on_purpose_keep_their_words_and_others_gain_a_name():
    with pytest.raises(XaiaugError, match="^as it is$"), blame_plugin("Thing.do"):
        raise XaiaugError("as it is")
    with (
        pytest.raises(PluginError, match=r"Thing.do raised ValueError: no message \(test_culprit"),
        blame_plugin("Thing.do"),
    ):
        raise ValueError
    assert check_plain("Thing.do", {"a": [1, None]}) == {"a": [1, None]}


class Waiting(ColourCritic):
    """A remote critic that never answers for one case."""

    remote = True
    batch_size = 1

    def critique(self, cases):
        if cases[0].id[0] in "01234567":
            time.sleep(3600)
        return super().critique(cases)


def test_a_remote_plugin_that_hangs_is_named_and_the_others_replies_are_kept(folder, tmp_path):
    tables = {"limits": {"chunk_seconds": 2}, "privacy": {"allow_upload": True}}
    with pytest.raises(PluginError, match=r"Waiting\.critique did not end within 2 s on 1 items"):
        loop(critic=Waiting(), settings=tables).run(Splits.from_folder(folder), tmp_path)
    assert any(name == "critique" for name, _ in finished(tmp_path))


class Unstored(ColourCritic):
    def __init__(self, model="m"):
        pass


class Unplain(ColourCritic):
    def __init__(self, folder=None):
        self.folder = folder


def test_parameters_that_cannot_be_kept_are_told_before_the_run_starts(tmp_path):
    with pytest.raises(PluginError, match=r"Unstored.__init__ must store .* self.model = model"):
        loop(critic=Unstored())
    with pytest.raises(PluginError, match="the critic Unplain: parameter 'folder' must be plain"):
        loop(critic=Unplain(tmp_path))
