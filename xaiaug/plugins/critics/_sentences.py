"""Writes a critique from measurements: cause, evidence, difficulty, guidance and prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...imaging.image_stats import colour_name, lab_to_hex, rgb_to_lab
from ...records import Cause, label_to_words
from ._measurements import Attention, Floats, Measurements
from ._outliers import LEAST, ClassReference, Comparison, Finding

GUIDANCE_OF = {
    "subject colour": "subject_colour",
    "backdrop colour": "backdrop_colour",
    "light": "brightness",
    "sharpness": "sharpness",
    "size": "size",
    "place": "place",
}
UNITS = {"subject colour": " (Lab)", "backdrop colour": " (Lab)", "light": " (L of Lab)"}


def describe_cause(
    findings: Sequence[Finding], measurements: Measurements, reference: ClassReference, label: str, predicted: str
) -> str:
    """The most likely cause in one sentence, with the second one if there is any."""
    if not reference.enough:
        return f"Too few images of {label} to compare with: {reference.count} of at least {LEAST}."
    if not findings:
        return f"No unusual property found, compared with {reference.count} other images of {label}."
    first, *others = findings
    sentence = _capitalize(_describe(first, measurements, reference))
    sentence += f", unusual for {label}" + (f" but typical of {predicted}" if first.misleading else "")
    return f"{sentence}; and {_describe(others[0], measurements, reference)}." if others else f"{sentence}."


def _describe(finding: Finding, measurements: Measurements, reference: ClassReference) -> str:
    return {
        "subject colour": f"the subject's colour is {name_colour(measurements.subject)}",
        "backdrop colour": f"the backdrop's colour is {name_colour(measurements.backdrop)}",
        "light": f"the light is {name_light(measurements, reference)}",
        "sharpness": f"the image is {name_sharpness(measurements, reference)}",
        "size": f"the subject is {name_size(measurements, reference)}",
        "place": f"the subject's position is {name_place(measurements.place)}",
    }[finding.attribute]


def list_evidence(
    findings: Sequence[Finding],
    comparison: Comparison | None,
    measurements: Measurements,
    reference: ClassReference,
    label: str,
) -> list[str]:
    """One line of numbers for each finding; otherwise the lowest p-value, or the bare measurements."""
    if comparison is None:
        size = f"{measurements.size:.0%} of the image"
        colours = f"subject {name_colour(measurements.subject)}, backdrop {name_colour(measurements.backdrop)}"
        return [f"measured: {colours}; subject {size}; sharpness {measurements.sharpness:.2f}"]
    if not findings:
        name, p = comparison.lowest
        return [
            f"nothing unusual: lowest corrected p = {p:.2g} ({name}), compared with {reference.count} images of {label}"
        ]
    return [_evidence_line(finding, measurements, reference, label) for finding in findings]


def _evidence_line(finding: Finding, measurements: Measurements, reference: ClassReference, label: str) -> str:
    rarity, unit = finding.rarity, UNITS.get(finding.attribute, "")
    neighbours = reference.attributes[finding.attribute].neighbours
    value = _format_value(finding.attribute, measurements)
    line = (
        f"{finding.attribute}: {value}; unusually far from other images of {label} (corrected p = {finding.p:.2g}): "
        f"distance to neighbour {neighbours} of {reference.count} is {rarity.distance:.3g}{unit}, typically "
        f"{rarity.usual:.3g}"
    )
    if finding.elsewhere:
        line += f", and {finding.elsewhere.distance:.3g} in the predicted class"
    if finding.attribute.endswith("colour"):
        line += f"; common colours of {label}: {', '.join(reference.common_colours(finding.attribute)) or 'none'}"
    return line


def _format_value(attribute: str, measurements: Measurements) -> str:
    return {
        "subject colour": name_colour(measurements.subject),
        "backdrop colour": name_colour(measurements.backdrop),
        "light": f"mean lightness {measurements.light[1]:.0f} of 100",
        "sharpness": f"{measurements.sharpness:.2f} of 1",
        "size": f"{measurements.size:.0%} of the image",
        "place": f"{name_place(measurements.place)} (x {measurements.place[0]:.2f}, y {measurements.place[1]:.2f})",
    }[attribute]


def list_attention(attention: Attention) -> list[str]:
    """A line about where the heatmap lies; none without a heatmap."""
    if attention.kind == "unknown":
        return []
    area = f"{attention.area:.0%} of what the model saw"
    return [f"attention: {attention.mass:.0%} of the heatmap lies on the subject, which covers {area}"]


def describe_difficulty(measurements: Measurements, findings: Sequence[Finding]) -> str:
    """What makes the image hard in itself; empty if no measurement does."""
    unusual = {finding.attribute for finding in findings}
    contrast = float(np.linalg.norm(rgb_to_lab(measurements.subject) - rgb_to_lab(measurements.backdrop)))
    reasons = [
        (contrast < 15, "the subject hardly stands out from its backdrop"),
        (measurements.light[1] < 20, "the image is dark"),
        (measurements.sharpness < 0.15, "the image is blurred"),
        (measurements.size < 0.08, "the subject is small"),
        ("place" in unusual, f"the subject is in an unusual position ({name_place(measurements.place)})"),
    ]
    return _capitalize("; ".join(reason for applies, reason in reasons if applies))


def write_guidance(measurements: Measurements, findings: Sequence[Finding]) -> dict[str, str | float]:
    """What a synthesizer should keep: the findings, most likely cause first, then the colours."""
    values: dict[str, str | float] = {
        "subject colour": lab_to_hex(rgb_to_lab(measurements.subject)),
        "backdrop colour": lab_to_hex(rgb_to_lab(measurements.backdrop)),
        "light": round(float(measurements.light[1]) / 100, 3),
        "sharpness": round(measurements.sharpness, 3),
        "size": round(measurements.size, 3),
        "place": name_place(measurements.place),
    }
    wanted = dict.fromkeys([*(finding.attribute for finding in findings), "subject colour", "backdrop colour"])
    return {GUIDANCE_OF[name]: values[name] for name in wanted}


def to_cause(findings: Sequence[Finding], measurements: Measurements) -> Cause | None:
    """The likeliest cause as a record; None without a finding."""
    if not findings:
        return None
    return {
        "subject colour": Cause("colour", colour=lab_to_hex(rgb_to_lab(measurements.subject))),
        "backdrop colour": Cause("backdrop", colour=lab_to_hex(rgb_to_lab(measurements.backdrop))),
        "light": Cause("light", value=_share(measurements.light[1] / 100)),
        "sharpness": Cause("sharpness", value=_share(measurements.sharpness)),
        "size": Cause("size", value=_share(measurements.size)),
        "place": Cause("place"),
    }[findings[0].attribute]


def _share(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), 4)


def write_prompt(
    measurements: Measurements, findings: Sequence[Finding], reference: ClassReference, label: str, medium: str
) -> str:
    """The prompt for a new training image: the true class, with the properties that made this image hard."""
    unusual = {finding.attribute for finding in findings}
    extras = [
        f"in {name_light(measurements, reference)} light" if "light" in unusual else "",
        name_sharpness(measurements, reference) if "sharpness" in unusual else "",
        name_size(measurements, reference) if "size" in unusual else "",
        _position(measurements) if "place" in unusual else "",
    ]
    thing = label_to_words(label)
    colour, background = name_colour(measurements.subject), name_colour(measurements.backdrop)
    start = f"{_article(medium)} {medium} of {_article(colour)} {colour} {thing}"
    scene = f"on {_article(background)} {background} background"
    return _capitalize(", ".join([f"{start} {scene}", *(extra for extra in extras if extra)]))


def _position(measurements: Measurements) -> str:
    word = name_place(measurements.place)
    return "in the centre" if word == "centre" else f"at the {word.replace('-', ' ')}"


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"


def _capitalize(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def name_colour(colour: Floats) -> str:
    """An sRGB colour in words: "dark brown (#4a2c1c)"."""
    return f"{colour_name(rgb_to_lab(colour))} ({lab_to_hex(rgb_to_lab(colour))})"


def name_place(place: Floats) -> str:
    """The position of a point, x y from 0 to 1, in words: "centre", "left", "top-right", …"""
    across = _third(float(place[0]), "left", "right")
    down = _third(float(place[1]), "top", "bottom")
    return "-".join(word for word in (down, across) if word) or "centre"


def _third(value: float, low: str, high: str) -> str:
    return low if value < 0.4 else high if value > 0.6 else ""


def name_light(measurements: Measurements, reference: ClassReference) -> str:
    """ "dim" or "bright", compared with the class."""
    return "dim" if measurements.light.mean() < reference.median("light").mean() else "bright"


def name_sharpness(measurements: Measurements, reference: ClassReference) -> str:
    """ "blurred" or "very sharp", compared with the class."""
    return "blurred" if measurements.vectors()["sharpness"] < reference.median("sharpness") else "very sharp"


def name_size(measurements: Measurements, reference: ClassReference) -> str:
    """ "small" or "large", compared with the class."""
    return "small" if measurements.vectors()["size"] < reference.median("size") else "large"
