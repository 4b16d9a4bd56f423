"""Bodies: trunk, legs and tails in a pose, facing right, on the ground at y = 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .geometry import Group, Points, Shape, flat, oval, round_corners, stroke, xy

POSES = ("standing", "walking", "sitting", "lying")


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints of an animal in a pose; points are x y."""

    hip: Points
    shoulder: Points
    head: Points
    hind: tuple[Points, Points]
    front: tuple[Points, Points]
    tail: float
    """Direction of the tail's root in degrees, 180 pointing back."""


def build_skeleton(anatomy: Anatomy, pose: str, stretch: float = 0.0) -> Skeleton:
    """The joints of an animal in one of `POSES`; `stretch` (-1 to 1) varies stride and neck."""
    return {
        "standing": _standing_skeleton,
        "walking": _walking_skeleton,
        "sitting": _sitting_skeleton,
        "lying": _lying_skeleton,
    }[pose](anatomy, stretch)


def _neck(anatomy: Anatomy, angle: float) -> Points:
    return anatomy.neck * xy(np.cos(np.radians(angle)), np.sin(np.radians(angle)))


def _standing_skeleton(anatomy: Anatomy, stretch: float) -> Skeleton:
    half, height = anatomy.length / 2, anatomy.leg + anatomy.girth
    shoulder = xy(half, height + 0.02)
    return Skeleton(
        hip=xy(-half, height),
        shoulder=shoulder,
        head=shoulder + _neck(anatomy, 58 + 8 * stretch),
        hind=(xy(-half - 0.04, 0), xy(-half + 0.17, 0)),
        front=(xy(half + 0.02, 0), xy(half - 0.17, 0)),
        tail=125 + 15 * stretch,
    )


def _walking_skeleton(anatomy: Anatomy, stretch: float) -> Skeleton:
    half, height = anatomy.length / 2, anatomy.leg + anatomy.girth
    shoulder, stride = xy(half, height), 0.2 + 0.05 * stretch
    return Skeleton(
        hip=xy(-half, height + 0.01),
        shoulder=shoulder,
        head=shoulder + _neck(anatomy, 40 + 8 * stretch),
        hind=(xy(-half - stride, 0.03), xy(-half + stride, 0)),
        front=(xy(half + stride, 0.05), xy(half - stride, 0)),
        tail=145 + 15 * stretch,
    )


def _sitting_skeleton(anatomy: Anatomy, stretch: float) -> Skeleton:
    x, rise = 0.24 * anatomy.length, anatomy.leg + 0.9 * anatomy.girth
    shoulder = xy(x, max(rise, 0.48) + 0.04)
    return Skeleton(
        hip=xy(-0.3 * anatomy.length, anatomy.girth * 1.05),
        shoulder=shoulder,
        head=shoulder + _neck(anatomy, 76 + 8 * stretch),
        hind=(xy(0.1, 0.02), xy(0.14, 0.03)),
        front=(xy(x + 0.1, 0), xy(x + 0.24, 0.01)),
        tail=185,
    )


def _lying_skeleton(anatomy: Anatomy, stretch: float) -> Skeleton:
    half = anatomy.length / 2
    shoulder = xy(half, anatomy.girth * 1.05)
    return Skeleton(
        hip=xy(-half, anatomy.girth),
        shoulder=shoulder,
        head=shoulder + _neck(anatomy, 62 + 8 * stretch) + xy(0, 0.03),
        hind=(xy(-half + 0.34, 0.03), xy(-half + 0.4, 0.04)),
        front=(xy(half + 0.36, 0.04), xy(half + 0.26, 0.06)),
        tail=165 + 10 * stretch,
    )


def build_body(anatomy: Anatomy, pose: str, bones: Skeleton) -> list[Group]:
    """Groups of shapes of tail, legs and trunk, back to front."""
    low = pose in ("sitting", "lying")
    far = _leg(anatomy, bones.shoulder, bones.front[1], "shade") + _leg(anatomy, bones.hip, bones.hind[1], "shade")
    near = _leg(anatomy, bones.shoulder, bones.front[0], "coat")
    trunk = [_trunk(anatomy, bones), _neck_shape(anatomy, bones)]
    if low:
        near += _haunch(anatomy, bones)
    else:
        near += _leg(anatomy, bones.hip, bones.hind[0], "coat")
    wool = _wool(anatomy, bones)
    return [_tail(anatomy, pose, bones), far, [*trunk, *near], wool, _belly(anatomy, bones), _markings(anatomy, bones)]


def _leg(anatomy: Anatomy, joint: Points, foot: Points, role: str) -> Group:
    w = anatomy.leg_width
    ankle = foot + xy(0, w * 0.5)
    knee = (joint + ankle) / 2 + xy(0.02, 0)
    shin = stroke([joint, knee, ankle], [w * 1.7, w * 1.1, w * 0.9], 4)
    return [Shape(shin, role, "leg"), Shape(oval(foot + xy(w * 0.25, w * 0.42), (w * 0.78, w * 0.48)), role, "leg")]


def _haunch(anatomy: Anatomy, bones: Skeleton) -> Group:
    g, w = anatomy.girth, anatomy.leg_width
    thigh = oval(bones.hip + xy(g * 0.35, -g * 0.12), (g * 0.98, g * 0.92), 15)
    foot = stroke([bones.hip + xy(0, -g * 0.8), bones.hind[0] + xy(0.02, w * 0.4)], [w, w * 0.85])
    return [Shape(thigh, "coat", "leg"), Shape(foot, "coat", "leg")]


