"""The segmentation of a subject: what it promises for any image, and how good it is where the truth is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from blobs import blob, outline
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from xaiaug.imaging.image_stats import typical_colour
from xaiaug.plugins._superpixels import subject_mask

PETS = Path(__file__).resolve().parents[3] / "shared" / "data" / "pets-with-masks"


def overlap(mask: NDArray[np.float32], truth: NDArray[np.bool_], known: NDArray[np.bool_] | None = None) -> float:
    """Intersection over union."""
    found = mask > 0.5
    known = np.ones_like(found) if known is None else known
    return float((found & truth & known).sum() / ((found | truth) & known).sum())


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), seed=st.integers(0, 99), plain=st.booleans())
def test_any_image_has_a_mask_of_its_size_from_0_to_1(width: int, height: int, seed: int, plain: bool) -> None:
    generator = np.random.default_rng(seed)
    shape = (1, 1, 3) if plain else (height, width, 3)
    pixels = np.broadcast_to(generator.integers(0, 256, shape, dtype=np.uint8), (height, width, 3))
    mask = subject_mask(Image.fromarray(np.ascontiguousarray(pixels)))
    assert mask.shape == (height, width)
    assert mask.dtype == np.float32
    assert np.isfinite(mask).all()
    assert mask.min() >= 0
    assert mask.max() <= 1


@pytest.mark.parametrize("place", [(0.5, 0.55), (0.3, 0.6), (0.7, 0.5)])
@pytest.mark.parametrize("colours", [("#c8803c", "#5a9a50"), ("#303038", "#c8c0b0"), ("#e8e8e8", "#8c4a6c")])
def test_an_animal_on_a_plain_backdrop_is_found(place: tuple[float, float], colours: tuple[str, str]) -> None:
    image = blob(3, coat=colours[0], backdrop=colours[1], place=place)
    assert overlap(subject_mask(image), outline(place=place)) > 0.7


def test_edges_are_soft() -> None:
    mask = subject_mask(blob(1).resize((192, 192), Image.Resampling.BICUBIC))
    assert np.abs(np.diff(mask, axis=1)).max() < 0.5


def test_a_heatmap_is_weak_evidence() -> None:
    image, corner = blob(2), np.zeros((64, 64), np.float32)
    corner[:12, :12] = 1
    assert overlap(subject_mask(image, corner), outline()) > 0.7


def test_a_heatmap_counts_where_the_image_leaves_it_open() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    heatmap = np.zeros((64, 64), np.float32)
    heatmap[:, 34:] = 1
    without, with_map = subject_mask(noise), subject_mask(noise, heatmap)
    assert (with_map - without)[:, 40:].mean() > (with_map - without)[:, :24].mean() + 0.02


@pytest.mark.parametrize("heatmap", [np.full((64, 64), np.nan), np.zeros((64, 64)), np.full((64, 64), 1e30)])
def test_a_heatmap_that_says_nothing_changes_nothing(heatmap: NDArray[np.float64]) -> None:
    image = blob(4)
    assert np.array_equal(subject_mask(image, heatmap.astype(np.float32)), subject_mask(image))


def test_parts_the_model_did_not_see_do_not_count() -> None:
    image, heatmap = blob(5), outline().astype(np.float32)
    heatmap[:, :8] = np.nan
    assert overlap(subject_mask(image, heatmap), outline()) > 0.7


def test_the_typical_colour_is_that_of_the_subject() -> None:
    image = blob(6, coat="#c03030", backdrop="#3060c0")
    mask, pixels = subject_mask(image), np.asarray(image)
    assert np.abs(typical_colour(pixels, mask) - (0xC0, 0x30, 0x30)).max() < 25
    assert np.abs(typical_colour(pixels, 1 - mask) - (0x30, 0x60, 0xC0)).max() < 25


def test_on_photographs_it_beats_an_ellipse_in_the_middle() -> None:
    if not PETS.is_dir():
        pytest.skip("shared/data/pets-with-masks is not present")
    with (PETS / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[1::10]
    found, ellipse = [], []
    for row in rows:
        marks = np.asarray(Image.open(PETS / row["mask"]))
        truth, known = marks == 1, marks != 2
        y, x = (2 * (axis + 0.5) / side - 1 for axis, side in zip(np.indices(truth.shape), truth.shape, strict=True))
        found.append(overlap(subject_mask(Image.open(PETS / row["file"])), truth, known))
        # The best of all ellipses in the middle takes 0.7 of each side.
        ellipse.append(overlap((np.hypot(y, x) < 0.7).astype(np.float32), truth, known))
    assert np.mean(found) > np.mean(ellipse) + 0.1
