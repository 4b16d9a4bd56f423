"""Tails, on the left of a body that faces right."""

from __future__ import annotations

from collections.abc import Callable

from .geometry import Group, Points, Shape, blob, flat, oval, stroke, xy


def _slim(root: Points, ahead: Points, grounded: bool) -> Group:
    if grounded:
        path = [
            root,
            xy(root[0] - 0.2, 0.08),
            xy(root[0] - 0.42, 0.14),
            xy(root[0] - 0.46, 0.36),
            xy(root[0] - 0.36, 0.44),
        ]
    else:
        up = xy(0, 1)
        path = [
            root,
            root + ahead * 0.22,
            root + ahead * 0.3 + up * 0.28,
            root + ahead * 0.22 + up * 0.5,
            root + ahead * 0.36 + up * 0.6,
        ]
    tip = path[-2:]
    return [
        Shape(stroke(path, [0.12, 0.1, 0.1, 0.09]), "coat", "tail"),
        flat(stroke(tip, [0.08, 0.08], 3), "dark", "tail"),
    ]


def _wagging(root: Points, ahead: Points, grounded: bool) -> Group:
    if grounded:
        root, ahead = root + xy(0.04, 0.05), xy(-0.8, 0.6)
    path = [root - ahead * 0.08, root + ahead * 0.2, root + ahead * 0.3 + xy(0.06, 0.2)]
    return [Shape(stroke(path, [0.16, 0.15, 0.07]), "coat", "tail")]


def _bare(root: Points, ahead: Points, grounded: bool) -> Group:
    del ahead
    x = root[0]
    low = 0.1 if grounded else 0.16
    path = [root, xy(x - 0.2, low), xy(x - 0.45, low + 0.12), xy(x - 0.62, low), xy(x - 0.72, low + 0.2)]
    return [Shape(stroke(path, [0.08, 0.06, 0.05, 0.03]), "pink", "tail")]


def _puff(root: Points, ahead: Points, grounded: bool) -> Group:
    del grounded
    return [Shape(blob(oval(root + ahead * 0.05, (0.14, 0.13), count=9), 1), "light", "tail")]


def _curl(root: Points, ahead: Points, grounded: bool) -> Group:
    del ahead
    base = root + xy(-0.02, 0.12 if grounded else 0.0)
    path = [
        base,
        base + xy(-0.14, 0.08),
        base + xy(-0.1, 0.2),
        base + xy(-0.02, 0.12),
        base + xy(-0.16, 0.02),
        base + xy(-0.28, 0.1),
    ]
    return [Shape(stroke(path, [0.07, 0.05, 0.04]), "coat", "tail")]


def _tuft(root: Points, ahead: Points, grounded: bool) -> Group:
    del ahead
    drop = 0.12 if grounded else 0.42
    end = xy(root[0] - 0.16, max(root[1] - drop, 0.1))
    path = [root, root + xy(-0.14, 0.0), end]
    return [
        Shape(stroke(path, [0.06, 0.05, 0.05]), "coat", "tail"),
        Shape(oval(end, (0.08, 0.12)), "dark", "tail"),
    ]


TAILS: dict[str, Callable[[Points, Points, bool], Group]] = {
    "slim": _slim,
    "wagging": _wagging,
    "bare": _bare,
    "puff": _puff,
    "curl": _curl,
    "tuft": _tuft,
}
"""Draws a tail from its root, the direction it leaves the body in, and whether it lies on the ground."""