def _trunk(anatomy: Anatomy, bones: Skeleton) -> Shape:
    middle = (bones.hip + bones.shoulder) / 2 - xy(0, 0.03)
    g = 2 * anatomy.girth
    return Shape(stroke([bones.hip, middle, bones.shoulder], [g, g * 0.97, g * 0.95]), "coat", "body")


def _neck_shape(anatomy: Anatomy, bones: Skeleton) -> Shape:
    return Shape(stroke([bones.shoulder, bones.head], [anatomy.girth * 1.7, anatomy.head * 1.1]), "coat", "body")


def _belly(anatomy: Anatomy, bones: Skeleton) -> Group:
    chest = bones.shoulder + xy(anatomy.girth * 0.5, -anatomy.girth * 0.1)
    return [flat(oval(chest, (anatomy.girth * 0.42, anatomy.girth * 0.62), -12), "light", "body")]


def _wool(anatomy: Anatomy, bones: Skeleton) -> Group:
    if "wool" not in anatomy.extras:
        return []
    g = anatomy.girth
    middle = (bones.hip + bones.shoulder) / 2
    reach = np.linalg.norm(bones.shoulder - bones.hip) / 2 + g * 0.75
    slope = np.degrees(np.arctan2(*(bones.shoulder - bones.hip)[::-1]))
    rim = oval(middle, (float(reach), g * 0.85), float(slope), 11)
    puffs = [Shape(oval(at, (g * 0.46, g * 0.44), count=12), "coat", "wool") for at in rim]
    return [*puffs, flat(oval(middle, (float(reach) * 0.95, g * 0.9), float(slope)), "coat", "wool")]


def _markings(anatomy: Anatomy, bones: Skeleton) -> Group:
    along = bones.shoulder - bones.hip
    up = np.array([-along[1], along[0]]) / np.linalg.norm(along) * anatomy.girth
    if "stripes" in anatomy.extras:
        ribs = [bones.hip + t * along for t in (0.0, 0.27, 0.54, 0.8)]
        bars = [stroke([rib + up * 0.98, rib + up * 0.1 - along * 0.04], [0.09, 0.03], 2) for rib in ribs]
        return [flat(bar, "dark", "body") for bar in bars]
    if "spots" in anatomy.extras:
        at = [
            bones.hip + 0.08 * along + up * 0.3,
            bones.hip + 0.52 * along + up * 0.45,
            bones.hip + 0.85 * along - up * 0.2,
        ]
        return [flat(oval(p, (0.15 - 0.02 * i, 0.12)), "light", "body") for i, p in enumerate(at)]
    return []


def _tail(anatomy: Anatomy, pose: str, bones: Skeleton) -> Group:
    angle = np.radians(bones.tail)
    ahead = np.array([np.cos(angle), np.sin(angle)])
    root = bones.hip + anatomy.girth * 0.75 * ahead
    grounded = pose == "sitting"
    return TAILS[anatomy.tail](root, ahead, grounded)


def _slim_tail(root: Points, ahead: Points, grounded: bool) -> Group:
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


def _wagging_tail(root: Points, ahead: Points, grounded: bool) -> Group:
    if grounded:
        root, ahead = root + xy(0.04, 0.05), xy(-0.8, 0.6)
    path = [root - ahead * 0.08, root + ahead * 0.2, root + ahead * 0.3 + xy(0.06, 0.2)]
    return [Shape(stroke(path, [0.16, 0.15, 0.07]), "coat", "tail")]


def _bare_tail(root: Points, ahead: Points, grounded: bool) -> Group:
    del ahead
    x = root[0]
    low = 0.1 if grounded else 0.16
    path = [root, xy(x - 0.2, low), xy(x - 0.45, low + 0.12), xy(x - 0.62, low), xy(x - 0.72, low + 0.2)]
    return [Shape(stroke(path, [0.08, 0.06, 0.05, 0.03]), "pink", "tail")]


def _puff_tail(root: Points, ahead: Points, grounded: bool) -> Group:
    del grounded
    return [Shape(round_corners(oval(root + ahead * 0.05, (0.14, 0.13), count=9), 1), "light", "tail")]


def _curl_tail(root: Points, ahead: Points, grounded: bool) -> Group:
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


def _tuft_tail(root: Points, ahead: Points, grounded: bool) -> Group:
    del ahead
    drop = 0.12 if grounded else 0.42
    end = xy(root[0] - 0.16, max(root[1] - drop, 0.1))
    path = [root, root + xy(-0.14, 0.0), end]
    return [
        Shape(stroke(path, [0.06, 0.05, 0.05]), "coat", "tail"),
        Shape(oval(end, (0.08, 0.12)), "dark", "tail"),
    ]


TAILS: dict[str, Callable[[Points, Points, bool], Group]] = {
    "slim": _slim_tail,
    "wagging": _wagging_tail,
    "bare": _bare_tail,
    "puff": _puff_tail,
    "curl": _curl_tail,
    "tuft": _tuft_tail,
}
"""Builds a tail from its root, the direction in which it leaves the body, and whether it lies on the ground."""
