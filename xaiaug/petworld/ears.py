"""Ears of a head that faces right, in units of the head's radius."""

from __future__ import annotations

from collections.abc import Callable

from .geometry import Group, Shape, blob, flat, oval

Ears = tuple[Group, Group]
"""The far ear and the near one."""

UPRIGHT = frozenset({"pointed", "dish", "round", "long"})
"""Ears that stand behind the skull; the others hang over it."""


def _cornered(outer: list[tuple[float, float]], inner: list[tuple[float, float]]) -> Group:
    return [Shape(blob(outer, 1), "coat", "ear"), flat(blob(inner, 1), "pink", "ear")]


def _ringed(
    at: tuple[float, float], outer: tuple[float, float], inner: tuple[float, float], tint: str, lean: float = 0.0
) -> Group:
    return [Shape(oval(at, outer, lean), "coat", "ear"), flat(oval(at, inner, lean), tint, "ear")]


def _pointed(perk: float) -> Ears:
    tip = 0.12 * perk
    return (
        _cornered(
            [(0.05, 0.6), (0.62 + tip, 1.72), (0.98, 0.2)],
            [(0.3, 0.75), (0.62 + tip, 1.45), (0.8, 0.5)],
        ),
        _cornered(
            [(-0.98, 0.2), (-0.68 + tip, 1.76), (-0.02, 0.65)],
            [(-0.82, 0.45), (-0.66 + tip, 1.5), (-0.25, 0.72)],
        ),
    )


def _dish(perk: float) -> Ears:
    lift = 0.08 * perk
    return (
        _ringed((0.62, 1.05 + lift), (0.62, 0.66), (0.4, 0.44), "pink"),
        _ringed((-0.8, 0.9 + lift), (0.72, 0.74), (0.48, 0.5), "pink"),
    )


def _round(perk: float) -> Ears:
    lift = 0.05 * perk
    return (
        _ringed((0.62, 0.78 + lift), (0.34, 0.34), (0.18, 0.18), "light"),
        _ringed((-0.72, 0.72 + lift), (0.38, 0.38), (0.2, 0.2), "light"),
    )


def _long(perk: float) -> Ears:
    lean = 14 * perk
    return (
        _ringed((0.38 - 0.2 * perk, 1.6), (0.28, 1.0), (0.13, 0.75), "pink", lean - 8),
        _ringed((-0.5 - 0.2 * perk, 1.6), (0.3, 1.05), (0.15, 0.8), "pink", lean + 12),
    )


def _floppy(perk: float) -> Ears:
    swing = 0.15 * perk
    far = [(0.3, 0.85), (0.75, 0.9), (1.02 + swing, 0.45), (0.85 + swing, 0.05), (0.5, 0.3)]
    near = [
        (-0.25, 0.95),
        (-0.8, 0.9),
        (-1.3 + swing, 0.1),
        (-1.25 + swing, -0.95),
        (-0.7 + swing, -1.0),
        (-0.45, -0.1),
    ]
    return [Shape(blob(far), "shade", "ear")], [Shape(blob(near), "shade", "ear")]


def _folded(perk: float) -> Ears:
    tip = 0.1 * perk
    far = [(0.2, 0.75), (0.45, 1.3), (1.05, 0.95 + tip), (0.8, 0.5)]
    near = [(-0.85, 0.5), (-0.8, 1.35), (-0.05, 0.72 + tip), (-0.25, 0.6)]
    return [Shape(blob(far, 1), "shade", "ear")], [Shape(blob(near, 1), "shade", "ear")]


def _drooping(perk: float) -> Ears:
    drop = 0.2 * perk
    far = [(0.6, 0.6), (1.1, 0.75 + drop), (1.45, 0.35 + drop), (0.9, 0.25)]
    near = [(-0.6, 0.7), (-1.2, 0.75 + drop), (-1.75, 0.25 + drop), (-1.1, 0.1 + drop), (-0.6, 0.2)]
    return [Shape(blob(far), "shade", "ear")], [Shape(blob(near), "shade", "ear")]


EARS: dict[str, Callable[[float], Ears]] = {
    "pointed": _pointed,
    "floppy": _floppy,
    "dish": _dish,
    "round": _round,
    "long": _long,
    "folded": _folded,
    "drooping": _drooping,
}
"""Draws a pair of ears; the argument, -1 to 1, is how far they are pricked up."""
