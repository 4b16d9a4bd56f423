"""Thumbnails are small, stay within the size limit, and say so if they are missing."""

import base64
import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import report_example as example
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import panel
from xaiaug.records import Explanation
from xaiaug.report.thumbnails import LEFT_OUT, Pictures, Rank, Thumbnail, overlay, read_heatmap, run_scale


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def drawn(blob: Callable[[str], bytes], side: int = 160) -> Thumbnail:
    pictures = Pictures(blob)
    pictures.add("a", side, Rank.MISTAKE)
    return pictures.draw(10**9)[0]


def encoded(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "kept", "shown"), [((400, 200), (160, 80), (160, 80)), ((32, 64), (32, 64), (80, 160))]
)
def test_a_large_picture_is_shrunk_and_a_small_one_shown_larger(
    size: tuple[int, int], kept: tuple[int, int], shown: tuple[int, int]
) -> None:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "PNG")
    picture = drawn(lambda name: out.getvalue())
    assert decoded(picture.uri).size == kept
    assert (picture.width, picture.height) == shown


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_a_picture(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert drawn(lambda name: out.getvalue()).uri


@settings(max_examples=60)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_a_damaged_picture_is_a_missing_one_and_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.png("image-1", 24)
    picture = drawn(lambda name: whole[:cut] + junk + whole[cut + 4 :])
    assert bool(picture.uri) != bool(picture.missing)


@settings(max_examples=60)
@given(st.integers(0, 2000), st.binary(max_size=8))
def test_a_heatmap_that_is_cut_short_or_holds_odd_values_is_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.heatmap("heatmap-1", 24)
    # The first 128 bytes are the header; a store whose blobs are named by their digest lets no such damage through.
    damaged = whole[:cut] if cut < 128 else whole[:cut] + junk + whole[cut + len(junk) :]
    pictures = Pictures({"map": damaged}.__getitem__)
    pictures.add_heat("map", 160)
    (picture,) = pictures.draw(10**9)
    assert bool(picture.missing) != bool(picture.uri)
    assert picture.missing or cut >= 128


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("gone")])
def test_a_blob_that_is_gone_is_a_missing_picture(error: Exception) -> None:
    def blob(name: str) -> bytes:
        raise error

    assert drawn(blob).missing == "cannot be read"


def test_the_size_limit_leaves_out_what_matters_least_and_is_kept_to_within_one_picture() -> None:
    pictures = Pictures(example.png)
    panels = [pictures.add(f"panel-{number}", 160, Rank.PANEL) for number in range(100)]
    mistakes = [pictures.add(f"image-{number}", 160, Rank.MISTAKE) for number in range(100)]
    made = pictures.draw(40_000)
    held = sum(len(picture.uri) for picture in made)
    assert 40_000 <= held < 40_000 + max(len(picture.uri) for picture in made)
    assert all(made[number].uri for number in mistakes[:10])
    assert [made[number] for number in panels] == [LEFT_OUT] * 100


def test_a_picture_that_is_ordered_twice_is_drawn_once_as_large_and_as_surely_as_either_order() -> None:
    pictures = Pictures(example.png)
    numbers = [pictures.add("image-1", 40, Rank.PANEL), pictures.add("image-1", 90, Rank.MISTAKE)]
    assert numbers == [0, 0]
    (picture,) = pictures.draw(1)
    assert max(picture.width, picture.height) == 90


def test_threads_change_no_picture_and_leave_the_filters_of_warnings_as_they_were() -> None:
    before = list(warnings.filters)
    first, second = (
        [pictures.add(f"image-{number}", 96, Rank.MISTAKE) for number in range(200)] and pictures.draw(10**9)
        for pictures in (Pictures(example.png), Pictures(example.png))
    )
    assert first == second
    assert warnings.filters == before


IMAGE_SIDE = 160


def heat(seed: int, strength: float = 1.0) -> np.ndarray:
    """A map with a hot spot, values below zero, an outlier, and a corner that the model did not see."""
    values = np.random.default_rng(seed).normal(0.1, 0.05, (IMAGE_SIDE, IMAGE_SIDE))
    values[30:70, 80:130] += strength
    values[100, 20] = 40 * strength
    values[120:, 120:] = np.nan
    return values.astype(np.float32)


def critic_panel(image: Image.Image, explanation: Explanation, scale: panel.Scale | None) -> Image.Image:
    """What a panel shows of a map over its image, without the margins and the text around it."""
    drawn = panel.draw(image, explanation, label="cat", predicted="dog", layout="overlay", side=168, scale=scale)
    blank = panel.draw(image, None, label="cat", predicted="dog", layout="overlay", side=168)
    rows = np.nonzero((np.asarray(blank) != 255).all(axis=2).sum(axis=1) > 150)[0]
    return drawn.crop((4, rows[0], 4 + image.width, rows[0] + image.height))


@pytest.mark.parametrize("scale", ["image", "run"])
def test_the_heat_over_the_grey_image_gives_the_pixels_that_the_critic_saw(scale: str) -> None:
    pixels = np.random.default_rng(7).integers(0, 250, (IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    image, maps = Image.fromarray(pixels), [heat(1), heat(2, 0.3)]
    explanations = [Explanation(values, "rollout", 0, True) for values in maps]
    shared = panel.shared_scale(explanations) if scale == "run" else None
    for explanation in explanations:
        layer = panel.draw_heat_layer(explanation, IMAGE_SIDE, shared)
        over = Image.alpha_composite(image.convert("L").convert("RGBA"), layer).convert("RGB")
        seen = np.asarray(critic_panel(image, explanation, shared), dtype=int)
        assert np.abs(np.asarray(over, dtype=int) - seen).max() <= 2  # of 255: alpha has 8 bits


def test_a_layer_is_no_larger_than_asked_for_nor_than_its_map_and_a_constant_map_has_none() -> None:
    wide = Explanation(np.linspace(0, 1, 60 * 120).reshape(60, 120).astype(np.float32), "rollout", 0, True)
    assert panel.draw_heat_layer(wide, 40).size == (40, 20)
    assert panel.draw_heat_layer(wide, 400).size == (120, 60)
    assert panel.draw_heat_layer(Explanation(np.ones((4, 4), np.float32), "rollout", 0, True), 40) is None


def test_a_shared_scale_leaves_out_maps_that_cannot_be_read_and_is_asked_for() -> None:
    blobs = {"a": encoded(np.linspace(0, 1, 1000).reshape(10, 100)), "torn": b"torn"}
    assert run_scale({"panel": {"scale": "run"}}, ["torn", "a", "gone"], blobs.__getitem__) == pytest.approx((0, 0.995))
    for other in ({}, {"panel": {"scale": "image"}}, {"panel": None}):
        assert run_scale(other, ["a"], blobs.__getitem__) is None


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_a_constant_map_is_still_drawn(values: np.ndarray) -> None:
    assert overlay(Image.new("RGB", (8, 6)), read_heatmap(encoded(values)), None).size == (8, 6)


def test_an_array_that_is_not_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match="h w"):
        read_heatmap(encoded(np.zeros(3)))
