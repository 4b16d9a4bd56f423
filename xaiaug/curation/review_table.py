"""review.csv: a person's decision on each new image, one line an image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import DataError

REVIEW_TABLE = "review.csv"
KEEP, REJECT = "keep", "reject"
FIXED, NOT_READ = "yes", "not read"  # why a prompt may not be changed: by its arm, or since its synthesizer reads none
DECISION_COLUMNS = ("decision", "label_is_wrong", "new_prompt")  # the columns a person fills in
COLUMNS = (*DECISION_COLUMNS, "label", "predicted", "prompt", "image", "case", "prompt_is_fixed", "id")
# Spreadsheets write truth values in the language of their user.
_FLAGS = {
    **dict.fromkeys(("yes", "y", "true", "1", "x", "wrong", "wahr", "vrai", "verdadero"), True),
    **dict.fromkeys(("", "no", "n", "false", "0", "right", "falsch", "faux", "falso"), False),
}
_ID = re.compile(r"[0-9a-f]{16}")
_BLOB = re.compile(r"(?:.*[/\\])?([0-9a-f]{16})[0-9a-f]*\.\w+")
_WORDS = {"": None, "keep": True, "k": True, "yes": True, "reject": False, "r": False, "no": False}


def index_rows(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The columns of the table by image, in order.

    Raises:
        DataError: a row does not tell its image, or two rows of one image differ in their decision.
    """
    indexed: dict[str, dict[str, str]] = {}
    for row in rows:
        name = _image_id(row)
        line = {**{column: row.get(column, "") for column in COLUMNS}, "id": name}
        if any(indexed.get(name, line)[column] != line[column] for column in DECISION_COLUMNS):
            raise DataError(f"{REVIEW_TABLE} has two different decisions on image {name}; remove one line and rerun")
        indexed[name] = line
    return indexed


def _image_id(row: Mapping[str, str]) -> str:
    name = row["id"].strip()
    if _ID.fullmatch(name):
        return name
    # A spreadsheet writes an id of digits as a number, such as 1.2E+15; the image's file name still tells it.
    file = _BLOB.fullmatch(row["image"].strip())
    if not file:
        raise DataError(
            f"{REVIEW_TABLE}: a line has the id {name[:80]!r}, expected 16 hexadecimal digits; restore the columns "
            "id and image, and format them as text"
        )
    return file[1]


@dataclass(frozen=True)
class ReviewDecision:
    """A person's decision on one image.

    Attributes:
        keep: whether it may be trained on; None while undecided.
        label_is_wrong: whether the image it was made from has the wrong label: no image of that mistake is kept.
        prompt: the prompt to use instead; empty leaves it as it is. An image with another prompt is generated again.
    """

    keep: bool | None = None
    label_is_wrong: bool = False
    prompt: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> ReviewDecision:
        """The decision in a line.

        Raises:
            DataError: the decision is neither keep nor reject nor empty, or the flag neither yes nor no nor empty.
        """
        flag = row.get("label_is_wrong", "").strip().lower()
        if flag not in _FLAGS:
            raise DataError(
                f"{REVIEW_TABLE}: label_is_wrong must be yes, no or empty, got {flag[:80]!r} for image "
                f"{row.get('id', '?')}; correct the line and rerun"
            )
        word = row.get("decision", "").strip().lower()
        if word not in _WORDS:
            raise DataError(
                f"{REVIEW_TABLE}: decision must be {KEEP}, {REJECT} or empty, got {word[:80]!r} for image "
                f"{row.get('id', '?')}; correct the line and rerun"
            )
        prompt = row.get("new_prompt", "").strip()
        prompt = "" if prompt == row.get("prompt", "").strip() or row.get("prompt_is_fixed") else prompt
        flagged = _FLAGS[flag]
        return cls(False if prompt or flagged else _WORDS[word], flagged, prompt)

    @property
    def reason(self) -> str:
        """Why the image is not kept, in plain words."""
        if self.label_is_wrong:
            return "a reviewer marked the label of the mistake as wrong"
        return "a reviewer changed the prompt" if self.prompt else "rejected by a reviewer"
