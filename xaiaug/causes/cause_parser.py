"""Reads a stated cause: the record a critic gives, else what its words name that can be edited."""

from __future__ import annotations

import re

from ..imaging.image_stats import COLOUR_NAMES
from ..records import Cause, Critique
from ..records.cause import Box

NOTHING = "the stated cause names nothing that can be edited"
SPOT = 0.34  # of width and height, of a region that is known by words such as "top left" alone
NEAR = 60  # characters around a keyword in which its colour and its negation are looked for

# The first word that is found decides; within a kind the order does not matter.
_WORDS = {
    "tint": r"tint(?:ed)?|colou?r[- ]cast|white balance|hue of the (?:whole )?image",
    "region": r"tags?|watermarks?|logos?|captions?|stickers?|stamps?|spots?|marks?|squares?|overlay|timestamps?|corner",
    "backdrop": r"backdrops?|backgrounds?|surroundings?|scenery|scenes?|grass|lawns?|meadows?|snow|beach|sand|carpets?"
    r"|sofas?|couch(?:es)?|indoors?|outdoors?|floors?|walls?|forest|foliage",
    "sharpness": r"blur\w*|unfocus\w*|out of focus|sharp\w*|low[- ]resolution|grainy",
    "light": r"dark|dim(?:ly)?|bright\w*|over-?exposed|under-?exposed|expos(?:ed|ure)|lighting|backlit|shadows?|glare"
    r"|night|light(?= is| was|[.,;]|$)",
    "size": r"small|tiny|distant|far away|close-?up|large|huge|size|zoom\w*",
    "place": r"off-?cent(?:re|er)|edge of the (?:image|frame|picture)|position|cropped|cut off|out of frame",
    "colour": r"colou?r\w*|coats?|furs?|pelts?|plumage",
}
_KEYWORDS = re.compile("|".join(rf"(?P<{kind}>\b(?:{words})\b)" for kind, words in _WORDS.items()))
_HEX = re.compile(r"#[0-9a-f]{6}")
_NAMES = re.compile(
    r"\b(" + "|".join(sorted((re.escape(name) for name in COLOUR_NAMES), key=len, reverse=True)) + r")\b"
)
_ABSENT = re.compile(
    r"\b(?:lacks?|lacking|without|missing|absent|absence of|no|not have)\b[^.;]{0,30}$|^[^.;]{0,20}\bmissing\b"
)
_ROWS = {
    "top": (0.0, SPOT),
    "upper": (0.0, SPOT),
    "bottom": (round(1 - SPOT, 2), 1.0),
    "lower": (round(1 - SPOT, 2), 1.0),
}
_COLUMNS = {"left": (0.0, SPOT), "right": (round(1 - SPOT, 2), 1.0)}
_COLOURED = ("region", "colour", "backdrop", "tint")


def parse_cause(critique: Critique) -> Cause | None:
    """The cause of a critique as a record; None where it names nothing that can be edited.

    A critic that states its cause as a record is taken at its word. Otherwise the first word of the sentence `cause`
    that names a property decides its kind, and a colour and a place near it are taken over; "lacks", "without" and the
    like make it absent. Where no word does, `attended = "background"` stands for the backdrop.
    """
    if critique.testable is not None:
        return critique.testable
    text = critique.cause.casefold()
    for match in _KEYWORDS.finditer(text):
        kind = str(match.lastgroup)
        cause = _create(kind, text, match)
        if cause is not None:
            return cause
    return Cause("backdrop") if critique.attended == "background" else None


def name_stated_cause(critique: Critique) -> str:
    """What a critique's cause is counted as where critiques are compared: critics put the same cause in many words.

    Its mechanism, such as "backdrop" or "region missing"; where it names nothing that can be edited, what it says the
    model looked at, such as "looked at part".
    """
    cause = parse_cause(critique)
    if cause is None:
        return f"looked at {critique.attended}"
    return cause.kind if cause.present else f"{cause.kind} missing"


def _create(kind: str, text: str, match: re.Match[str]) -> Cause | None:
    around = text[max(0, match.start() - NEAR) : match.end() + NEAR]
    before, after = text[: match.start()][-NEAR:], text[match.end() :][:NEAR]
    present = not _ABSENT.search(before) and not re.match(r"[^.;]{0,20}\b(?:is|are|was) (?:missing|absent)\b", after)
    colour = _find_colour(before, after) if kind in _COLOURED else None
    if kind != "region":
        return Cause(kind, present, colour)
    box = find_place(around)
    if colour is not None:
        return Cause(kind, present, colour)  # wherever it is: words give no exact place
    return None if box is None else Cause(kind, present, box=box)


def _find_colour(before: str, after: str) -> str | None:
    """The colour stated nearest to a keyword: "#rrggbb", else a name."""
    if found := _HEX.search(after) or _HEX.search(before):
        return found.group()
    named = [match.group() for match in _NAMES.finditer(before)][-1:] or [
        match.group() for match in _NAMES.finditer(after)
    ]
    return COLOUR_NAMES[named[0]] if named else None


def find_place(text: str) -> Box | None:
    rows = [extent for word, extent in _ROWS.items() if re.search(rf"\b{word}\b", text)]
    columns = [extent for word, extent in _COLUMNS.items() if re.search(rf"\b{word}\b", text)]
    if not rows and not columns:
        return None
    (top, bottom), (left, right) = (rows or [(0.0, 1.0)])[0], (columns or [(0.0, 1.0)])[0]
    return left, top, right, bottom
