"""Statistics of one map have closed forms for constant and one-hot maps, and stay in their range for all others."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xaiaug import Explanation
from xaiaug.quality import summarize_map


def of(grid=None, heatmap=None):
    heatmap = np.zeros((8, 8), np.float32) if heatmap is None else np.asarray(heatmap, np.float32)
    return summarize_map(Explanation(heatmap, "m", 0, False, None if grid is None else np.asarray(grid, np.float32)))


def test_a_constant_map_is_spread_evenly_and_degenerate():
    found = of(np.full((7, 7), 0.2))
    assert found.entropy == pytest.approx(1)
    assert found.top_share == pytest.approx(1 / 49)
    assert found.border_share == pytest.approx(24 / 49)
    assert found.degenerate


@pytest.mark.parametrize(("cell", "border"), [((0, 3), 1.0), ((3, 3), 0.0)])
def test_a_single_hot_cell_has_no_entropy_and_holds_everything(cell, border):
    grid = np.zeros((7, 7))
    grid[cell] = 5
    found = of(grid)
    assert (found.entropy, found.top_share, found.border_share) == (0.0, 1.0, border)
    assert not found.degenerate


def test_the_top_is_one_percent_of_the_cells():
    grid = np.ones((20, 20))
    grid[5, 5:9] = 99
    assert of(grid).top_share == pytest.approx(4 * 99 / (4 * 99 + 396))


def test_without_a_grid_the_seen_pixels_count():
    heatmap = np.full((30, 60), np.nan)
    heatmap[:, 15:45] = 1
    found = of(heatmap=heatmap)
    assert found.entropy == pytest.approx(1)
    ring = round(30 / 14)
    assert found.border_share == pytest.approx(1 - (30 - 2 * ring) ** 2 / 900)


def test_maps_of_patches_and_of_pixels_have_one_border():
    coarse = np.random.default_rng(0).random((14, 14))
    fine = np.kron(coarse, np.ones((16, 16)))
    assert of(fine).border_share == pytest.approx(of(coarse).border_share)
    assert of(heatmap=fine).border_share == pytest.approx(of(coarse).border_share)


@pytest.mark.parametrize("grid", [np.zeros((3, 3)), -np.ones((3, 3)), np.full((3, 3), np.inf)])
def test_a_map_without_anything_positive_has_no_shares(grid):
    found = of(grid)
    assert math.isnan(found.entropy) and math.isnan(found.top_share) and math.isnan(found.border_share)
    assert found.degenerate


def test_a_map_of_nothing_seen_has_no_shares():
    assert math.isnan(of(heatmap=np.full((4, 4), np.nan)).entropy)


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(-1e3, 1e3, width=32)
    )
)
def test_statistics_stay_between_0_and_1_and_do_not_depend_on_the_scale(grid):
    found, scaled = of(grid), of(grid * 4)
    for name in ("entropy", "top_share", "border_share"):
        value = getattr(found, name)
        assert math.isnan(value) == (not (grid > 0).any())
        assert math.isnan(value) or 0 <= value <= 1
        assert math.isnan(value) or value == pytest.approx(getattr(scaled, name))
