"""Backdrops: eight places, each with one dominant colour."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .palette import BACKDROPS, RGB, mix, rgb

VARIANTS = 6
"""Layouts of each place."""

MARGIN = 1.25
"""Size of a backdrop relative to the image, so that it can be shifted."""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


class Sheet:
    """A square canvas with coordinates from 0 to 1, y down, and one base colour."""

    def __init__(self, side: int, base: RGB, variant: int) -> None:
        self.side, self.base = side, base
        self.rng = np.random.default_rng([variant, *base])
        self.image = Image.new("RGB", (side, side), base)
        self.pen = ImageDraw.Draw(self.image)

    def tone(self, share: float) -> RGB:
        """The base colour, darker (share < 0) or lighter (share > 0)."""
        return mix(self.base, WHITE if share > 0 else BLACK, abs(share))

    def fade(self, top: float, bottom: float) -> None:
        """Fills the sheet from one tone at the top to another at the bottom."""
        ramp = np.linspace(np.array(self.tone(top)), np.array(self.tone(bottom)), self.side)
        pixels = np.broadcast_to(ramp[:, None], (self.side, self.side, 3)).round().astype(np.uint8)
        self.image.paste(Image.fromarray(np.ascontiguousarray(pixels)))

    def disc(self, x: float, y: float, radius: float, fill: RGB, squash: float = 1.0) -> None:
        """A filled ellipse."""
        s = self.side
        self.pen.ellipse(
            [(x - radius) * s, (y - radius * squash) * s, (x + radius) * s, (y + radius * squash) * s], fill
        )

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """A filled rectangle with slightly rounded corners."""
        s = self.side
        self.pen.rounded_rectangle([x0 * s, y0 * s, x1 * s, y1 * s], 0.012 * s, fill)

    def hills(self, height: float, swing: float, fill: RGB) -> None:
        """A wavy ground from `height` down."""
        x = np.linspace(0, 1, 40)
        phase, pace = self.rng.uniform(0, 6.3), self.rng.uniform(5, 9)
        y = height + swing * np.sin(pace * x + phase)
        self.pen.polygon(
            [(-1, self.side), *zip(x * self.side, y * self.side, strict=True), (self.side, self.side)], fill
        )

    def scatter(self, count: int, top: float, bottom: float) -> list[tuple[float, float]]:
        """Random positions for small details."""
        xs, ys = self.rng.uniform(0, 1, count), self.rng.uniform(top, bottom, count)
        return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def _draw_meadow(sheet: Sheet) -> None:
    sheet.fade(0.3, 0.08)
    sheet.hills(0.4, 0.04, sheet.tone(0.12))
    sheet.hills(0.52, 0.03, sheet.tone(-0.04))
    for x, y in sheet.scatter(26, 0.6, 1):
        sheet.disc(x, y, 0.012, mix(sheet.base, WHITE, 0.75))
        sheet.disc(x, y, 0.005, rgb("#f4d03c"))
    for x, y in sheet.scatter(40, 0.55, 1):
        s = sheet.side
        sheet.pen.line([x * s, y * s, (x + 0.008) * s, (y - 0.03) * s], sheet.tone(-0.22), max(1, s // 120))


def _draw_beach(sheet: Sheet) -> None:
    sheet.fade(0.4, 0.2)
    sheet.hills(0.36, 0.0, sheet.tone(-0.06))
    for x, y in sheet.scatter(16, 0.4, 0.72):
        sheet.disc(x, y, 0.05, sheet.tone(0.28), 0.12)
    sheet.hills(0.84, 0.012, sheet.tone(0.62))
    sheet.hills(0.87, 0.012, rgb("#efdcae"))
    x = float(sheet.rng.uniform(0.2, 0.8))
    sheet.disc(x, 0.17, 0.075, rgb("#fff1b8"))


def _draw_snow(sheet: Sheet) -> None:
    sheet.fade(-0.1, 0.05)
    sheet.hills(0.45, 0.05, sheet.tone(0.12))
    for x, y in sheet.scatter(4, 0.42, 0.5):
        for step in range(3):
            w, top = 0.05 - 0.012 * step, y - 0.06 * (step + 1)
            s = sheet.side
            corners = [((x - w) * s, (top + 0.075) * s), (x * s, top * s), ((x + w) * s, (top + 0.075) * s)]
            sheet.pen.polygon(corners, mix(rgb("#4f86b0"), sheet.base, 0.25))
    sheet.hills(0.58, 0.025, sheet.tone(0.3))
    for x, y in sheet.scatter(46, 0, 1):
        sheet.disc(x, y, float(sheet.rng.uniform(0.005, 0.011)), (252, 254, 255))


def _draw_night(sheet: Sheet) -> None:
    sheet.fade(-0.22, 0.12)
    x = float(sheet.rng.uniform(0.2, 0.8))
    sheet.disc(x, 0.2, 0.1, sheet.tone(0.22))
    sheet.disc(x, 0.2, 0.075, rgb("#f7efc4"))
    sheet.disc(x + 0.028, 0.185, 0.062, sheet.tone(0.22))
    for sx, sy in sheet.scatter(34, 0, 0.55):
        sheet.disc(sx, sy, float(sheet.rng.uniform(0.004, 0.01)), rgb("#f4f0d0"))
    sheet.hills(0.6, 0.03, sheet.tone(-0.12))
    sheet.hills(0.72, 0.02, sheet.tone(0.06))


def _draw_living_room(sheet: Sheet) -> None:
    sheet.fade(0.16, 0.0)
    s = sheet.side
    for i in range(9):
        sheet.pen.rectangle([(i / 9) * s, 0, (i / 9 + 0.05) * s, 0.66 * s], sheet.tone(0.1))
    x = float(sheet.rng.uniform(0.12, 0.66))
    sheet.box(x, 0.1, x + 0.22, 0.34, rgb("#fff7f0"))
    sheet.box(x + 0.02, 0.12, x + 0.2, 0.32, sheet.tone(-0.16))
    sheet.disc(x + 0.11, 0.22, 0.05, sheet.tone(0.5))
    sheet.pen.rectangle([0, 0.64 * s, s, 0.665 * s], rgb("#fff3ee"))
    sheet.pen.rectangle([0, 0.665 * s, s, s], sheet.tone(-0.12))
    sheet.disc(0.5, 0.84, 0.46, sheet.tone(0.24), 0.24)
    sheet.disc(0.5, 0.84, 0.4, sheet.tone(-0.03), 0.24)


def _draw_evening(sheet: Sheet) -> None:
    sheet.fade(-0.14, 0.34)
    x = float(sheet.rng.uniform(0.2, 0.8))
    sheet.disc(x, 0.46, 0.13, mix(sheet.base, rgb("#ffc9d6"), 0.75))
    for cx, cy in sheet.scatter(5, 0.1, 0.38):
        sheet.disc(cx, cy, 0.12, mix(sheet.base, rgb("#ffb8dc"), 0.45), 0.16)
    sheet.hills(0.5, 0.045, sheet.tone(0.05))
    sheet.hills(0.6, 0.03, sheet.tone(-0.14))
    sheet.hills(0.74, 0.02, sheet.tone(-0.02))


def _draw_theatre(sheet: Sheet) -> None:
    s = sheet.side
    sheet.fade(-0.12, -0.04)
    for i in range(11):
        x = (i + float(sheet.rng.uniform(-0.1, 0.1))) / 11
        sheet.pen.rectangle([x * s, 0, (x + 0.045) * s, 0.72 * s], sheet.tone(0.1 if i % 2 else -0.22))
    for i in range(6):
        sheet.disc((i + 0.5) / 6, 0.0, 0.1, sheet.tone(-0.3), 1.15)
        sheet.disc((i + 0.5) / 6, -0.012, 0.09, sheet.tone(0.06), 1.15)
    sheet.pen.rectangle([0, 0.7 * s, s, s], sheet.tone(-0.2))
    sheet.disc(float(sheet.rng.uniform(0.4, 0.6)), 0.86, 0.46, sheet.tone(0.12), 0.26)


def _draw_sunflowers(sheet: Sheet) -> None:
    sheet.fade(0.45, 0.12)
    sheet.hills(0.42, 0.03, sheet.tone(-0.05))
    for x, y in sorted(sheet.scatter(30, 0.44, 0.66), key=lambda at: at[1]):
        r = 0.012 + 0.07 * (y - 0.4)
        sheet.disc(x, y, r * 1.5, sheet.tone(0.25))
        sheet.disc(x, y, r * 0.7, rgb("#a8741f"))
    sheet.hills(0.7, 0.015, sheet.tone(0.06))
    for x, y in sheet.scatter(18, 0.74, 1):
        sheet.disc(x, y, 0.03, sheet.tone(-0.1), 0.2)


PLACES: dict[str, Callable[[Sheet], None]] = {
    "living room": _draw_living_room,
    "evening": _draw_evening,
    "theatre": _draw_theatre,
    "sunflowers": _draw_sunflowers,
    "meadow": _draw_meadow,
    "beach": _draw_beach,
    "snow": _draw_snow,
    "night": _draw_night,
}


@lru_cache(maxsize=256)
def draw_backdrop(name: str, variant: int, side: int) -> Image.Image:
    """A place in one of its layouts: RGB, `side`·MARGIN pixels square. Cached: copy it before painting on it."""
    sheet = Sheet(2 * round(side * MARGIN), rgb(BACKDROPS[name].colour), variant)
    PLACES[name](sheet)
    soft = sheet.image.filter(ImageFilter.GaussianBlur(sheet.side / 300))
    return soft.reduce(2)
