"""Names of slices in words, and the causes that they state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.image_stats import colour_name, lab_to_hex
from ..records import Cause, label_to_words
from .discovery import Membership
from .looks import RADIUS, Look, measure_presence
from .views import GuideImage, View

Array = NDArray[np.float64]

SIDE = 0.38  # of the image, that counts as its edge
SHIFT = 5.0  # difference in a and b of Lab of the subject that may come from a tint
TINT = 0.6  # least ratio of the smaller to the larger shift of subject and backdrop that makes a tint
SCATTERED = 1.5  # ratio of spreads from which images are "without" what the others share
CLEAR = 0.7  # least share of pairs that an attribute must order right to name a group of several properties
# Words for a value that is lower, and higher, than in the other images.
_ENDS = {
    "light": ("dark", "bright"),
    "sharpness": ("blurred", "sharp"),
    "size": ("with a small subject", "with a large subject"),
}


@dataclass(frozen=True)
class Naming:
    """The name of a slice, and what it states where an intervention can test it."""

    words: str
    cause: Cause | None = None


@dataclass(frozen=True, eq=False)
class _Groups:
    """The images of a slice; the correct ones of its population that are not in it; and all correct ones."""

    inside: Sequence[GuideImage]
    outside: Sequence[GuideImage]
    correct: Sequence[GuideImage]

    @property
    def share_outside(self) -> str:
        """Share of the correct images that are not in the slice."""
        return _percent(len(self.outside) / max(1, len(self.correct)))


def name_slice(one: Membership, labels: Sequence[str]) -> Naming:
    """The name of a slice, by the images that it was found on: its classes, and what sets its images apart."""
    images = one.population.images
    inside = one.score(images) >= 0
    groups = _Groups(
        [image for image, member in zip(images, inside, strict=True) if member],
        [image for image, member in zip(images, inside, strict=True) if not member and not image.wrong],
        [image for image in images if not image.wrong],
    )
    naming = _describe(one.view, groups)
    return Naming(f"{_describe_classes(one, labels)}: {naming.words}", naming.cause)


def _describe_classes(one: Membership, labels: Sequence[str]) -> str:
    label, predicted = one.population.label, one.population.predicted
    if label is None or predicted is None:
        return "any class"
    return f"{label_to_words(labels[label])} predicted as {label_to_words(labels[predicted])}"


def _describe(view: View, groups: _Groups) -> Naming:
    if view.look is not None:
        return _describe_mark(view.look, groups)
    if view.kind in ("tint", "backdrop colour", "subject colour"):
        return _describe_colours(view.kind, groups)
    if view.kind in _ENDS:
        return _describe_end(view.kind, groups)
    if view.kind == "place":
        return Naming(f"with the subject {_say_place(_median(groups.inside, 'place'))}", Cause("place"))
    if view.kind == "heat":
        share, x, y = _median(groups.inside, "heat")
        return Naming(f"where {_percent(share)} of the heat lies off the subject, {_say_place(np.array([x, y]))}")
    alike = "alike to the classifier" if view.kind == "features" else "alike in what was measured"
    found = _list_differences(groups)
    return Naming(f"{alike}, {' and '.join(found)}" if found else alike)


def _describe_mark(look: Look, groups: _Groups) -> Naming:
    inside, outside = (_measure(look, images) for images in (groups.inside, groups.outside))
    correct = _measure(look, groups.correct)
    shares = [float((measured[:, 0] <= RADIUS).mean()) for measured in (inside, outside, correct)]
    present = shares[0] > shares[1]
    where = inside if present else outside
    spot = f"{colour_name(look.colour)} spot {_say_places(where[where[:, 0] <= RADIUS, 1:])}"
    cause = Cause("region", present, colour=look.hex, value=min(1.0, look.size**2))
    if present:
        return Naming(f"with {_article(spot)} {spot}, as {_percent(shares[2])} of the correct images have", cause)
    return Naming(f"without the {spot} that {_percent(shares[2])} of the correct images have", cause)


def _describe_colours(kind: str, groups: _Groups) -> Naming:
    """A group found by colours: of the whole image, the backdrop or the subject."""
    subject, backdrop = _shift(groups, "subject colour"), _shift(groups, "backdrop colour")
    if _is_tint(subject, backdrop):
        return _describe_tint(groups)
    if kind == "tint":
        kind = "backdrop colour" if np.linalg.norm(backdrop) > np.linalg.norm(subject) else "subject colour"
    return _describe_colour(kind, groups)


def _shift(groups: _Groups, name: str) -> Array:
    """How far a colour is from the others', in a and b of Lab."""
    shift: Array = (_median(groups.inside, name) - _median(groups.outside, name))[1:]
    return shift


def _is_tint(subject: Array, backdrop: Array) -> bool:
    """Whether subject and backdrop differ from the others' alike, so that it is the whole image."""
    smaller, larger = sorted((float(np.linalg.norm(subject)), float(np.linalg.norm(backdrop))))
    return smaller >= max(SHIFT, TINT * larger) and float(subject @ backdrop) >= 0.5 * smaller * larger


