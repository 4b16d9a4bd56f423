"""Slices: found on one half of the images, scored on the other; presence and absence of a mark are two."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

import xaiaug
from xaiaug.errors import DataError, PluginError
from xaiaug.records import Explanation, Failure, Sample
from xaiaug.slices import GuideImage, is_for_finding, measure_traits, search_slices
from xaiaug.slices.error_mixture import choose_mixture, fit_mixture
from xaiaug.slices.looks import find_looks, measure_presence
from xaiaug.slices.windows import cut_windows, pick_windows

LABELS = ("cat", "dog")
SIDE = 48
YELLOW = (236, 200, 40)


def in_the_middle(image):
    """The subject of all images here: a square in the middle."""
    mask = np.zeros(image.size[::-1], np.float32)
    quarter = image.height // 4
    mask[quarter:-quarter, quarter:-quarter] = 1
    return mask


def draw(rng, *, tag=False, light=0, backdrop=(120, 110, 100)):
    """A noisy square on a noisy backdrop, with a yellow tag in a random corner, or lighter or darker than usual."""
    pixels = np.empty((SIDE, SIDE, 3))
    pixels[:] = np.array(backdrop) + rng.normal(0, 12, 3)
    pixels[12:36, 12:36] = rng.normal((130, 100, 90), 15)
    pixels += rng.normal(0, 8, pixels.shape) + light
    if tag:
        top, left = rng.choice([1, SIDE - 10], 2)
        pixels[top : top + 9, left : left + 9] = YELLOW
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1)))


def tagged_world(seed=0, size=260):
    """Images of which 80 % of the dogs and 20 % of the cats have a tag; where it misleads, most are mistakes."""
    rng = np.random.default_rng(seed)
    images, labels, predicted, misled = [], [], [], []
    for index in range(size):
        label = index % 2
        conflict = rng.random() < 0.2
        wrong = rng.random() < (0.9 if conflict else 0.03)
        images.append(draw(rng, tag=(label == 1) != conflict))
        labels.append(label)
        predicted.append(1 - label if wrong else label)
        misled.append(conflict)
    return images, labels, predicted, misled


@pytest.fixture(scope="module")
def world():
    return tagged_world()


@pytest.fixture(scope="module")
def few(world):
    """All mistakes of the world, and as many correct images."""
    images, labels, predicted, _ = world
    wrong = [index for index in range(len(images)) if labels[index] != predicted[index]]
    right = [index for index in range(len(images)) if labels[index] == predicted[index]][: len(wrong)]
    return [[values[index] for index in (*wrong, *right)] for values in (images, labels, predicted)]


@pytest.fixture(scope="module")
def found(world):
    images, labels, predicted, _ = world
    return xaiaug.find_slices(images, predicted, labels, names=LABELS, segment=in_the_middle)


@pytest.fixture(scope="module")
def measured(world):
    images, labels, predicted, _ = world
    return [
        GuideImage(f"image {index}", label, guess, measure_traits(image, in_the_middle))
        for index, (image, label, guess) in enumerate(zip(images, labels, predicted, strict=True))
    ]


def test_one_shortcut_is_two_slices_with_and_without_the_mark(found):
    names = [one.name for one in found]
    assert any(name.startswith("dog predicted as cat: without the yellow spot in a corner that ") for name in names)
    assert any(name.startswith("cat predicted as dog: with a yellow spot in a corner, as ") for name in names)
    assert {one.cause.present for one in found if one.kind == "mark"} == {True, False}


def test_most_of_the_first_images_of_a_slice_share_its_cause_correct_ones_ranked_in(found, world):
    _, labels, _, misled = world
    for one in [one for one in found if one.kind == "mark"]:
        first = [int(index) for index in one.ranked[: min(10, one.size)]]
        assert len(first) >= 5
        assert np.mean([misled[index] and LABELS[labels[index]] == one.label for index in first]) >= 0.9


def test_counts_are_of_the_half_that_it_was_not_found_on(found, world, measured):
    _, labels, predicted, _ = world
    for one in found:
        wrong = [labels[int(index)] != predicted[int(index)] for index in one.ranked]
        assert (one.size, one.mistakes) == (len(wrong), sum(wrong))
        assert one.accuracy == (one.size - one.mistakes) / one.size
        assert one.low <= one.accuracy <= one.high < one.rest
        assert set(one.examples) <= set(one.ranked) & set(one.cases)
        assert not set(one.contrast) & set(one.ranked)
    ranked = {index for one in found for index in one.ranked}
    assert len(ranked) == sum(one.size for one in found)  # an image is in one slice at most


def test_the_order_of_images_does_not_matter(measured):
    shuffled = random.Random(1).sample(measured, len(measured))
    assert search_slices(shuffled, LABELS) == search_slices(measured, LABELS)


def test_the_same_seed_gives_the_same_slices_and_all_seeds_find_the_mark(measured):
    assert search_slices(measured, LABELS, 5) == search_slices(measured, LABELS, 5)
    assert {one.kind for one in search_slices(measured, LABELS, 6)} >= {"mark"}


def test_what_is_found_depends_on_one_half_only(measured):
    before = search_slices(measured, LABELS)
    correct = [one if is_for_finding(one.id) else replace(one, predicted=one.label) for one in measured]
    after = search_slices(correct, LABELS)
    assert not after.slices and after.reason.startswith(f"of {len(after.unconfirmed)} found")
    assert sorted(one.name for one in after.unconfirmed) == sorted(
        one.name for one in (*before.slices, *before.unconfirmed)
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_half_of_an_image_is_decided_by_its_own_id(one, other):
    assert is_for_finding(one) == is_for_finding(one)
    assert is_for_finding(one) in (True, False) and is_for_finding(other) in (True, False)


def test_about_half_of_all_ids_are_for_finding():
    assert 440 < sum(is_for_finding(f"{index:032x}") for index in range(1000)) < 560


def test_mistakes_at_random_are_no_slices(measured):
    """Each search may claim something in one case of 20; 8 of them should claim one at most."""
    held = 0
    for seed in range(8):
        rng = np.random.default_rng([seed, 7])
        flipped = [replace(one, predicted=one.label ^ int(rng.random() < 0.25)) for one in measured]
        held += len(search_slices(flipped, LABELS, seed))
    assert held <= 1


def test_a_group_that_only_the_embedding_knows_is_found(measured):
    rng = np.random.default_rng(3)
    images, group = [], set()
    for one in measured:
        in_group = rng.random() < 0.2
        wrong = rng.random() < (0.8 if in_group else 0.03)
        vector = rng.normal(0, 1, 6).astype(np.float32) + np.float32(4) * np.eye(6, dtype=np.float32)[0] * in_group
        images.append(replace(one, predicted=one.label ^ int(wrong), embedding=vector))
        group |= {one.id} if in_group else set()
    found = search_slices(images, LABELS)
    assert {one.kind for one in found} == {"features"}
    assert all(set(one.ranked[:10]) <= group and "alike to the classifier" in one.name for one in found)


def test_dark_images_are_named_dark():
    rng = np.random.default_rng(1)
    images = []
    for index in range(200):
        dark = rng.random() < 0.2
        wrong = rng.random() < (0.85 if dark else 0.03)
        traits = measure_traits(draw(rng, light=-70 if dark else 0), in_the_middle)
        images.append(GuideImage(str(index), index % 2, index % 2 ^ int(wrong), traits))
    found = search_slices(images, LABELS, kinds=("light",))
    assert {one.name for one in found} == {"dog predicted as cat: dark", "cat predicted as dog: dark"}
    assert all(one.cause.kind == "light" and one.cause.value < 0.3 for one in found)


def test_few_mistakes_give_none_and_the_reason(measured):
    few = [replace(one, predicted=one.label) for one in measured]
    few[:19] = [replace(one, predicted=1 - one.label) for one in few[:19]]
    found = search_slices(few, LABELS)
    assert (len(found), found.mistakes, found.images) == (0, 19, 260)
    assert found.reason == "19 mistakes, and slices need at least 20"


def test_no_correct_image_gives_none_and_the_reason(measured):
    found = search_slices([replace(one, predicted=1 - one.label) for one in measured], LABELS)
    assert not found.slices and "nothing to compare with" in found.reason


def test_with_many_classes_a_slice_may_span_them(measured):
    """Nine pairs of classes with few mistakes each: they share what the images lack."""
    spread = []
    for index, one in enumerate(measured):
        wrong = one.wrong and one.label == 1
        label = index % 9
        spread.append(replace(one, label=label, predicted=(label + 1) % 9 if wrong else label))
    found = search_slices(spread, [f"breed {index}" for index in range(9)])
    assert all(one.label is None and one.name.startswith("any class: ") for one in found)


def test_a_classifier_is_asked_for_predictions_and_embeddings(few):
    images, labels, predicted = few
    place = {image.tobytes(): index for index, image in enumerate(images)}

    def predict(batch):
        return np.eye(2)[[predicted[place[image.tobytes()]] for image in batch]]

    classifier = xaiaug.PredictClassifier(predict, labels=LABELS)
    classifier.embed = lambda batch: np.array([[np.asarray(image).mean()] for image in batch], np.float32)
    found = xaiaug.find_slices(images, classifier, [LABELS[label] for label in labels], segment=in_the_middle)
    answers, lightness = np.eye(2)[predicted], classifier.embed(images)
    assert "mark" in {one.kind for one in found}
    assert found == xaiaug.find_slices(
        images, answers, labels, names=LABELS, embeddings=lightness, segment=in_the_middle
    )


def test_samples_bring_their_labels_and_ids(few):
    images, labels, predicted = few
    samples = [
        Sample(id=f"{index:032x}", label=label, opener=lambda image=image: image)
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    found = xaiaug.find_slices(samples, predicted, names=LABELS, segment=in_the_middle)
    assert found.slices and all(not is_for_finding(one) for each in found for one in each.ranked)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": [0, 1]}, "one of labels per image, got 2 for 4"),
        ({"labels": ["cat", "cow", "cat", "dog"]}, "labels must be of cat, dog"),
        ({"predictions": [0, 1]}, "one of predictions per image"),
        ({"predictions": [[np.nan, 1]] * 4}, "must be finite"),
        ({"predictions": [0.5] * 4}, "must be a classifier, n k probabilities or n indices"),
        ({"embeddings": np.zeros((3, 2))}, "one of embeddings per image"),
        ({"embeddings": np.full((4, 2), np.inf)}, "embeddings must be finite"),
        ({"explanations": [None]}, "one of explanations per image"),
    ],
)
def test_bad_arguments_are_refused(changed, message):
    image = Image.new("RGB", (8, 8))
    arguments = {"predictions": [0, 1, 0, 1], "labels": [0, 1, 0, 1], "names": LABELS, **changed}
    with pytest.raises(DataError, match=message):
        xaiaug.find_slices([image] * 4, **arguments)


def test_paths_are_refused_in_words_whatever_the_predictions():
    with pytest.raises(DataError, match="find_slices takes a list of PIL images, got the path 'a.jpg'"):
        xaiaug.find_slices(["a.jpg"] * 40, [0, 1] * 20, [0] * 40, names=LABELS)


def test_a_classifier_without_probabilities_is_blamed():
    classifier = xaiaug.PredictClassifier(lambda batch: np.eye(2)[[0] * len(batch)], labels=LABELS)
    classifier.predict_proba = lambda batch: np.zeros((len(batch), 3))
    with pytest.raises(PluginError, match=r"predict_proba must return shape"):
        xaiaug.find_slices([Image.new("RGB", (8, 8))] * 4, classifier, [0, 1, 0, 1])


def test_a_hot_window_is_picked_before_one_that_stands_out_more():
    rng = np.random.default_rng(0)
    image = draw(rng, tag=False)
    pixels = np.asarray(image).copy()
    pixels[1:10, 1:10], pixels[38:47, 38:47] = (255, 255, 0), (150, 130, 130)
    image = Image.fromarray(pixels)
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[38:47, 38:47] = 1
    without = cut_windows(image, in_the_middle(image), None)
    hot = cut_windows(image, in_the_middle(image), Explanation(heat, "test", 0, False))
    assert without.centres[pick_windows(without, 1)[0]].max() < 0.3
    assert hot.centres[pick_windows(hot, 1)[0]].min() > 0.7


def test_a_look_is_where_its_mark_is_and_nowhere_else():
    rng = np.random.default_rng(0)
    windows = [
        cut_windows(image, in_the_middle(image), None) for image in (draw(rng, tag=i % 2 == 0) for i in range(20))
    ]
    look = find_looks(windows)[0]
    distances = [measure_presence(look, one)[0] for one in windows]
    assert max(distances[::2]) < min(distances[1::2])


def test_degenerate_maps_and_failures_count_as_none(few):
    images, labels, predicted = few
    flat = Explanation(np.ones((SIDE, SIDE), np.float32), "test", 0, False)
    maps = [flat if index % 2 else Failure("x", "y") for index in range(len(images))]
    found, again = (
        xaiaug.find_slices(images, predicted, labels, names=LABELS, segment=in_the_middle, explanations=one)
        for one in (None, maps)
    )
    assert found.slices and again == found


def test_a_mixture_parts_what_is_wrong_from_what_is_alike():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(5, 1, (20, 2))])
    wrong = np.arange(100) >= 80
    mixture = fit_mixture(features, wrong, 2, 0)
    posteriors = np.exp(mixture.log_posteriors(features))
    assert np.allclose(posteriors.sum(axis=1), 1)
    worst = int(mixture.rates.argmax())
    assert posteriors[80:, worst].min() > 0.5 > posteriors[:80, worst].max()
    assert choose_mixture(rng.normal(0, 1, (100, 2)), rng.random(100) < 0.3, 0).size == 1
