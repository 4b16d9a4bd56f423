"""Outlines of shapes: ovals, rounded polygons and tapered strokes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """One filled outline of a figure.

    Attributes:
        points: n 2, x to the right, y up, in the figure's own units.
        role: which colour fills it, such as "coat".
        part: body part, such as "ear".
        outlined: whether a line is drawn around it.
    """

    points: Points
    role: str
    part: str
    outlined: bool = True


Group = list[Shape]
"""Shapes that are outlined together, so that they merge."""


def flat(points: Points, role: str, part: str) -> Shape:
    """A shape without an outline."""
    return Shape(points, role, part, outlined=False)


def xy(x: float, y: float) -> Points:
    """One point."""
    return np.array([x, y])


def oval(centre: ArrayLike, radii: tuple[float, float], angle: float = 0.0, count: int = 18) -> Points:
    """Outline of an ellipse: count 2; `angle` in degrees, counter-clockwise."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    ring = np.stack([np.cos(turn) * radii[0], np.sin(turn) * radii[1]], axis=1)
    moved: Points = rotate(ring, angle) + np.asarray(centre)
    return moved


def round_corners(corners: ArrayLike, rounds: int = 2) -> Points:
    """A polygon with its corners cut off `rounds` times (Chaikin's curve): n·2**rounds 2."""
    points = np.asarray(corners, dtype=float)
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


def stroke(path: ArrayLike, widths: Sequence[float], steps: int = 5) -> Points:
    """Outline of a round-ended brush stroke through the points of `path`, with widths interpolated from `widths`."""
    line = spline(np.asarray(path, dtype=float), steps)
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    front = _cap(line[-1], side[-1], along[-1] * half[-1])
    back = _cap(line[0], -side[0], -along[0] * half[0])
    return np.concatenate([line + side, front, (line - side)[::-1], back])


def _cap(centre: Points, side: Points, ahead: Points) -> Points:
    turn = np.linspace(0, np.pi, 9)[1:-1, None]
    return centre + np.cos(turn) * side + np.sin(turn) * ahead


def spline(points: Points, steps: int) -> Points:
    """Catmull-Rom curve through `points`, with `steps` points a span."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    spans = [_span(padded[i : i + 4], t) for i in range(len(points) - 1)]
    return np.concatenate([*spans, points[-1:]])


def _span(corners: Points, t: Points) -> Points:
    a, b, c, d = corners
    curve: Points = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve


def rotate(points: Points, angle: float) -> Points:
    """The points rotated about the origin by `angle` degrees, counter-clockwise."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    rotated: Points = points @ np.array([[c, s], [-s, c]])
    return rotated


def grow(points: Points, amount: float) -> Points:
    """The outline moved outwards by `amount`."""
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    x, y = points.T
    turning = np.sign(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    larger: Points = points + turning * amount * outward
    return larger


def place(shapes: Iterable[Shape], centre: ArrayLike, scale: float, angle: float = 0.0) -> list[Shape]:
    """The shapes rotated, scaled and moved to `centre`."""
    return [replace(s, points=rotate(s.points, angle) * scale + np.asarray(centre)) for s in shapes]
