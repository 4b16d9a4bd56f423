"""A part of a real image is found again in what was cut out of it, wherever that was, and nowhere else."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from test_curation import compressed, scene

from xaiaug.curation.similarity import SHARES, Crop, align_crop, colours_of, find_crops
from xaiaug.data import Fingerprint

SCENES = [scene(seed) for seed in range(40)]
MIDDLES = np.array([Fingerprint.of(image).middle for image in SCENES], dtype=np.uint64)


def cut_out(image: Image.Image, share: float, right: float, down: float) -> Image.Image:
    side = round(image.width * share)
    left, top = round((image.width - side) * right), round((image.height - side) * down)
    return image.crop((left, top, left + side, top + side))


def test_nearly_all_that_keeps_four_fifths_of_an_image_is_found() -> None:
    rng, found = np.random.default_rng(0), []
    for number in range(80):
        own = number % len(SCENES)
        part = cut_out(SCENES[own], rng.uniform(SHARES[-1], SHARES[0]), rng.random(), rng.random())
        colours = colours_of(compressed(part, 80))
        same = [
            index for index, crop in find_crops(colours, MIDDLES) if align_crop(SCENES[index], crop, colours) > 0.98
        ]
        assert set(same) <= {own}
        found.append(bool(same))
    assert np.mean(found) > 0.93


@pytest.mark.parametrize("number", range(5))
def test_no_scene_is_a_part_of_another_one(number: int) -> None:
    colours = colours_of(scene(100 + number))
    found = [align_crop(SCENES[index], crop, colours) for index, crop in find_crops(colours, MIDDLES)]
    assert max(found, default=0) < 0.98


def test_a_crop_is_measured_in_sides_of_the_image_and_stays_inside() -> None:
    wide = ImageOps.expand(scene(3, 64), border=(32, 0, 0, 0))
    assert Crop(1 / 3, 0, 1).colours(wide) is None
    assert np.array_equal(Crop(0, 0, 1).colours(wide), colours_of(wide))
    half = Crop(0, 0, 0.5).colours(wide)
    assert np.array_equal(half, colours_of(wide, (0, 0, 48, 32)))


def test_without_images_there_is_nothing_to_be_cut_out_of() -> None:
    assert list(find_crops(colours_of(SCENES[0]), MIDDLES[:0])) == []
