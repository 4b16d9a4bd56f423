"""Every scene can be drawn, always alike, and shows what it says."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from xaiaug.errors import RecordError
from xaiaug.petworld import BACKDROPS, COATS, Scene, draw
from xaiaug.petworld.anatomy import ANIMALS, OTHERS
from xaiaug.petworld.bodies import POSES
from xaiaug.petworld.colours import nearest_tone
from xaiaug.petworld.drawing import PARTS, draw_parts
from xaiaug.petworld.palette import rgb
from xaiaug.petworld.scene import LIGHTS, STYLES
from xaiaug.petworld.tag import COLOUR, CORNERS, tag_mask


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


@pytest.mark.parametrize("animal", ANIMALS)
def test_every_animal_is_drawn_in_every_coat_backdrop_and_pose(animal: str) -> None:
    seen = set()
    for number, (coat, backdrop) in enumerate(itertools.product(COATS, BACKDROPS)):
        scene = Scene(animal, coat, backdrop, pose=POSES[number % 4], light=LIGHTS[number % 3], detail=number)
        image = draw(scene)
        assert image.mode == "RGB" and image.size == (64, 64)
        seen.add(image.tobytes())
    assert len(seen) == len(COATS) * len(BACKDROPS)


@pytest.mark.parametrize("animal", ["cat", "dog"])
def test_subject_and_backdrop_can_be_told_apart_in_every_combination(animal: str) -> None:
    for coat, backdrop in itertools.product(COATS, BACKDROPS):
        scene = Scene(animal, coat, backdrop, detail=5)
        pixels, shown = array(draw(scene)), draw_parts(scene) > 0
        outside = ~shown
        apart = np.linalg.norm(np.median(pixels[shown], axis=0) - np.median(pixels[outside], axis=0))
        assert apart > 25, f"{coat} on {backdrop}: {apart:.0f} levels apart"


@pytest.mark.parametrize("size", [32, 64, 150])
def test_the_same_scene_gives_the_same_pixels(size: int) -> None:
    scene = Scene("dog", "slate", "night", pose="sitting", blur=8, detail=77)
    first, between = draw(scene, size), draw(Scene("cat", "white", "snow"), size)
    again = draw(scene, size)
    assert first.tobytes() == again.tobytes() != between.tobytes()
    assert first.size == (size, size)


def test_a_drawing_shows_its_coat_and_its_backdrop() -> None:
    for coat, backdrop in itertools.product(COATS, BACKDROPS):
        scene = Scene("dog", coat, backdrop, size=0.8, detail=3)
        pixels, shown = array(draw(scene)), draw_parts(scene)
        body, ground = (
            np.median(pixels[shown == 1 + PARTS.index("body")], axis=0),
            np.median(pixels[shown == 0], axis=0),
        )
        assert nearest_tone(tuple(body), COATS) == coat
        assert nearest_tone(tuple(ground), BACKDROPS) == backdrop


def test_light_blur_size_place_and_facing_do_what_they_say() -> None:
    def shown(**wishes: object) -> tuple[np.ndarray, np.ndarray]:
        scene = Scene("cat", "slate", "meadow", **{"detail": 4, **wishes})
        return array(draw(scene)), draw_parts(scene) > 0

    def middle(mask: np.ndarray) -> tuple[float, float]:
        rows, columns = np.nonzero(mask)
        return float(columns.mean()), float(rows.mean())

    assert shown(light="dim")[0].mean() < shown()[0].mean() < shown(light="bright")[0].mean()
    assert np.abs(np.diff(shown(blur=24)[0], axis=1)).mean() < 0.8 * np.abs(np.diff(shown()[0], axis=1)).mean()
    assert shown(size=0.36)[1].sum() < 0.5 * shown(size=0.7)[1].sum()
    assert middle(shown(size=0.4, place=(0.2, 0.5))[1])[0] < 30 < middle(shown(size=0.4, place=(0.8, 0.5))[1])[0]
    assert middle(shown(size=0.4, place=(0.5, 0.2))[1])[1] < middle(shown(size=0.4, place=(0.5, 0.8))[1])[1]
    left, right = shown(facing="left")[1], shown(facing="right")[1]
    assert (left != right).any()


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.5)])
def test_the_animal_never_leaves_the_image(place: tuple[float, float]) -> None:
    whole = (draw_parts(Scene("rabbit", "white", "night", size=0.5, detail=9)) > 0).sum()
    moved = (draw_parts(Scene("rabbit", "white", "night", size=0.5, place=place, detail=9)) > 0).sum()
    assert moved == pytest.approx(whole, rel=0.05)


def test_the_two_hands_draw_the_same_scene_differently() -> None:
    book, crayon = (array(draw(Scene("dog", "ginger", "beach", style=style, detail=2))) for style in STYLES)
    assert 4 < np.abs(book - crayon).mean() < 40


def test_cats_and_dogs_differ_in_ears_muzzle_and_tail_and_the_others_are_neither() -> None:
    cat, dog = ANIMALS["cat"], ANIMALS["dog"]
    assert cat.ears != dog.ears and cat.muzzle != dog.muzzle and cat.tail != dog.tail
    assert len(OTHERS) == 6 and not {"cat", "dog"} & set(OTHERS)


@pytest.mark.parametrize(
    "wrong",
    [{"animal": "fox"}, {"coat": "plaid"}, {"backdrop": "moon"}, {"light": "dark"}, {"pose": "flying"}, {"size": 2.0}],
)
def test_a_scene_refuses_what_cannot_be_drawn(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match=f"Scene: {next(iter(wrong))} must"):
        Scene(**{"animal": "cat", "coat": "white", "backdrop": "snow", **wrong})


@pytest.mark.parametrize("corner", CORNERS)
def test_a_tag_covers_its_corner_and_nothing_else(corner: str) -> None:
    scene = Scene("cat", "slate", "night", detail=3)
    plain, tagged = (array(draw(one, 100)) for one in (scene, replace(scene, tag=corner)))
    inside = np.asarray(tag_mask(corner, (100, 100))) > 0
    assert np.abs(tagged[inside] - rgb(COLOUR)).mean() < 12
    far = np.asarray(tag_mask(corner, (100, 100)).filter(ImageFilter.MaxFilter(9))) == 0
    assert np.array_equal(tagged[far], plain[far])
