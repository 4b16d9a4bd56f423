"""An animal as a list of polygons, in painting order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .anatomy import ANIMALS
from .bodies import build_body, build_skeleton
from .geometry import Shape, grow, place
from .heads import build_head

VARIANTS = 24


@dataclass(frozen=True, eq=False)
class Figure:
    """Polygons in painting order.

    Attributes:
        points: n 2, float32; the animal stands on y = 0, centred at x = 0, and its box has an area of one.
        ends: where each polygon ends in `points`.
        roles: colour of each polygon.
        parts: body part of each polygon.
        size: width and height of the box.
    """

    points: NDArray[np.float32]
    ends: tuple[int, ...]
    roles: tuple[str, ...]
    parts: tuple[str, ...]
    size: tuple[float, float]


@lru_cache(maxsize=2048)
def build_figure(animal: str, pose: str, variant: int, line: float) -> Figure:
    """The animal in a pose, facing right, with outlines of width `line`; `variant` changes head, ears and stride."""
    anatomy, rng = ANIMALS[animal], np.random.default_rng(variant)
    stretch, perk, tilt = rng.uniform(-1, 1, 3)
    bones = build_skeleton(anatomy, pose, stretch)
    groups = build_body(anatomy, pose, bones)
    groups += [place(group, bones.head, anatomy.head, 9 * tilt) for group in build_head(anatomy, perk)]
    return _assemble([shape for group in groups for shape in _add_outlines(group, line)])


def _add_outlines(group: list[Shape], line: float) -> list[Shape]:
    """The group's outlines below its fills, so that the shapes of a group merge."""
    rims = [Shape(grow(s.points, line), "line", s.part) for s in group if s.outlined]
    return rims + group


def _assemble(shapes: list[Shape]) -> Figure:
    points = np.concatenate([shape.points for shape in shapes])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 1 / np.sqrt(np.prod(high - low))
    points = (points - [(low[0] + high[0]) / 2, low[1]]) * scale
    width, height = (high - low) * scale
    return Figure(
        points=points.astype(np.float32),
        ends=tuple(int(end) for end in np.cumsum([len(shape.points) for shape in shapes])),
        roles=tuple(shape.role for shape in shapes),
        parts=tuple(shape.part for shape in shapes),
        size=(float(width), float(height)),
    )
