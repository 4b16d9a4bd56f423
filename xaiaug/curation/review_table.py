"""What a person says of one new image, as a line of review.csv holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import DataError

TABLE = "review.csv"
KEEP, REJECT = "keep", "reject"
SAID = ("decision", "label_is_wrong", "new_prompt")  # the columns a person fills in
COLUMNS = (*SAID, "label", "predicted", "prompt", "image", "case", "prompt_is_fixed", "id")
_YES = ("yes", "y", "true", "1", "x", "wrong")
_WORDS = {"": None, "keep": True, "k": True, "yes": True, "reject": False, "r": False, "no": False}


@dataclass(frozen=True)
class ReviewDecision:
    """A person's word on one image.

    Attributes:
        keep: whether it may be trained on; None while nobody has said.
        label_is_wrong: whether the image it was made from has the wrong label: no image of that mistake is kept.
        prompt: what it should show instead; empty to leave the prompt as it is. An image with another prompt is made
            again.
    """

    keep: bool | None = None
    label_is_wrong: bool = False
    prompt: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> ReviewDecision:
        """The decision of a line.

        Raises:
            DataError: the decision is another word than keep or reject.
        """
        word = row.get("decision", "").strip().lower()
        if word not in _WORDS:
            raise DataError(
                f"{TABLE}: decision must be {KEEP}, {REJECT} or empty, got {row['decision']!r} for image "
                f"{row.get('id', '?')}; mend the line and run again"
            )
        prompt = row.get("new_prompt", "").strip()
        prompt = "" if prompt == row.get("prompt", "").strip() or row.get("prompt_is_fixed") else prompt
        flagged = row.get("label_is_wrong", "").strip().lower() in _YES
        return cls(False if prompt or flagged else _WORDS[word], flagged, prompt)

    @property
    def reason(self) -> str:
        """Why the image is not kept, for a person."""
        if self.label_is_wrong:
            return "a person found the label of its mistake wrong"
        return "a person wrote another prompt" if self.prompt else "a person rejected it"
