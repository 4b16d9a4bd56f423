"""Heads: face, muzzle and ears, facing right, in units of the head's radius."""

from __future__ import annotations

from collections.abc import Callable

from .anatomy import Anatomy
from .geometry import Group, Shape, flat, oval, round_corners, stroke

Ears = tuple[Group, Group]
"""The far ear and the near one."""

UPRIGHT = frozenset({"pointed", "dish", "round", "long"})
"""Ears that stand behind the skull; the others hang over it."""

WOOL = ((-0.55, 0.7), (-0.1, 0.95), (0.35, 0.8))


def build_head(anatomy: Anatomy, perk: float) -> list[Group]:
    """Groups of shapes of a head, back to front; `perk` (-1 to 1) moves the ears."""
    far, near = EARS[anatomy.ears](perk)
    back, front = MUZZLES[anatomy.muzzle](anatomy)
    skull = [Shape(oval((0, 0), (1.0, 0.9)), "coat", "head")]
    if "wool" in anatomy.extras:
        skull += [Shape(oval((x, y), (0.42, 0.4)), "light", "wool") for x, y in WOOL]
    behind = [*far, *near] if anatomy.ears in UPRIGHT else far
    over = [] if anatomy.ears in UPRIGHT else near
    return [behind, [*skull, *back], [*_markings(anatomy), *front, *_eyes(anatomy)], over, _whiskers(anatomy)]


def _eyes(anatomy: Anatomy) -> Group:
    slit = anatomy.ears == "pointed"
    white, pupil = ((0.22, 0.24), (0.1, 0.2)) if slit else ((0.2, 0.23), (0.14, 0.17))
    shapes: Group = []
    for x in (-0.12, 0.66 if anatomy.muzzle != "long" else 0.52):
        shapes.append(flat(oval((x, 0.16), white), "iris" if slit else "white", "eye"))
        shapes.append(flat(oval((x + 0.05, 0.15), pupil), "ink", "eye"))
        shapes.append(flat(oval((x + 0.08, 0.24), (0.05, 0.05), count=8), "white", "eye"))
    return shapes


def _markings(anatomy: Anatomy) -> Group:
    if "stripes" in anatomy.extras:
        bars = [((-0.1, 0.88), (0.0, 0.5)), ((0.2, 0.9), (0.24, 0.5)), ((0.5, 0.82), (0.48, 0.5))]
        return [flat(stroke(bar, [0.16, 0.08], 2), "dark", "head") for bar in bars]
    if "patch" in anatomy.extras:
        return [flat(oval((-0.14, 0.2), (0.42, 0.46)), "dark", "head")]
    if "horns" in anatomy.extras:
        return [
            Shape(stroke([(-0.45, 0.8), (-0.75, 1.2), (-0.55, 1.6)], [0.3, 0.1]), "ivory", "horn"),
            Shape(stroke([(0.4, 0.85), (0.75, 1.2), (0.6, 1.6)], [0.3, 0.1]), "ivory", "horn"),
        ]
    return []


def _whiskers(anatomy: Anatomy) -> Group:
    if "whiskers" not in anatomy.extras:
        return []
    nose = 1.0 if anatomy.muzzle == "tapered" else 0.3
    hairs = [
        ((nose + side * 0.35, -0.42 - 0.05 * i), (nose + side * 1.15, -0.25 - 0.26 * i))
        for side in (-1, 1)
        for i in range(3)
    ]
    return [flat(stroke(hair, [0.05, 0.03], 1), "hair", "whisker") for hair in hairs]


def _short_muzzle(_: Anatomy) -> tuple[Group, Group]:
    cheeks = [flat(oval((x, -0.42), (0.27, 0.24)), "light", "muzzle") for x in (0.1, 0.5)]
    nose = flat(round_corners([(0.16, -0.16), (0.48, -0.16), (0.32, -0.38)], 1), "nose", "muzzle")
    mouth = flat(
        stroke([(0.02, -0.46), (0.16, -0.58), (0.31, -0.44), (0.46, -0.58), (0.6, -0.46)], [0.06, 0.06], 3),
        "line",
        "muzzle",
    )
    return [], [*cheeks, mouth, nose]


def _long_muzzle(anatomy: Anatomy) -> tuple[Group, Group]:
    back = [Shape(stroke([(0.3, -0.25), (1.3, -0.34)], [1.0, 0.66]), "light", "muzzle")]
    mouth = flat(stroke([(1.5, -0.5), (1.1, -0.62), (0.6, -0.5)], [0.07, 0.05]), "line", "muzzle")
    nose = flat(oval((1.56, -0.14), (0.24, 0.2)), "ink", "muzzle")
    tongue = Shape(stroke([(1.02, -0.62), (1.08, -1.08)], [0.3, 0.26]), "pink", "muzzle")
    return ([tongue, *back] if "tongue" in anatomy.extras else back), [mouth, nose]


def _blunt_muzzle(_: Anatomy) -> tuple[Group, Group]:
    back = [flat(oval((0.55, -0.35), (0.56, 0.44)), "light", "muzzle")]
    nose = flat(oval((0.82, -0.16), (0.24, 0.16)), "ink", "muzzle")
    mouth = flat(stroke([(0.82, -0.3), (0.76, -0.55), (0.5, -0.6)], [0.07, 0.05]), "line", "muzzle")
    return back, [mouth, nose]


