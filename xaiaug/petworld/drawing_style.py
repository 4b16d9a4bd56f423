"""The two drawing styles: outlines, colours and texture."""

from __future__ import annotations

from dataclasses import dataclass

from .palette import RGB, mix, rgb


@dataclass(frozen=True)
class DrawingStyle:
    """A drawing style.

    Attributes:
        line: width of outlines, in units of the figure.
        ink: how dark outlines are, 0 to 1.
        fade: how far colours are mixed with that of the paper, 0 to 1.
        grain: standard deviation of the paper's grain, in grey levels.
        hatching: strength of slanted streaks, in grey levels.
    """

    line: float
    ink: float
    fade: float
    grain: float
    hatching: float


DRAWING_STYLES = {"book": DrawingStyle(0.022, 0.62, 0.0, 2.5, 0.0), "crayon": DrawingStyle(0.036, 0.8, 0.1, 4.0, 9.0)}
"""The world is drawn in style "book", synthetic images in style "crayon"."""

PAPER = rgb("#fbf3e2")
INK = rgb("#231c22")


def role_colours(coat: RGB, style: DrawingStyle) -> dict[str, RGB]:
    """The colour of each role of a shape, for an animal with that coat."""
    coat = mix(coat, PAPER, style.fade)
    dark = sum(coat) < 3 * 80
    return {
        "coat": coat,
        "shade": mix(coat, INK, 0.22),
        "dark": mix(coat, PAPER, 0.22) if dark else mix(coat, INK, 0.34),
        "light": mix(coat, PAPER, 0.34 if dark else 0.55),
        "line": mix(coat, INK, style.ink),
        "ink": INK,
        "hair": mix(coat, (255, 255, 255), 0.8) if sum(coat) < 3 * 200 else mix(coat, INK, 0.55),
        "white": (255, 255, 252),
        "iris": rgb("#d8e05a"),
        "pink": rgb("#f09aa2"),
        "nose": rgb("#e8707e"),
        "ivory": rgb("#f3ead2"),
    }
