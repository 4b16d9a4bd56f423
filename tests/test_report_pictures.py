"""Pictures on the page are small, fit their budget, and say it when they are missing."""

import base64
import io

import numpy as np
import pytest
import report_example as example
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug.report.cases import MOST_CASES, MOST_KEPT, MOST_REJECTED, shown_cases
from xaiaug.report.heatmaps import overlay
from xaiaug.report.schema_cases import CritiqueRow
from xaiaug.report.thumbnails import Pictures


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
    picture = Pictures(lambda name: out.getvalue())("a", 160)
    assert decoded(picture.uri).size == kept
    assert (picture.width, picture.height) == shown


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_a_picture(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, "TIFF")
    assert Pictures(lambda name: out.getvalue())("a", 160).uri


@settings(max_examples=60)
@given(st.integers(0, 400), st.binary(max_size=8))
def test_a_damaged_picture_is_a_missing_one_and_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.png("image-1", 24)
    picture = Pictures(lambda name: whole[:cut] + junk + whole[cut + 4 :])("a", 160)
    assert bool(picture.uri) != bool(picture.missing)


@settings(max_examples=60)
@given(st.integers(0, 2000), st.binary(max_size=8))
def test_a_heatmap_that_is_cut_short_or_holds_odd_values_is_never_an_error(cut: int, junk: bytes) -> None:
    whole = example.heatmap("heatmap-1", 24)
    # The first 128 bytes are the header; a store whose blobs are named by their digest lets no such damage through.
    damaged = whole[:cut] if cut < 128 else whole[:cut] + junk + whole[cut + len(junk) :]
    picture = Pictures({"image": example.png("image-1", 24), "map": damaged}.__getitem__).overlay("image", "map", 160)
    assert bool(picture.missing) == (cut < 128)


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("gone")])
def test_a_blob_that_is_gone_is_a_missing_picture(error: Exception) -> None:
    def blob(name: str) -> bytes:
        raise error

    assert Pictures(blob)("a", 160).missing == "picture cannot be read"


def test_the_budget_ends_the_pictures_and_counts_what_is_left_out() -> None:
    pictures = Pictures(example.png, budget=2_000)
    made = [pictures(f"image-{number}", 160) for number in range(50)]
    held = sum(len(picture.uri) for picture in made)
    assert 2_000 <= held < 2_000 + max(len(picture.uri) for picture in made)
    assert pictures.left_out == sum(not picture.uri for picture in made) > 0


def test_an_overlay_is_bright_where_the_heat_is_and_grey_where_the_model_saw_nothing() -> None:
    values = np.zeros((40, 40), np.float32)
    values[10:20, 10:20] = 1
    values[30:] = np.nan
    pixels = np.asarray(overlay(Image.new("RGB", (40, 40), "grey"), encoded(values)), dtype=int)
    assert pixels[15, 15].sum() > pixels[5, 30].sum() + 200
    assert len(set(pixels[36, 20])) == 1


def test_in_a_map_of_both_signs_what_speaks_against_the_class_is_as_cold_as_nothing() -> None:
    values = np.zeros((40, 40), np.float32)
    values[5:15, 5:15], values[25:35, 25:35] = 1, -4
    pixels = np.asarray(overlay(Image.new("RGB", (40, 40), "grey"), encoded(values)), dtype=int)
    assert pixels[10, 10].sum() > pixels[20, 20].sum() + 200
    assert pixels[30, 30].tolist() == pixels[20, 20].tolist()


@pytest.mark.parametrize("values", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_a_map_that_says_nothing_is_still_drawn(values: np.ndarray) -> None:
    assert overlay(Image.new("RGB", (8, 6)), encoded(values)).size == (8, 6)


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match="h w"):
        overlay(Image.new("RGB", (8, 6)), encoded(np.zeros(3)))


def test_each_pair_of_classes_comes_in_turn() -> None:
    report = example.report(7)
    cases = shown_cases(report, Pictures(example.blob))
    assert [case.row.label for case in cases] == ["dog", "cat", "dog", "cat", "dog", "cat", "cat"]
    assert [case.number for case in cases] == [1, 2, 3, 4, 5, 6, 7]
    assert {case.row.id for case in cases} == {row.id for row in report.cases}


def test_cases_and_images_are_capped_and_still_counted() -> None:
    rows = tuple(example.case(number, asked=0) for number in range(MOST_CASES + 20))
    cases = shown_cases(example.report(1, cases=rows), Pictures(example.blob))
    assert len(cases) == MOST_CASES
    images = tuple(
        image.model_copy(update={"kept": turn % 2 == 0}) for turn, image in enumerate(example.case(1, 30).images)
    )
    (case,) = shown_cases(example.report(1, cases=(example.case(1, images=images),)), Pictures(example.blob))
    assert (len(case.kept), len(case.rejected)) == (MOST_KEPT, MOST_REJECTED)
    assert (case.kept_count, case.rejected_count) == (15, 15)


def test_only_a_plain_colour_is_painted() -> None:
    critique = CritiqueRow(
        cause="", guidance={"subject_colour": "#12ab9f", "backdrop_colour": "url(http://x)", "size": 0.5}
    )
    (case,) = shown_cases(example.report(1, cases=(example.case(critique=critique),)), Pictures(example.blob))
    assert [(wish.name, wish.value, wish.colour) for wish in case.wishes] == [
        ("subject colour", "#12ab9f", "#12ab9f"),
        ("backdrop colour", "url(http://x)", ""),
        ("size", "0.50", ""),
    ]
