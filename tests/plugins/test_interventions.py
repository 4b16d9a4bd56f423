"""The critic that experiments names the cause that holds on the images it was not found on."""

import numpy as np
import pytest
from test_causes import LABELS, answer, draw

from xaiaug import Case, Context, Explanation, load
from xaiaug.plugins.critics.interventions import InterventionsCritic


def case(number, photo, label, predicted):
    """A case whose map is hot on a tag's corner."""
    height, width = np.asarray(photo.image).shape[:2]
    heat = np.full((height, width), 0.05, np.float32)
    x, y = ((2, 2), (2, 50), (50, 2), (50, 50))[number % 4]
    heat[y : y + 12, x : x + 12] = 1
    explanation = Explanation(heat, "drawn", predicted, True)
    chances = np.eye(2, dtype=np.float32)[predicted]
    return Case(photo.id, photo.image, photo.image, LABELS[label], LABELS[predicted], chances, explanation)


@pytest.fixture(scope="module")
def explained():
    """Orange ones with a tag are called blue; others are right."""
    failed = [case(i, draw(i, 0, True), 0, 1) for i in range(22)]
    correct = [case(i, draw(100 + i, 0, False), 0, 0) for i in range(22)]
    return [*failed, *correct, *(case(i, draw(200 + i, 1, True), 1, 1) for i in range(22))]


@pytest.fixture(scope="module")
def critic(explained):
    prepared = InterventionsCritic()
    prepared.prepare(Context(labels=LABELS, explained=explained, predict_proba=answer(6.0)))
    return prepared


def test_a_cause_that_holds_is_stated_with_counts(critic, explained):
    (found,) = critic.critique(explained[:1])
    assert found.testable.kind == "region" and found.testable.present
    assert found.cause.startswith("A yellow spot: right when the yellow spot is erased: ")
    assert found.evidence[0].startswith("tried on the other half of these mistakes: ")
    assert found.prompt and found.confidence == 0.9


def test_a_critique_depends_on_no_other_case(critic, explained):
    assert critic.critique(explained[:3]) == [critic.critique([one])[0] for one in explained[:3]]


def test_nothing_is_stated_where_nothing_holds(explained):
    prepared = InterventionsCritic()
    prepared.prepare(Context(labels=LABELS, explained=explained, predict_proba=answer(0.0)))
    (found,) = prepared.critique(explained[:1])
    assert not found.cause.startswith("A yellow spot: right when")


def test_outside_a_run_it_states_what_measured_does(explained):
    prepared, measured = InterventionsCritic(), load("critic", "measured")
    for one in (prepared, measured):
        one.prepare(Context(labels=LABELS))
    assert prepared.critique(explained[:2]) == measured.critique(explained[:2])
