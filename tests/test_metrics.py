"""Metrics agree with their definitions, on absent classes and single images too."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug.errors import DataError
from xaiaug.metrics import Metrics, Scorer, evaluate, wilson_interval


def one_hot(predicted: list[int], k: int, certainty: float = 0.9) -> np.ndarray:
    rows = np.full((len(predicted), k), (1 - certainty) / (k - 1))
    rows[np.arange(len(predicted)), predicted] = certainty
    return rows.astype(np.float32)


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    k = draw(st.integers(2, 6))
    labels = draw(st.lists(st.integers(0, k - 1), min_size=1, max_size=40))
    seed = draw(st.integers(0, 2**32 - 1))
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(k), len(labels))
    return np.array(labels), probabilities.astype(np.float32), k


def test_a_worked_example_by_hand() -> None:
    found = evaluate(np.array([0, 0, 0, 1]), one_hot([0, 0, 1, 1], 2), ("cat", "dog"))
    assert found.accuracy == 0.75
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.confusion == ((2, 1), (0, 1))
    assert found.precision == pytest.approx((1 + 1 / 2) / 2)
    assert found.f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.log_loss == pytest.approx(-(3 * math.log(0.9) + math.log(0.1)) / 4, rel=1e-6)
    assert [(scores.name, scores.support) for scores in found.classes] == [("cat", 3), ("dog", 1)]


def test_the_interval_of_the_accuracy_is_wilsons() -> None:
    n, hits, z = 200, 190, 1.959963984540054
    found = evaluate(np.zeros(n, int), one_hot([0] * hits + [1] * (n - hits), 2), ("a", "b"))
    p = hits / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    expected = ((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n))
    assert found.accuracy_interval == pytest.approx(expected)


def test_a_class_without_images_counts_in_no_mean() -> None:
    found = evaluate(np.array([0, 1]), one_hot([0, 2], 4), ("a", "b", "never", "nowhere"))
    assert found.balanced_accuracy == 0.5
    assert found.recall == found.balanced_accuracy
    assert (found.classes[1].precision, found.classes[1].recall) == (0, 0)
    assert (found.classes[2].precision, found.classes[2].recall, found.classes[2].f1) == (0, None, None)
    assert (found.classes[3].precision, found.classes[3].support) == (None, 0)


def test_areas_under_the_curve() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    found = evaluate(labels, np.stack([1 - scores, scores], 1), ("a", "b"))
    assert found.roc_auc == pytest.approx(0.75)
    assert evaluate(labels[:2], one_hot([0, 1], 2), ("a", "b")).roc_auc is None


def test_groups_and_the_worst_of_them() -> None:
    groups = [{"coat": "red"}, {"coat": "red"}, {"coat": "blue", "lit": "no"}, {}, {"coat": "red"}]
    labels, predicted = np.array([0, 0, 0, 0, 1]), one_hot([0, 1, 0, 0, 0], 2)
    found = evaluate(labels, predicted, ("a", "b"), groups, smallest_group=2)
    assert [(g.attribute, g.value, g.n, g.accuracy) for g in found.groups] == [
        ("class × coat × lit", "a × blue × no", 1, 1.0),
        ("class × coat", "a × red", 2, 0.5),
        ("class × coat", "b × red", 1, 0.0),
    ]
    assert found.worst_group == found.groups[1], "a group of one image is shown, and cannot be the worst"
    assert evaluate(labels, predicted, ("a", "b"), groups).worst_group is None, "no group has 20 images"
    assert evaluate(np.array([0]), one_hot([0], 2), ("a", "b")).worst_group is None


@settings(max_examples=40)
@given(predictions())
def test_scores_agree_with_each_other(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, probabilities, k = case
    found = evaluate(labels, probabilities, tuple(map(str, range(k))))
    confusion = np.array(found.confusion)
    assert confusion.sum() == found.n == len(labels)
    assert found.accuracy == pytest.approx(np.trace(confusion) / found.n)
    assert found.accuracy_interval[0] <= found.accuracy + 1e-9
    assert found.accuracy <= found.accuracy_interval[1] + 1e-9
    recalls = [scores.recall for scores in found.classes if scores.recall is not None]
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert sum(scores.support for scores in found.classes) == found.n
    assert found.log_loss >= 0


@settings(max_examples=40)
@given(predictions(), st.randoms(use_true_random=False))
def test_order_of_images_and_names_of_classes_do_not_matter(case: tuple, random: object) -> None:
    labels, probabilities, k = case
    images, classes = list(range(len(labels))), list(range(k))
    random.shuffle(images)
    random.shuffle(classes)
    renamed = np.array([classes.index(label) for label in labels])[images]
    first = evaluate(labels, probabilities, [str(index) for index in range(k)])
    second = evaluate(renamed, probabilities[images][:, classes], [str(index) for index in classes])
    for name in ("accuracy", "balanced_accuracy", "precision", "f1", "log_loss", "roc_auc"):
        assert getattr(first, name) == pytest.approx(getattr(second, name))


@settings(max_examples=40)
@given(predictions())
def test_json_gives_the_same_metrics_back(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, probabilities, k = case
    groups = [{"side": "left" if index % 2 else "right"} for index in range(len(labels))]
    found = evaluate(labels, probabilities, tuple(map(str, range(k))), groups)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Metrics.from_json(json.loads(text)) == found


@pytest.mark.parametrize(
    ("labels", "probabilities", "groups", "words"),
    [
        ([0, 1], one_hot([0], 2), None, "shapes"),
        ([[0], [1]], one_hot([0, 1], 2), None, "shapes"),
        ([0, 1], one_hot([0, 1], 3), None, "2 classes"),
        ([], np.zeros((0, 2)), None, "no predictions"),
        ([0, 2], one_hot([0, 1], 2), None, "indices in 0..1"),
        ([0.0, 1.0], one_hot([0, 1], 2), None, "indices in 0..1"),
        ([0, 1], [[0.5, 0.5], [float("nan"), 1]], None, "finite"),
        ([0, 1], [[0.5, 0.5], [-0.5, 1.5]], None, "not negative"),
        ([0, 1], [[0.5, 0.5], [3.0, 1.0]], None, "sum to 1"),
        ([0, 1], one_hot([0, 1], 2), [{}], "groups for each of 2"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list, probabilities: object, groups: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        evaluate(np.array(labels), np.array(probabilities), ("a", "b"), groups)


def test_the_calibration_error_is_the_distance_between_confidence_and_accuracy():
    labels = np.array([0] * 10)
    probabilities = np.tile([0.7, 0.3], (10, 1))
    assert evaluate(labels, probabilities, ["a", "b"]).calibration_error == pytest.approx(0.3)
    labels = np.array([0] * 7 + [1] * 3)
    assert evaluate(labels, probabilities, ["a", "b"]).calibration_error == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(predictions())
def test_what_arms_are_compared_by_is_what_is_reported_of_each(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, probabilities, k = case
    reported = evaluate(labels, probabilities, [str(index) for index in range(k)])
    scored = {metric: Scorer(metric).score(labels, probabilities) for metric in ("accuracy", "macro-f1", "auroc")}
    assert (reported.accuracy, reported.f1) == (scored["accuracy"], scored["macro-f1"])
    assert reported.balanced_accuracy == Scorer("balanced-accuracy").score(labels, probabilities)
    assert reported.roc_auc == (None if math.isnan(scored["auroc"]) else scored["auroc"])


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_the_share_it_is_of(right: int, wrong: int) -> None:
    low, high = wilson_interval(right, right + wrong)
    share = right / (right + wrong) if right + wrong else 0.5
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1
