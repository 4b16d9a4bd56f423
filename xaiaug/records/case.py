"""A case: a mistake, or a slice of them, as a critic sees it; and the critique of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RecordError
from .cause import Cause
from .explanation import Explanation
from .mistake_slice import MistakeSlice
from .rendering import to_html

ATTENDED = ("subject", "part", "background", "other", "unknown")
GUIDANCE = ("subject_colour", "backdrop_colour", "brightness", "sharpness", "size", "place")


@dataclass(eq=False)
class LazyPanel:
    """A panel that is drawn when a critic first looks at it.

    Attributes:
        draw: draws the panel.
        image: the panel; None while no critic has looked at it.
    """

    draw: Callable[[], Image.Image]
    image: Image.Image | None = None

    def open(self) -> Image.Image:
        """The panel; the same image every time."""
        if self.image is None:
            self.image = self.draw()
        return self.image


class _PanelField:
    """The field `Case.panel`: takes an image or a LazyPanel, gives an image.

    A dataclass passes the argument to `__set__`, and asks `__get__` for a default value: there is none.
    """

    @overload
    def __get__(self, case: None, owner: type[Case]) -> _PanelField: ...

    @overload
    def __get__(self, case: Case, owner: type[Case]) -> Image.Image: ...

    def __get__(self, case: Case | None, owner: type[Case]) -> _PanelField | Image.Image:
        if case is None:
            raise AttributeError("panel")
        panel: Image.Image | LazyPanel = vars(case)["panel"]
        return panel.open() if isinstance(panel, LazyPanel) else panel

    def __set__(self, case: Case, panel: Image.Image | LazyPanel) -> None:
        vars(case)["panel"] = panel


@dataclass(frozen=True, eq=False)
class Sheet:
    """The mistakes of a slice that a critic is asked about at once, as its panel shows them.

    Attributes:
        slice: its name, its size and its accuracy.
        mistakes: how many mistakes of one true class share the critique.
        examples: those that are shown, the most typical first.
        contrast: correct images of the class outside the slice, shown below them.
    """

    slice: MistakeSlice
    mistakes: int
    examples: tuple[Case, ...]
    contrast: tuple[Image.Image, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One image of the guide split, the classifier's prediction, and where it looked; or a slice of such images.

    Where a critic is asked once a slice, `sheet` holds the images, `panel` shows them all, and the other attributes are
    those of the most typical of them.

    Attributes:
        id: the sample's id, an opaque digest; of a slice, one of its own.
        image: h w c, RGB, the original.
        panel: the picture made for a critic: image and heatmap, with the labels. A `LazyPanel` may be given, and is
            drawn when `case.panel` is first read.
        label: name of the true class.
        predicted: name of the predicted class; of a slice, that of most of its mistakes.
        probabilities: k, float32, in the order of the labels.
        explanation: the map whose target is `predicted`; None if the critic is shown no map.
        label_explanation: the map whose target is `label`; None if the method does not depend on the class.
        sheet: the mistakes of a slice; None where the case is one image.
        references: correctly classified images by name of their class, the true one first, as the panel shows them.
    """

    id: str
    image: Image.Image
    panel: _PanelField = _PanelField()
    label: str  # type: ignore[misc]  # mypy takes the descriptor for a default value
    predicted: str  # type: ignore[misc]
    probabilities: NDArray[np.float32]  # type: ignore[misc]
    explanation: Explanation | None = None
    label_explanation: Explanation | None = None
    sheet: Sheet | None = None
    references: Mapping[str, tuple[Image.Image, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Critique:
    """Why a classifier failed on one image, and what a new training image should show.

    Attributes:
        cause: the likeliest cause of the mistake, in one sentence.
        prompt: what a new training image should show; names the true class.
        attended: what the model looked at: "subject", "part", "background", "other" or "unknown".
        difficulty: what makes this image hard, apart from what the model did.
        evidence: observations that support the cause.
        label_suspect: whether the label itself looks wrong.
        confidence: 0 to 1.
        guidance: hints that a synthesizer can follow without parsing the prompt; each is optional:
            "subject_colour", "backdrop_colour" (a CSS colour, "#rrggbb"), "brightness" (mean lightness, 0 to 1),
            "sharpness" (0 blurred to 1 sharp), "size" (subject's share of the image, 0 to 1),
            "place" ("left", "centre", "right", "top", "bottom", "top-left", …).
        testable: the cause as a record that can be tested by experiment; None if only the text states it.

    Raises:
        RecordError: an unknown word in `attended` or `guidance`, or a confidence outside 0 to 1.
    """

    cause: str
    prompt: str
    attended: str = "unknown"
    difficulty: str = ""
    evidence: tuple[str, ...] = ()
    label_suspect: bool = False
    confidence: float = 0.5
    guidance: Mapping[str, str | float] = field(default_factory=dict)
    testable: Cause | None = None

    def __post_init__(self) -> None:
        if self.attended not in ATTENDED:
            raise RecordError(f"Critique: attended must be one of {', '.join(ATTENDED)}, got {self.attended!r}")
        if not 0 <= self.confidence <= 1:
            raise RecordError(f"Critique: confidence must lie between 0 and 1, got {self.confidence}")
        unknown = set(self.guidance) - set(GUIDANCE)
        if unknown:
            raise RecordError(f"Critique: guidance knows {', '.join(GUIDANCE)}, got {', '.join(sorted(unknown))}")

    def _repr_html_(self) -> str:
        return to_html(self)
