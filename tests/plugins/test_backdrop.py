"""Backdrops: what stands where the subject stood, and which one is taken."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blob, outline
from numpy.typing import NDArray
from PIL import Image

from xaiaug.imaging.image_stats import css_to_lab, rgb_to_lab
from xaiaug.plugins.synthesizers._backdrop import Backdrop, choose_backdrop, find_backdrops, remove_subject
from xaiaug.plugins.synthesizers._mask_folder import BadMaskError
from xaiaug.records import Sample

INSIDE = outline()


def filled(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Lightness of a grey picture, 64 square, with the subject's place filled in."""
    picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    return remove_subject(picture, picture.size, INSIDE.astype(np.float32))[..., 0]


@pytest.mark.parametrize("grain", [0, 6, 20])
def test_the_filled_place_is_as_grainy_as_what_is_around_it(grain: float) -> None:
    light = filled(128 + np.random.default_rng(0).normal(0, grain, (64, 64)))
    inside, around = light[INSIDE].std(), light[~INSIDE].std()
    assert inside <= 1.2 * around + 0.3
    assert inside >= 0.5 * around


def test_grain_stays_where_it_is() -> None:
    noise = np.random.default_rng(1).normal(0, 15, (64, 64))
    noise[:, :32] = 0
    light = filled(128 + noise)
    smooth, rough = INSIDE.copy(), INSIDE.copy()
    smooth[:, 26:], rough[:, :38] = False, False
    assert light[smooth].std() < 0.5 * light[rough].std()


def test_edges_of_things_are_no_grain() -> None:
    stripes = np.full((64, 64), 150.0)
    stripes[:, 4:60:11] = 20
    light = filled(stripes + np.random.default_rng(2).normal(0, 2, (64, 64)))
    jumps = np.abs(np.diff(light, axis=1))
    assert np.quantile(jumps[INSIDE[:, 1:]], 0.99) < 0.25 * np.quantile(jumps[~INSIDE[:, 1:]], 0.99)


def test_colours_flow_in_from_the_nearest_rim() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 40, 40), (40, 40, 200)
    empty = remove_subject(Image.fromarray(picture), (64, 64), INSIDE.astype(np.float32))
    left, right = (rgb_to_lab(np.array(colour)) for colour in ((200, 40, 40), (40, 40, 200)))
    assert np.linalg.norm(empty[34, 20] - left) < np.linalg.norm(empty[34, 20] - right)
    assert np.linalg.norm(empty[34, 44] - right) < np.linalg.norm(empty[34, 44] - left)


def test_a_mask_says_what_is_painted_over() -> None:
    corner = np.zeros((64, 64), np.float32)
    corner[:16, :16] = 1
    photo = blob(4)
    empty = remove_subject(photo, photo.size, corner)
    assert np.array_equal(empty[outline(0.1)], rgb_to_lab(np.asarray(photo))[outline(0.1)])


def test_a_mask_is_cropped_with_its_photo() -> None:
    photo = blob(4, coat="#f0f0f0", backdrop="#205020").resize((128, 64))
    mask = np.asarray(Image.fromarray(INSIDE).resize((128, 64))).astype(np.float32)
    assert remove_subject(photo, (40, 40), mask)[..., 0].max() < 60


def test_nothing_but_subject_leaves_one_colour() -> None:
    empty = remove_subject(blob(4), (64, 64), np.ones((64, 64), np.float32))
    assert np.ptp(empty.reshape(-1, 3), axis=0).max() == 0


def test_images_with_little_but_subject_or_with_a_bad_mask_are_no_backdrops() -> None:
    masks = {"large": np.ones((64, 64), np.float32), "small": INSIDE.astype(np.float32)}

    def known(sample: Sample, size: tuple[int, int]) -> NDArray[np.float32]:
        if sample.id == "bad":
            raise BadMaskError(sample.id)
        assert size == (64, 64)
        return masks[sample.id]

    samples = [Sample(id=name, label=0, opener=lambda: blob(1)) for name in ("bad", "large", "small")]
    assert [plate.sample.id for plate in find_backdrops(samples, 9, 0, known)] == ["small"]
    assert [plate.sample.id for plate in find_backdrops(samples[:2], 9, 0, known)] == ["large"], "better than none"
    assert find_backdrops(samples[:1], 9, 0, known) == []


def test_a_wished_colour_is_drawn_for_among_the_nearest() -> None:
    shades = [css_to_lab(f"#{level:02x}{level:02x}{level:02x}") for level in range(0, 250, 10)]
    candidates = [
        Backdrop(Sample(id=str(i), label=0, opener=lambda: blob(1)), shade, 0.2) for i, shade in enumerate(shades)
    ]
    rng = np.random.default_rng(0)
    near = {int(choose_backdrop(candidates, shades[0], rng).sample.id) for _ in range(60)}
    assert len(near) > 3
    assert max(near) < 8
    assert len({choose_backdrop(candidates, None, rng).sample.id for _ in range(200)}) > 20
