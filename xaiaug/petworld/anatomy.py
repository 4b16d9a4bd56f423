"""The anatomy of each animal: proportions, ears, muzzle, tail, markings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Anatomy:
    """Proportions and features; lengths in units of the figure, head features in units of the head's radius.

    Attributes:
        length: from hip to shoulder.
        girth: half the thickness of the trunk.
        leg: length of a leg.
        leg_width: thickness of a leg.
        neck: from shoulder to the middle of the head.
        head: radius of the head.
        ears: "pointed", "floppy", "round", "dish", "long", "folded" or "drooping".
        muzzle: "short", "long", "blunt", "tapered", "snout" or "broad".
        tail: "slim", "wagging", "bare", "puff", "curl" or "tuft".
        extras: "whiskers", "stripes", "patch", "tongue", "horns", "wool", "spots".
    """

    length: float
    girth: float
    leg: float
    leg_width: float
    neck: float
    head: float
    ears: str
    muzzle: str
    tail: str
    extras: frozenset[str] = frozenset()


ANIMALS = {
    "cat": Anatomy(0.84, 0.19, 0.36, 0.12, 0.31, 0.31, "pointed", "short", "slim", frozenset({"whiskers", "stripes"})),
    "dog": Anatomy(0.80, 0.23, 0.44, 0.15, 0.36, 0.30, "floppy", "long", "wagging", frozenset({"tongue", "patch"})),
    "rabbit": Anatomy(0.56, 0.25, 0.20, 0.14, 0.33, 0.29, "long", "short", "puff", frozenset({"whiskers"})),
    "mouse": Anatomy(0.60, 0.24, 0.15, 0.09, 0.32, 0.29, "dish", "tapered", "bare", frozenset({"whiskers"})),
    "pig": Anatomy(0.78, 0.31, 0.24, 0.15, 0.42, 0.32, "folded", "snout", "curl"),
    "cow": Anatomy(0.92, 0.28, 0.42, 0.14, 0.42, 0.29, "drooping", "broad", "tuft", frozenset({"horns", "spots"})),
    "bear": Anatomy(0.74, 0.31, 0.28, 0.21, 0.42, 0.33, "round", "blunt", "puff"),
    "sheep": Anatomy(0.70, 0.28, 0.34, 0.10, 0.40, 0.26, "drooping", "blunt", "puff", frozenset({"wool"})),
}
"""All animals, by name."""

OTHERS = tuple(name for name in ANIMALS if name not in ("cat", "dog"))
"""The animals that the checkpoint is pre-trained on."""
