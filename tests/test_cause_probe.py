"""probe_cause works with any classifier and no run folder."""

import numpy as np
import pytest
from blobs import outline
from test_causes import NO_TAG, TAG, answer, draw

from xaiaug import Cause, Critique, DataError, PredictClassifier, probe_cause
from xaiaug.errors import PluginError

COATS = ("orange", "blue")
YELLOW = PredictClassifier(answer(6.0), labels=COATS)  # sees the coat, and yellow more


def segment(_):
    return outline().astype(np.float32)


@pytest.fixture(scope="module")
def photos():
    """Images and labels: 14 with a misleading tag, 14 that lack it, and correct ones of both classes."""
    drawn = [(draw(i, 0, True), 0) for i in range(14)] + [(draw(100 + i, 1, False), 1) for i in range(14)]
    drawn += [(draw(200 + i, 0, False), 0) for i in range(14)] + [(draw(300 + i, 1, True), 1) for i in range(14)]
    return [photo.image for photo, _ in drawn], [label for _, label in drawn]


def test_each_image_may_have_its_own_cause(photos):
    images, labels = photos
    stated = [TAG] * 14 + [NO_TAG] * 14 + [None] * 28
    judged = probe_cause(YELLOW, images, labels, stated, segment=segment)
    assert [one.verdict.outcome for one in judged] == ["confirmed", "confirmed"]
    assert {one.verdict.label for one in judged} == {"orange", "blue"}
    named = probe_cause(YELLOW, images, [COATS[label] for label in labels], stated, segment=segment)
    assert [one.verdict for one in named] == [one.verdict for one in judged]


def test_a_critique_in_words_is_tested(photos):
    images, labels = photos
    critique = Critique(cause="The yellow tag in the corner misleads it.", prompt="an orange blob")
    first, second = probe_cause(YELLOW, images, labels, critique, segment=segment)
    by_label = {one.verdict.label: one.verdict for one in (first, second)}
    assert by_label["orange"].outcome == "confirmed"
    assert by_label["blue"].outcome == "untestable"  # these have no tag
    assert "14 of 14 images do not show it" in by_label["blue"].sentence


def test_a_critique_that_names_nothing_tests_nothing(photos):
    images, labels = photos
    assert probe_cause(YELLOW, images, labels, Critique(cause="Bad luck.", prompt="x")) == []


def test_slices_are_tested_apart(photos):
    images, labels = photos
    slices = [list(range(10)), list(range(10, 14))]
    judged = probe_cause(YELLOW, images, labels, TAG, slices=slices, segment=segment)
    assert [len(one.verdict.cases) for one in judged] == [10, 4]
    assert [one.verdict.outcome for one in judged] == ["confirmed", "suggestive"]


def test_the_library_finds_subjects_itself(photos):
    images, labels = photos
    assert probe_cause(YELLOW, images, labels, TAG)[0].verdict.outcome == "confirmed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0]}, "one label per image"),
        ({"labels": ["red"] * 56}, "orange, blue"),
        ({"labels": [2] * 56}, "orange, blue"),
        ({"cause": [TAG]}, "one cause, or one per image"),
        ({"cause": ["the tag"] * 56}, "must be a Cause"),
        ({"cause": "the tag"}, "must be a Cause, a Critique or None, got str"),
        ({"slices": [[0], [0]]}, "each once"),
        ({"slices": [[99]]}, "indices of 56 images"),
    ],
)
def test_what_does_not_fit_together_is_refused(photos, change, message):
    images, labels = photos
    arguments = {"images": images, "labels": labels, "cause": TAG} | change
    with pytest.raises(DataError, match=message):
        probe_cause(YELLOW, **arguments)


def test_a_classifier_without_probabilities_is_blamed(photos):
    class Broken(PredictClassifier):
        def predict_proba(self, images):
            return np.full((len(images), 3), 1 / 3, np.float32)

    with pytest.raises(PluginError, match=r"Broken.predict_proba must return shape"):
        probe_cause(Broken(answer(6.0), labels=COATS), photos[0], photos[1], TAG)


def test_no_images_are_no_slices():
    assert probe_cause(YELLOW, [], [], Cause("light")) == []
