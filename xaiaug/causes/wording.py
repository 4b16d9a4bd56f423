"""Causes and their verdicts in words: the same words whoever states the cause."""

from __future__ import annotations

from ..imaging.image_stats import colour_name, css_to_lab
from ..records import Cause, CauseVerdict, label_to_words
from ..records.cause import Box

_PLACES = (("top", "", "bottom"), ("left", "", "right"))
_EDITS = {
    "region": ("the {what} is erased", "a {what} is added"),
    "colour": ("the subject is recoloured", "the subject is recoloured to {what}"),
    "backdrop": ("the backdrop is replaced", "the backdrop is replaced by {what} one"),
    "tint": ("the tint is removed", "{what} tint is added"),
    "light": ("the light is changed", "the light is changed"),
    "sharpness": ("the sharpness is changed", "the sharpness is changed"),
    "size": ("the subject is scaled", "the subject is scaled"),
    "place": ("the subject is moved", "the subject is moved"),
}


def describe_cause(cause: Cause) -> str:
    """A cause in words, such as "a yellow spot at the top left" or "the green backdrop"."""
    colour = _colour(cause)
    return {
        "region": f"{_article(colour or 'spot')} {colour} spot{_at(cause.box)}".replace("  ", " "),
        "colour": f"the subject's colour{_of(colour)}",
        "backdrop": f"the backdrop{_of(colour)}",
        "tint": f"the tint of the entire image{_of(colour)}",
        "light": f"the light{_value(cause, 'mean lightness')}",
        "sharpness": f"the sharpness{_value(cause, 'sharpness')}",
        "size": f"the subject's size{_value(cause, 'share of the image')}",
        "place": "the subject's place",
    }[cause.kind] + ("" if cause.present else ", which is missing")


def describe_edit(cause: Cause) -> str:
    """What is done to a failed image, such as "the backdrop is replaced"."""
    colour = _colour(cause)
    if cause.kind == "region":
        what = f"{colour} spot".strip()
    else:
        what = f"{_article(colour)} {colour}" if colour else "that of correct images"
    return (
        _EDITS[cause.kind][0 if cause.present else 1]
        .format(what=what)
        .replace("that of correct images one", "that of a correct image")
    )


def describe_box(box: Box) -> str:
    """Where a box lies: "top left", "centre", …"""
    middles = ((box[1] + box[3]) / 2, (box[0] + box[2]) / 2)
    words = [
        names[0 if middle < 0.4 else 2 if middle > 0.6 else 1] for names, middle in zip(_PLACES, middles, strict=True)
    ]
    return " ".join(word for word in words if word) or "centre"


def count_words(cause: Cause, verdict: CauseVerdict) -> str:
    """The counts of a verdict, such as "right when the backdrop is replaced: 8 of 11, the same edit elsewhere 1, …"."""
    label = label_to_words(verdict.label)
    fixed = (
        f"right when {describe_edit(cause)}: {verdict.fixed} of {verdict.tested}, the same edit elsewhere "
        f"{verdict.fixed_elsewhere}, {verdict.nuisance} {verdict.fixed_by_nuisance}"
    )
    if not verdict.correct:
        return fixed
    way = "put on" if cause.present else "taken from"
    return (
        f"{fixed}; correct images of {label} wrong when it is {way} them: {verdict.broken} of {verdict.correct}, "
        f"elsewhere {verdict.broken_elsewhere}, {verdict.nuisance_of_correct} {verdict.broken_by_nuisance}"
    )


def _colour(cause: Cause) -> str:
    return colour_name(css_to_lab(cause.colour)) if cause.colour else ""


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _of(colour: str) -> str:
    return f" ({colour})" if colour else ""


def _value(cause: Cause, name: str) -> str:
    return "" if cause.value is None else f" ({name} {cause.value:.2f})"


def _at(box: Box | None) -> str:
    if box is None:
        return ""
    place = describe_box(box)
    return f" in the {place}" if place == "centre" else f" at the {place}"
