"""Thumbnails are small, stay within the size limit, and say so if they are missing."""

import base64
import io
import re

import numpy as np
import pytest
import report_example as example
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import panel
from xaiaug.records import Explanation
from xaiaug.report.cases import MOST_CASES, MOST_KEPT, MOST_REJECTED, select_cases
from xaiaug.report.page import render
from xaiaug.report.schema_cases import CritiqueRow
from xaiaug.report.thumbnails import Thumbnails, overlay, read_heatmap, run_scale


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/webp;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


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
    picture = Thumbnails(lambda name: out.getvalue())("a", 160)
    assert decoded(picture.uri).size == kept
    assert (picture.width, picture.height) == shown


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_a_picture(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert Thumbnails(lambda name: out.getvalue())("a", 160).uri


@settings(max_examples=60)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_a_damaged_picture_is_a_missing_one_and_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.png("image-1", 24)
    picture = Thumbnails(lambda name: whole[:cut] + junk + whole[cut + 4 :])("a", 160)
    assert bool(picture.uri) != bool(picture.missing)


@settings(max_examples=60)
@given(st.integers(0, 2000), st.binary(max_size=8))
def test_a_heatmap_that_is_cut_short_or_holds_odd_values_is_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.heatmap("heatmap-1", 24)
    # The first 128 bytes are the header; a store whose blobs are named by their digest lets no such damage through.
    damaged = whole[:cut] if cut < 128 else whole[:cut] + junk + whole[cut + len(junk) :]
    picture = Thumbnails({"image": example.png("image-1", 24), "map": damaged}.__getitem__).overlay("image", "map", 160)
    assert bool(picture.missing) == (cut < 128)


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("gone")])
def test_a_blob_that_is_gone_is_a_missing_picture(error: Exception) -> None:
    def blob(name: str) -> bytes:
        raise error

    assert Thumbnails(blob)("a", 160).missing == "cannot be read"


def test_the_size_limit_ends_the_pictures_and_counts_what_is_left_out() -> None:
    pictures = Thumbnails(example.png, limit=2_000)
    made = [pictures(f"image-{number}", 160) for number in range(50)]
    held = sum(len(picture.uri) for picture in made)
    assert 2_000 <= held < 2_000 + max(len(picture.uri) for picture in made)
    assert pictures.left_out == sum(not picture.uri for picture in made) > 0


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
def test_the_page_shows_the_pixels_that_the_critic_saw(scale: str) -> None:
    pixels = np.random.default_rng(7).integers(0, 250, (IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    image, maps = Image.fromarray(pixels), {"strong": heat(1), "weak": heat(2, 0.3)}
    out = io.BytesIO()
    image.save(out, "PNG")
    blobs = {"image": out.getvalue(), **{name: encoded(values) for name, values in maps.items()}}
    cases = tuple(example.case(n, image="image", panel=None, heatmap=name, images=()) for n, name in enumerate(maps))
    text = render(example.report(2, cases=cases, settings={"panel": {"scale": scale}}), blobs.__getitem__)
    shown = [uri for uri in re.findall('src="(data:[^"]+)"', text) if uri != data_uri(image)]
    explanations = [Explanation(values, "rollout", 0, True) for values in maps.values()]
    shared = panel.shared_scale(explanations) if scale == "run" else None
    assert shown == [data_uri(critic_panel(image, one, shared)) for one in explanations]


def data_uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def test_a_shared_scale_leaves_out_maps_that_cannot_be_read_and_is_asked_for() -> None:
    blobs = {"a": encoded(np.linspace(0, 1, 1000).reshape(10, 100)), "torn": b"torn"}
    assert run_scale({"panel": {"scale": "run"}}, ["torn", "a", "gone"], blobs.__getitem__) == pytest.approx((0, 0.995))
    for other in ({}, {"panel": {"scale": "image"}}, {"panel": None}):
        assert run_scale(other, ["a"], blobs.__getitem__) is None


def test_a_case_whose_grid_is_constant_is_drawn_without_signal() -> None:
    blobs = {"image": example.png("image-1"), "map": encoded(heat(0))}
    case = example.case(image="image", panel=None, heatmap="map", images=())
    cases = (case, case.model_copy(update={"degenerate": True}))
    hot, flat = select_cases(example.report(1, cases=cases), Thumbnails(blobs.__getitem__))
    assert flat.heatmap.uri == Thumbnails(blobs.__getitem__).overlay("image", None, IMAGE_SIDE).uri != hot.heatmap.uri


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_a_constant_map_is_still_drawn(values: np.ndarray) -> None:
    assert overlay(Image.new("RGB", (8, 6)), read_heatmap(encoded(values)), None).size == (8, 6)


def test_an_array_that_is_not_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match="h w"):
        read_heatmap(encoded(np.zeros(3)))


def test_each_pair_of_classes_comes_in_turn() -> None:
    report = example.report(7)
    cases = select_cases(report, Thumbnails(example.blob))
    assert [case.row.label for case in cases] == ["dog", "cat", "dog", "cat", "dog", "cat", "cat"]
    assert [case.number for case in cases] == [1, 2, 3, 4, 5, 6, 7]
    assert {case.row.id for case in cases} == {row.id for row in report.cases}


def test_cases_and_images_are_capped_and_still_counted() -> None:
    rows = tuple(example.case(number, asked=0) for number in range(MOST_CASES + 20))
    cases = select_cases(example.report(1, cases=rows), Thumbnails(example.blob))
    assert len(cases) == MOST_CASES
    images = tuple(
        image.model_copy(update={"kept": turn % 2 == 0}) for turn, image in enumerate(example.case(1, 30).images)
    )
    (case,) = select_cases(example.report(1, cases=(example.case(1, images=images),)), Thumbnails(example.blob))
    assert (len(case.kept), len(case.rejected)) == (MOST_KEPT, MOST_REJECTED)
    assert (case.kept_count, case.rejected_count) == (15, 15)


def test_only_a_plain_colour_is_painted() -> None:
    critique = CritiqueRow(
        cause="", guidance={"subject_colour": "#12ab9f", "backdrop_colour": "url(http://x)", "size": 0.5}
    )
    (case,) = select_cases(example.report(1, cases=(example.case(critique=critique),)), Thumbnails(example.blob))
    assert [(entry.name, entry.value, entry.colour) for entry in case.guidance] == [
        ("subject colour", "#12ab9f", "#12ab9f"),
        ("backdrop colour", "url(http://x)", ""),
        ("size", "0.50", ""),
    ]
