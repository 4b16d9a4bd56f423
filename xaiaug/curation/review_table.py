"""review.csv: a person's decision on each new image, one line an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import DataError

REVIEW_TABLE = "review.csv"
KEEP, REJECT = "keep", "reject"
DECISION_COLUMNS = ("decision", "label_is_wrong", "new_prompt")  # the columns a person fills in
COLUMNS = (*DECISION_COLUMNS, "label", "predicted", "prompt", "image", "case", "prompt_is_fixed", "id")
_YES = ("yes", "y", "true", "1", "x", "wrong")
_WORDS = {"": None, "keep": True, "k": True, "yes": True, "reject": False, "r": False, "no": False}


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
            DataError: the decision is neither keep nor reject nor empty.
        """
        word = row.get("decision", "").strip().lower()
        if word not in _WORDS:
            raise DataError(
                f"{REVIEW_TABLE}: decision must be {KEEP}, {REJECT} or empty, got {row['decision']!r} for image "
                f"{row.get('id', '?')}; correct the line and rerun"
            )
        prompt = row.get("new_prompt", "").strip()
        prompt = "" if prompt == row.get("prompt", "").strip() or row.get("prompt_is_fixed") else prompt
        flagged = row.get("label_is_wrong", "").strip().lower() in _YES
        return cls(False if prompt or flagged else _WORDS[word], flagged, prompt)

    @property
    def reason(self) -> str:
        """Why the image is not kept, in plain words."""
        if self.label_is_wrong:
            return "a reviewer marked the label of the mistake as wrong"
        return "a reviewer changed the prompt" if self.prompt else "rejected by a reviewer"