def _tapered_muzzle(_: Anatomy) -> tuple[Group, Group]:
    back = [Shape(round_corners([(0.3, 0.65), (1.5, -0.25), (1.5, -0.5), (0.2, -0.85)]), "coat", "muzzle")]
    nose = Shape(oval((1.3, -0.32), (0.2, 0.19)), "nose", "muzzle")
    return back, [nose]


def _snout_muzzle(_: Anatomy) -> tuple[Group, Group]:
    disc = Shape(oval((0.72, -0.22), (0.4, 0.44)), "pink", "muzzle")
    holes = [flat(oval((x, -0.2), (0.08, 0.15)), "line", "muzzle") for x in (0.6, 0.88)]
    mouth = flat(stroke([(0.8, -0.76), (0.4, -0.78)], [0.06, 0.06]), "line", "muzzle")
    return [], [disc, *holes, mouth]


def _broad_muzzle(_: Anatomy) -> tuple[Group, Group]:
    back = [Shape(oval((0.5, -0.75), (0.72, 0.5)), "pink", "muzzle")]
    holes = [flat(oval((x, -0.62), (0.1, 0.12)), "line", "muzzle") for x in (0.35, 0.85)]
    mouth = flat(stroke([(0.2, -1.0), (0.6, -1.06), (0.95, -0.96)], [0.06, 0.06]), "line", "muzzle")
    return back, [*holes, mouth]


MUZZLES: dict[str, Callable[[Anatomy], tuple[Group, Group]]] = {
    "short": _short_muzzle,
    "long": _long_muzzle,
    "blunt": _blunt_muzzle,
    "tapered": _tapered_muzzle,
    "snout": _snout_muzzle,
    "broad": _broad_muzzle,
}


def _cornered_ear(outer: list[tuple[float, float]], inner: list[tuple[float, float]]) -> Group:
    return [Shape(round_corners(outer, 1), "coat", "ear"), flat(round_corners(inner, 1), "pink", "ear")]


def _ringed_ear(
    at: tuple[float, float], outer: tuple[float, float], inner: tuple[float, float], tint: str, lean: float = 0.0
) -> Group:
    return [Shape(oval(at, outer, lean), "coat", "ear"), flat(oval(at, inner, lean), tint, "ear")]


def _pointed_ears(perk: float) -> Ears:
    tip = 0.12 * perk
    return (
        _cornered_ear(
            [(0.05, 0.6), (0.62 + tip, 1.72), (0.98, 0.2)],
            [(0.3, 0.75), (0.62 + tip, 1.45), (0.8, 0.5)],
        ),
        _cornered_ear(
            [(-0.98, 0.2), (-0.68 + tip, 1.76), (-0.02, 0.65)],
            [(-0.82, 0.45), (-0.66 + tip, 1.5), (-0.25, 0.72)],
        ),
    )


def _dish_ears(perk: float) -> Ears:
    lift = 0.08 * perk
    return (
        _ringed_ear((0.62, 1.05 + lift), (0.62, 0.66), (0.4, 0.44), "pink"),
        _ringed_ear((-0.8, 0.9 + lift), (0.72, 0.74), (0.48, 0.5), "pink"),
    )


def _round_ears(perk: float) -> Ears:
    lift = 0.05 * perk
    return (
        _ringed_ear((0.62, 0.78 + lift), (0.34, 0.34), (0.18, 0.18), "light"),
        _ringed_ear((-0.72, 0.72 + lift), (0.38, 0.38), (0.2, 0.2), "light"),
    )


def _long_ears(perk: float) -> Ears:
    lean = 14 * perk
    return (
        _ringed_ear((0.38 - 0.2 * perk, 1.6), (0.28, 1.0), (0.13, 0.75), "pink", lean - 8),
        _ringed_ear((-0.5 - 0.2 * perk, 1.6), (0.3, 1.05), (0.15, 0.8), "pink", lean + 12),
    )


def _floppy_ears(perk: float) -> Ears:
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
    return [Shape(round_corners(far), "shade", "ear")], [Shape(round_corners(near), "shade", "ear")]


def _folded_ears(perk: float) -> Ears:
    tip = 0.1 * perk
    far = [(0.2, 0.75), (0.45, 1.3), (1.05, 0.95 + tip), (0.8, 0.5)]
    near = [(-0.85, 0.5), (-0.8, 1.35), (-0.05, 0.72 + tip), (-0.25, 0.6)]
    return [Shape(round_corners(far, 1), "shade", "ear")], [Shape(round_corners(near, 1), "shade", "ear")]


def _drooping_ears(perk: float) -> Ears:
    drop = 0.2 * perk
    far = [(0.6, 0.6), (1.1, 0.75 + drop), (1.45, 0.35 + drop), (0.9, 0.25)]
    near = [(-0.6, 0.7), (-1.2, 0.75 + drop), (-1.75, 0.25 + drop), (-1.1, 0.1 + drop), (-0.6, 0.2)]
    return [Shape(round_corners(far), "shade", "ear")], [Shape(round_corners(near), "shade", "ear")]


EARS: dict[str, Callable[[float], Ears]] = {
    "pointed": _pointed_ears,
    "floppy": _floppy_ears,
    "dish": _dish_ears,
    "round": _round_ears,
    "long": _long_ears,
    "folded": _folded_ears,
    "drooping": _drooping_ears,
}
"""Builds a pair of ears; the argument, -1 to 1, is how far they are pricked up."""
