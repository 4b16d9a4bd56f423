"""Outlines are where and as large as they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.petworld.figure import build_figure
from xaiaug.petworld.geometry import Shape, grow, oval, place, rotate, round_corners, spline, stroke

SIZE = st.floats(0.05, 5)


def area(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


@given(SIZE, SIZE, st.floats(-360, 360))
def test_an_oval_has_its_area_at_any_angle(width: float, height: float, angle: float) -> None:
    points = oval((3, -2), (width, height), angle, count=200)
    assert area(points) == pytest.approx(np.pi * width * height, rel=1e-3)
    np.testing.assert_allclose(points.mean(axis=0), (3, -2), atol=1e-9)


@given(st.floats(0.5, 5), st.floats(0.01, 0.1))
def test_growing_moves_an_outline_outwards_whichever_way_it_turns(radius: float, amount: float) -> None:
    ring = oval((0, 0), (radius, radius), count=60)
    for points in (ring, ring[::-1]):
        assert np.linalg.norm(grow(points, amount), axis=1) == pytest.approx(radius + amount, rel=1e-6)


def test_cutting_corners_stays_inside_the_polygon() -> None:
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    smooth = round_corners(square, 3)
    assert len(smooth) == 32 and smooth.min() >= 0 and smooth.max() <= 1 and 0.7 < area(smooth) < 1


def test_a_stroke_is_as_wide_as_it_says_and_round_at_its_ends() -> None:
    points = stroke([(0, 0), (4, 0)], [1.0, 1.0], 8)
    assert abs(area(points)) == pytest.approx(4 + np.pi / 4, rel=0.03)
    assert points[:, 0].min() == pytest.approx(-0.5, abs=0.02) and points[:, 0].max() == pytest.approx(4.5, abs=0.02)


def test_a_spline_goes_through_its_points() -> None:
    points = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)])
    curve = spline(points, 6)
    assert all(np.linalg.norm(curve - point, axis=1).min() < 1e-9 for point in points)


def test_placing_turns_scales_and_moves() -> None:
    shape = Shape(np.array([(1.0, 0.0)]), "coat", "ear")
    (moved,) = place([shape], (5, 5), 2, 90)
    np.testing.assert_allclose(moved.points, [(5, 7)])
    np.testing.assert_allclose(rotate(np.array([(1.0, 0.0)]), 180), [(-1, 0)], atol=1e-12)


def test_a_figure_stands_on_the_ground_and_fills_a_box_of_area_one() -> None:
    shown = build_figure("cat", "sitting", 0, 0.02)
    low, high = shown.points.min(axis=0), shown.points.max(axis=0)
    assert low[1] == pytest.approx(0, abs=1e-5) and low[0] == pytest.approx(-high[0], abs=1e-5)
    assert np.prod(high - low) == pytest.approx(1, rel=1e-4)
    assert len(shown.roles) == len(shown.parts) == len(shown.ends) and shown.ends[-1] == len(shown.points)
