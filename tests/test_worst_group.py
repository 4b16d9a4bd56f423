"""Intervals for the worst group hold although it was chosen as the worst."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xaiaug.errors import ConfigError
from xaiaug.statistics import compare_predictions, estimate_worst_group, find_worst_group, judge_outcome


def draw(accuracies, size, seeds, seed_sd, image_range, rng):
    """Whether each training gets each image right: groups of a size and mean accuracies that are never clipped."""
    by_group = np.array(accuracies) + rng.normal(0, seed_sd, (seeds, len(accuracies))).clip(-0.15, 0.15)
    by_image = rng.uniform(-image_range, image_range, len(accuracies) * size)
    return rng.random((seeds, len(by_image))) < np.repeat(by_group, size, axis=1) + by_image


@pytest.mark.parametrize("size", [20, 50, 200])
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_the_interval_of_the_worst_group_covers_the_lowest_true_accuracy(size, seeds):
    rng, accuracies = np.random.default_rng(size + seeds), [0.6, 0.62, 0.7, 0.8]
    groups = np.repeat(np.arange(4), size)
    found = [find_worst_group(draw(accuracies, size, seeds, 0.03 * (seeds > 1), 0.05, rng), groups) for _ in range(200)]
    assert sum(one.low <= 0.6 <= one.high for one in found) >= 190
    # The measured minimum itself is biased, which is what a percentile bootstrap repeats.
    assert np.mean([one.accuracy for one in found]) < 0.6


@pytest.mark.parametrize("size", [20, 50, 200])
def test_the_interval_of_a_difference_of_worst_groups_covers_the_true_one(size):
    rng, before, after = np.random.default_rng(size), [0.5, 0.52, 0.8], [0.62, 0.56, 0.78]
    groups, covered = np.repeat(np.arange(3), size), 0
    for _ in range(100):
        one, other = (draw(accuracies, size, 3, 0.02, 0.05, rng) for accuracies in (before, after))
        low, high = estimate_worst_group(one, other, groups).interval()
        covered += low <= 0.06 <= high
    assert covered >= 95


@given(st.integers(2, 60), st.data())
@settings(max_examples=50, deadline=None)
def test_one_training_and_one_group_give_the_exact_interval(size, data):
    hits = data.draw(st.integers(0, size))
    found = find_worst_group(np.arange(size)[None] < hits, np.zeros(size, int))
    expected = stats.binomtest(hits, size).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_higher_levels_contain_lower_ones_and_p_agrees_with_the_interval(seed, seeds, groups):
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(groups), 30)
    before, after = (rng.random((seeds, len(numbers))) < share for share in (0.3, 0.9))
    found = estimate_worst_group(before, after, numbers)
    inner, outer = found.interval(0.8), found.interval(0.99)
    assert outer[0] <= inner[0] <= found.difference <= inner[1] <= outer[1]
    for rate in (0.2, 0.05, 0.001):
        low, high = found.interval(1 - rate)
        assert (found.p <= rate) == (low > 0 or high < 0)
    swapped = estimate_worst_group(after, before, numbers).interval()
    assert swapped == pytest.approx((-found.interval()[1], -found.interval()[0]))


def test_a_group_that_happens_not_to_change_proves_no_certainty():
    correct = np.ones((3, 20), bool)
    low, high = estimate_worst_group(correct, correct, np.zeros(20, int)).interval()
    assert low < -0.05 and high > 0.05


def test_the_worst_group_of_several_seeds_is_that_of_the_lowest_mean():
    groups = np.repeat([0, 1], 20)
    one, other = np.repeat([[True, False]], 20, axis=1)[0][None], np.repeat([[False, True]], 20, axis=1)[0][None]
    found = find_worst_group(np.concatenate([one, other, other]), groups)
    assert found.group == 0 and found.accuracy == pytest.approx(1 / 3)
    with pytest.raises(ConfigError, match="groups"):
        find_worst_group(one, np.full(40, -1))


def test_comparisons_by_the_worst_group_cross_it_with_the_class_and_leave_small_groups_out():
    labels = np.repeat([0, 1], 40)
    place = ["in", "out"] * 39 + ["moon", "out"]
    before = np.tile(labels, (3, 1))
    before[:, 1:40:2] = 1  # class 0 outside is wrong
    after = np.tile(labels, (3, 1))
    after[:, 78] = 0  # the only image on the moon is wrong, and a group of one is no group
    found = compare_predictions(labels, before, after, metric="worst-group", groups=place, smallest_group=15)
    assert found.difference == 1.0 and found.crossed is None
    assert found.estimate.interval()[0] > 0.4 and found.estimate.p < 0.05
    with pytest.raises(ConfigError, match="groups of some size"):
        compare_predictions(labels, before, after, metric="worst-group", groups=place, smallest_group=41)


def test_the_worst_class_is_compared_alike_and_more_seeds_or_images_narrow_it():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    before, after = (np.where(rng.random((10, 300)) < share, labels, (labels + 1) % 3) for share in (0.6, 0.65))
    found = compare_predictions(labels, before, after, metric="worst-class").estimate

    def width(estimate):
        low, high = estimate.interval()
        return high - low

    assert width(found.with_seeds(30)) < width(found) and width(found.with_images(3000)) < width(found)
    assert judge_outcome(found, 0.05).word == "inconclusive"