def _describe_tint(groups: _Groups) -> Naming:
    inside, outside = (_median(images, "tint") for images in (groups.inside, groups.outside))
    present = bool(np.linalg.norm(inside) > np.linalg.norm(outside))
    difference = (inside - outside) if present else (outside - inside)
    hue = difference / max(float(np.linalg.norm(difference)), 1e-6)
    word = colour_name(np.array([65, *(45 * hue)], np.float32))
    cause = Cause("tint", present, colour=lab_to_hex(np.array([65, *(inside if present else outside)], np.float32)))
    if present:
        return Naming(f"with {_article(word)} {word} tint", cause)
    return Naming(f"without the {word} tint that {groups.share_outside} of the correct images have", cause)


def _describe_colour(kind: str, groups: _Groups) -> Naming:
    part = "backdrop" if kind == "backdrop colour" else "subject"
    inside, outside = (_median(images, kind).astype(np.float32) for images in (groups.inside, groups.outside))
    spreads = [float(_values(images, kind).std(axis=0).mean()) for images in (groups.inside, groups.outside)]
    cause_kind = "backdrop" if part == "backdrop" else "colour"
    word, usual = colour_name(inside), colour_name(outside)
    if spreads[0] > SCATTERED * spreads[1]:
        cause = Cause(cause_kind, False, colour=lab_to_hex(outside))
        return Naming(f"without the {usual} {part} that {groups.share_outside} of the correct images have", cause)
    against = f", where others are {usual}" if usual != word else ""
    return Naming(f"with {_article(word)} {word} {part}{against}", Cause(cause_kind, True, colour=lab_to_hex(inside)))


def _describe_end(kind: str, groups: _Groups) -> Naming:
    inside, outside = (float(_median(images, kind)[0]) for images in (groups.inside, groups.outside))
    # Each cause states its value as interventions take it, 0 to 1.
    value = {"light": inside / 100, "sharpness": float(np.exp(inside)) - 0.01, "size": inside**2}[kind]
    return Naming(_ENDS[kind][inside > outside], Cause(kind, value=min(1.0, max(0.0, value))))


def _list_differences(groups: _Groups) -> list[str]:
    """What sets images apart that were found by several properties: at most two that order most pairs right."""
    if _is_tint(_shift(groups, "subject colour"), _shift(groups, "backdrop colour")):
        return [_describe_tint(groups).words]
    found = []
    for kind, words in _ENDS.items():
        inside, outside = _values(groups.inside, kind)[:, 0], _values(groups.outside, kind)[:, 0]
        above = float((inside[:, None] > outside[None]).mean()) if len(outside) else 0.5
        found.append((max(above, 1 - above), words[above > 0.5]))
    for kind, part in (("backdrop colour", "backdrop"), ("subject colour", "subject")):
        inside, outside = _values(groups.inside, kind), _values(groups.outside, kind)
        middle = np.median(inside, axis=0)
        near, far = (np.linalg.norm(values - middle, axis=1) for values in (inside, outside))
        word = colour_name(middle.astype(np.float32))
        found.append((float((near[:, None] < far[None]).mean()), f"with {_article(word)} {word} {part}"))
    found.sort(key=lambda entry: -entry[0])
    return [words for clear, words in found[:2] if clear >= CLEAR]


def _values(images: Sequence[GuideImage], name: str) -> Array:
    rows = [one.traits.attributes[name] for one in images]
    return np.stack(rows).astype(float) if rows else np.zeros((1, 3))


def _median(images: Sequence[GuideImage], name: str) -> Array:
    median: Array = np.median(_values(images, name), axis=0)
    return median


def _measure(look: Look, images: Sequence[GuideImage]) -> Array:
    """The distance of the most similar window of each image, and where it is: n 3."""
    rows = [measure_presence(look, one.traits.windows) for one in images]
    return np.array([[distance, *centre] for distance, centre in rows], float).reshape(-1, 3)


def _say_places(centres: Array) -> str:
    """Where marks lie: "at the top left", "in a corner", "at an edge", or "off the subject"."""
    sides = (centres < SIDE) | (centres > 1 - SIDE)
    words = [_say_place(centre) for centre in centres]
    common = max(set(words), key=lambda word: (words.count(word), word)) if words else "off the subject"
    if words and words.count(common) >= 0.6 * len(words):
        return common
    if sides.all(axis=1).mean() >= 0.6:
        return "in a corner"
    return "at an edge" if sides.any(axis=1).mean() >= 0.6 else "off the subject"


def _say_place(centre: Array) -> str:
    x, y = (float(value) for value in centre)
    row = "top" if y < SIDE else "bottom" if y > 1 - SIDE else ""
    column = "left" if x < SIDE else "right" if x > 1 - SIDE else ""
    words = " ".join(word for word in (row, column) if word)
    return f"at the {words}" if words else "in the centre"


def _article(words: str) -> str:
    return "an" if words[:1].lower() in "aeiou" else "a"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
