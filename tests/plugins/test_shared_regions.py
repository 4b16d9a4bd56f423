"""What many maps mark off the subject is named, present and absent, and nothing is where no map marks it."""

from dataclasses import replace

import numpy as np
import pytest
from blobs import SIDE, blob
from PIL import Image, ImageDraw

from xaiaug import Case, Context, Explanation
from xaiaug.plugins.critics.measured import MeasuredCritic

LABELS = ("cat", "dog")
COATS = ("#808890", "#c8803c")
CORNERS = ((2, 2), (2, 50), (50, 2), (50, 50))


def case(seed, label, predicted, tagged, hot=True):
    """A blob with a tag in one of the corners, or none; its map is hot on that corner."""
    image = blob(seed, coat=COATS[label])
    x, y = CORNERS[seed % 4]
    if tagged:
        ImageDraw.Draw(image).rectangle((x, y, x + 10, y + 10), fill="#f4d83c")
    heat = np.full((SIDE, SIDE), 0.05, np.float32)
    heat[y : y + 11, x : x + 11] = 1
    explanation = Explanation(heat if hot else heat[::-1, ::-1].copy(), "drawn", predicted, True)
    chances = np.eye(2, dtype=np.float32)[predicted]
    return Case(f"{seed}", image, image, LABELS[label], LABELS[predicted], chances, explanation)


def explained(hot=True):
    """Tags on most dogs: cats with one look like dogs, dogs without one like cats."""
    correct = [case(i, 1, 1, i % 10 > 0, hot) for i in range(20)] + [
        case(100 + i, 0, 0, i == 0, hot) for i in range(20)
    ]
    return [
        *correct,
        *(case(200 + i, 0, 1, True, hot) for i in range(8)),
        *(case(300 + i, 1, 0, False, hot) for i in range(8)),
    ]


@pytest.fixture(scope="module")
def critic():
    prepared = MeasuredCritic()
    prepared.prepare(Context(labels=LABELS, explained=explained()))
    return prepared


def test_a_tag_that_goes_with_the_predicted_class_is_named(critic):
    (found,) = critic.critique([case(400, 0, 1, True)])
    assert found.cause.startswith("A yellow spot at the top left, off the subject: 18 of 20 correct images of dog")
    assert found.testable.kind == "region" and found.testable.present
    assert np.abs(np.array(found.testable.box) - (0.03, 0.03, 0.2, 0.2)).max() < 0.03
    assert any(line.startswith("region: ") and "8 of 8 of cat called dog" in line for line in found.evidence)
    assert any(line.startswith("hottest place off the subject: top left") for line in found.evidence)


def test_a_tag_that_is_missing_is_named(critic):
    (found,) = critic.critique([case(401, 1, 0, False)])
    assert found.cause == (
        "The image lacks the yellow spot that 18 of 20 correct images of dog have; so do 8 of the 8 images of dog "
        "called cat."
    )
    assert (found.testable.kind, found.testable.present) == ("region", False)


@pytest.mark.parametrize("wrong", [(1, 0, True), (0, 1, False)])
def test_a_tag_that_is_where_it_belongs_is_not_named(critic, wrong):
    (found,) = critic.critique([case(402, *wrong)])
    assert found.testable is None or found.testable.kind != "region"


def test_maps_that_mark_other_places_name_no_tag():
    prepared = MeasuredCritic()
    prepared.prepare(Context(labels=LABELS, explained=explained(hot=False)))
    (found,) = prepared.critique([case(400, 0, 1, True, hot=False)])
    assert found.testable is None or found.testable.kind != "region"


def test_images_without_maps_name_no_tag():
    prepared = MeasuredCritic()
    prepared.prepare(Context(labels=LABELS, explained=[replace(one, explanation=None) for one in explained()]))
    (found,) = prepared.critique([replace(case(400, 0, 1, True), explanation=None)])
    assert found.testable is None or found.testable.kind != "region"


def test_a_critique_depends_on_no_other_case(critic):
    cases = [case(400, 0, 1, True), case(401, 1, 0, False), case(403, 0, 1, False)]
    assert critic.critique(cases) == [critic.critique([one])[0] for one in cases]
    assert critic.critique(cases[::-1]) == critic.critique(cases)[::-1]


def test_other_explained_images_are_read_anew(critic):
    other = MeasuredCritic()
    other.prepare(Context(labels=LABELS, explained=explained()))
    assert other.critique([case(401, 1, 0, False)])[0].testable is not None
    other.prepare(Context(labels=LABELS))
    assert other.critique([case(401, 1, 0, False)])[0].testable is None


def test_small_images_are_measured():
    tiny = Image.new("RGB", (5, 40), "red")
    made = Case(
        "x",
        tiny,
        tiny,
        "cat",
        "dog",
        np.array([0.1, 0.9], np.float32),
        Explanation(np.ones((40, 5), np.float32), "m", 1, True),
    )
    prepared = MeasuredCritic()
    prepared.prepare(Context(labels=LABELS, explained=[made]))
    assert prepared.critique([made])[0].cause
