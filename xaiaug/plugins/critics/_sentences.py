"""Sentences about what was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...records import label_to_words
from .._image_stats import hex_of, lab, name_of
from ._measurements import Attended, Floats, Measures
from ._outliers import ClassReference, Comparison, Finding

GUIDANCE_OF = {
    "subject colour": "subject_colour",
    "backdrop colour": "backdrop_colour",
    "light": "brightness",
    "sharpness": "sharpness",
    "size": "size",
    "place": "place",
}
UNITS = {"subject colour": " (Lab)", "backdrop colour": " (Lab)", "light": " (L of Lab)"}


def colour_words(colour: Floats) -> str:
    """An sRGB colour in words: "dark brown (#4a2c1c)"."""
    return f"{name_of(lab(colour))} ({hex_of(lab(colour))})"


def place_word(place: Floats) -> str:
    """Where a point, x y from 0 to 1, lies: "centre", "left", "top-right", …"""
    across = _third(float(place[0]), "left", "right")
    down = _third(float(place[1]), "top", "bottom")
    return "-".join(word for word in (down, across) if word) or "centre"


def _third(value: float, low: str, high: str) -> str:
    return low if value < 0.4 else high if value > 0.6 else ""


def guidance_of(measures: Measures, findings: Sequence[Finding]) -> dict[str, str | float]:
    """What a synthesizer should keep: the unusual first, the likeliest cause foremost, then the colours."""
    values: dict[str, str | float] = {
        "subject colour": hex_of(lab(measures.subject)),
        "backdrop colour": hex_of(lab(measures.backdrop)),
        "light": round(float(measures.light[1]) / 100, 3),
        "sharpness": round(measures.sharpness, 3),
        "size": round(measures.size, 3),
        "place": place_word(measures.place),
    }
    wanted = dict.fromkeys([*(finding.attribute for finding in findings), "subject colour", "backdrop colour"])
    return {GUIDANCE_OF[name]: values[name] for name in wanted}


def cause_of(findings: Sequence[Finding], measures: Measures, own: ClassReference, label: str, predicted: str) -> str:
    """The likeliest cause in one sentence; a second one is named after it."""
    if not own.enough:
        return f"There is nothing to compare with: {_count(own)} of {label} at hand."
    if not findings:
        return f"Nothing that was measured is unusual among the training images of {label}."
    first, *others = findings
    sentence = _deviation(first, measures, own)
    sentence += f", unusual for {label}" + (f" but usual for {predicted}" if first.misleading else "")
    return f"{sentence}; and {_deviation(others[0], measures, own, start=False)}." if others else f"{sentence}."


def _count(own: ClassReference) -> str:
    return "no training images" if own.count == 0 else f"only {own.count} training images"


def _deviation(finding: Finding, measures: Measures, own: ClassReference, start: bool = True) -> str:
    sentence = {
        "subject colour": f"the subject's colour is {colour_words(measures.subject)}",
        "backdrop colour": f"the backdrop's colour is {colour_words(measures.backdrop)}",
        "light": f"the light is {light_word(measures, own)}",
        "sharpness": f"the image is {sharpness_word(measures, own)}",
        "size": f"the subject is {size_word(measures, own)}",
        "place": f"the subject's place is {place_word(measures.place)}",
    }[finding.attribute]
    return _sentence(sentence) if start else sentence


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def light_word(measures: Measures, own: ClassReference) -> str:
    """ "dim" or "bright", against what the class shows."""
    return "dim" if measures.light.mean() < own.middle("light").mean() else "bright"


def sharpness_word(measures: Measures, own: ClassReference) -> str:
    """ "blurred" or "sharp", against what the class shows."""
    return "blurred" if measures.vectors()["sharpness"] < own.middle("sharpness") else "very sharp"


def size_word(measures: Measures, own: ClassReference) -> str:
    """ "small" or "large", against what the class shows."""
    return "small" if measures.vectors()["size"] < own.middle("size") else "large"


def evidence_of(
    findings: Sequence[Finding], comparison: Comparison | None, measures: Measures, own: ClassReference, label: str
) -> list[str]:
    """One line a finding, with its numbers; a line that says so when there is none, or nothing to compare with."""
    if comparison is None:
        size = f"{measures.size:.0%} of the image"
        colours = f"subject {colour_words(measures.subject)}, backdrop {colour_words(measures.backdrop)}"
        return [f"measured: {colours}; subject {size}; sharpness {measures.sharpness:.2f}"]
    if not findings:
        name, p = comparison.lowest
        return [f"nothing unusual: the lowest corrected p is {p:.2g} ({name}), against {own.count} images of {label}"]
    return [_numbers(finding, measures, own, label) for finding in findings]


def _numbers(finding: Finding, measures: Measures, own: ClassReference, label: str) -> str:
    rarity, unit = finding.rarity, UNITS.get(finding.attribute, "")
    neighbours = own.references[finding.attribute].neighbours
    line = (
        f"{finding.attribute}: {_value(finding.attribute, measures)}; {neighbours} of {own.count} training images of "
        f"{label} lie within {rarity.distance:.3g}{unit}, where {rarity.usual:.3g} is usual "
        f"(corrected p = {finding.p:.2g})"
    )
    if finding.attribute.endswith("colour"):
        line += f"; common there: {', '.join(own.common_colours(finding.attribute)) or 'no colour above others'}"
    if finding.elsewhere:
        line += f"; the predicted class has as many within {finding.elsewhere.distance:.3g}"
    return line


def _value(attribute: str, measures: Measures) -> str:
    return {
        "subject colour": colour_words(measures.subject),
        "backdrop colour": colour_words(measures.backdrop),
        "light": f"mean lightness {measures.light[1]:.0f} of 100",
        "sharpness": f"{measures.sharpness:.2f} of 1",
        "size": f"{measures.size:.0%} of the image",
        "place": f"{place_word(measures.place)} (x {measures.place[0]:.2f}, y {measures.place[1]:.2f})",
    }[attribute]


def attention_line(seen: Attended) -> list[str]:
    """What the heatmap says, in one line; none without a map."""
    if seen.kind == "unknown":
        return []
    return [f"attention: {seen.mass:.0%} of the heatmap lies on the subject, which takes {seen.area:.0%} of the area"]


def difficulty_of(measures: Measures, findings: Sequence[Finding]) -> str:
    """What makes the image hard in itself; empty when nothing measured does."""
    unusual = {finding.attribute for finding in findings}
    contrast = float(np.linalg.norm(lab(measures.subject) - lab(measures.backdrop)))
    reasons = [
        (contrast < 15, "the subject hardly stands out from its backdrop"),
        (measures.light[1] < 20, "it is dark"),
        (measures.sharpness < 0.15, "it is blurred"),
        (measures.size < 0.08, "the subject is small"),
        ("place" in unusual, f"the subject is at an unusual place ({place_word(measures.place)})"),
    ]
    return _sentence("; ".join(words for holds, words in reasons if holds))


def prompt_of(measures: Measures, findings: Sequence[Finding], own: ClassReference, label: str, medium: str) -> str:
    """What a new training image should show: the true class, in what made this image hard."""
    unusual = {finding.attribute for finding in findings}
    extras = [
        f"in {light_word(measures, own)} light" if "light" in unusual else "",
        sharpness_word(measures, own) if "sharpness" in unusual else "",
        size_word(measures, own) if "size" in unusual else "",
        _position(measures) if "place" in unusual else "",
    ]
    thing = label_to_words(label)
    colour, background = colour_words(measures.subject), colour_words(measures.backdrop)
    start = f"{_article(medium)} {medium} of {_article(colour)} {colour} {thing}"
    scene = f"on {_article(background)} {background} background"
    return _sentence(", ".join([f"{start} {scene}", *(extra for extra in extras if extra)]))


def _position(measures: Measures) -> str:
    word = place_word(measures.place)
    return "in the centre" if word == "centre" else f"at the {word.replace('-', ' ')}"


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"
