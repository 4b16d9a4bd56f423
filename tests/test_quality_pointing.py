"""Pointing and energy against masks, in closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.quality.pointing import check_mask, score_energy, score_pointing


def mask(*boxes, undecided=(), size=(20, 30)):
    found = np.zeros(size)
    for top, bottom, left, right in undecided:
        found[top:bottom, left:right] = np.nan
    for top, bottom, left, right in boxes:
        found[top:bottom, left:right] = 1
    return check_mask(found, size)


def spot(row, column, size=(20, 30)):
    heatmap = np.zeros(size, np.float32)
    heatmap[row, column] = 1
    return heatmap


def test_the_hottest_pixel_hits_or_misses():
    subject = mask((5, 10, 5, 10))
    assert score_pointing(spot(7, 7), subject, 0) == 1
    assert score_pointing(spot(7, 12), subject, 0) == 0


def test_a_miss_within_the_tolerance_is_a_hit():
    subject = mask((5, 10, 5, 10))
    assert [score_pointing(spot(7, 12), subject, tolerance) for tolerance in (2, 3)] == [0, 1]


def test_equally_hot_pixels_share_the_hit():
    subject = mask((0, 20, 0, 10))
    assert score_pointing(np.ones((20, 30), np.float32), subject, 0) == pytest.approx(1 / 3)
    assert score_energy(np.ones((20, 30), np.float32), subject) == pytest.approx(1 / 3)


def test_energy_is_the_share_of_the_positive_part():
    heatmap = spot(7, 7) * 3 + spot(15, 20) - 5 * spot(0, 0)
    assert score_energy(heatmap, mask((5, 10, 5, 10))) == pytest.approx(0.75)
    assert score_energy(-np.ones((20, 30), np.float32), mask((0, 20, 0, 10))) == pytest.approx(1 / 3)


def test_undecided_and_unseen_pixels_count_on_neither_side():
    subject = mask((5, 10, 5, 10), undecided=[(0, 20, 10, 30)])
    heatmap = spot(7, 12) * 9 + spot(7, 7)
    assert score_pointing(heatmap, subject, 0) == 1
    assert score_energy(heatmap, subject) == 1
    heatmap[:, :10] = np.nan
    assert math.isnan(score_pointing(heatmap, subject, 0)) and math.isnan(score_energy(heatmap, subject))


@given(st.integers(0, 2**20), st.integers(0, 5))
def test_a_map_and_any_rising_function_of_it_point_at_the_same_pixel(seed, tolerance):
    rng = np.random.default_rng(seed)
    heatmap, subject = rng.random((12, 9), np.float32), check_mask(rng.random((12, 9)) < 0.3, (12, 9))
    one, other = score_pointing(heatmap, subject, tolerance), score_pointing(np.exp(3 * heatmap), subject, tolerance)
    assert one == other or (math.isnan(one) and math.isnan(other))
