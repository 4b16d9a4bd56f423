"""Small datasets for tests: a few drawn images, as splits or as a folder, the same ones every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..data import Splits
from ..data.fingerprint import Fingerprint
from ..records import Sample

SIZES: Mapping[str, int] = {"train": 12, "guide": 16, "validation": 4, "test": 8}
_COLOURS = ((200, 60, 50), (50, 80, 200), (60, 170, 70), (210, 180, 40))


@dataclass(frozen=True)
class Ellipse:
    """Draws an ellipse, roughly in the colour of its class, on a patchy grey backdrop; a picklable opener.

    Attributes:
        label: index of the class.
        seed: determines the rest.
        width: of the image in pixels.
        height: of the image in pixels.
        spread: standard deviation of the colour around that of the class, in grey levels; large ones cause mistakes.
    """

    label: int
    seed: int
    width: int = 32
    height: int = 32
    spread: float = 110.0

    def __call__(self) -> Image.Image:
        """The image: h w c, RGB."""
        rng = np.random.default_rng([self.label, self.seed])
        # Soft patches: without them all images would count as near-duplicates.
        patches = Image.fromarray(rng.integers(70, 170, (6, 6), np.uint8))
        image = patches.resize((self.width, self.height), Image.Resampling.BICUBIC).convert("RGB")
        colour = np.clip(_COLOURS[self.label % len(_COLOURS)] + rng.normal(0, self.spread, 3), 0, 255).astype(int)
        across, down = self.width * rng.uniform(0.4, 0.6), self.height * rng.uniform(0.4, 0.6)
        left, top = (self.width - across) * rng.uniform(0.2, 0.8), (self.height - down) * rng.uniform(0.2, 0.8)
        box = (left, top, left + across, top + down)
        ImageDraw.Draw(image).ellipse(box, fill=tuple(int(value) for value in colour))
        return image


def small_splits(
    sizes: Mapping[str, int] = SIZES, labels: Sequence[str] = ("cat", "dog"), *, side: int = 32, seed: int = 0
) -> Splits:
    """Splits of drawn images in memory; they pass `check`.

    Args:
        sizes: images per class, by split.
        labels: names of the classes, sorted.
        side: of the images in pixels.
        seed: determines the images.
    """
    samples = {split: _make_samples(split, count, len(labels), side, seed) for split, count in sizes.items()}
    return Splits(labels=tuple(labels), **samples)  # type: ignore[arg-type]


def small_folder(
    root: str | Path,
    sizes: Mapping[str, int] = SIZES,
    labels: Sequence[str] = ("cat", "dog"),
    *,
    side: int = 32,
    seed: int = 0,
) -> Path:
    """Writes the images of `small_splits` to `root`/split/class/number.png; returns `root`."""
    splits = small_splits(sizes, labels, side=side, seed=seed)
    for split in sizes:
        for number, sample in enumerate(splits[split]):
            folder = Path(root, split, labels[sample.label])
            folder.mkdir(parents=True, exist_ok=True)
            sample.open().save(folder / f"{number}.png")
    return Path(root)


def _make_samples(split: str, count: int, classes: int, side: int, seed: int) -> list[Sample]:
    start = seed * 100_000 + 10_000 * list(SIZES).index(split) if split in SIZES else seed * 100_000 + 50_000
    openers = [Ellipse(label, start + number, side, side) for label in range(classes) for number in range(count)]
    return [Sample(id=Fingerprint.of(opener()).pixels, label=opener.label, opener=opener) for opener in openers]
