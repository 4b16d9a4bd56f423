"""A panel shows the image, the heat where it lies, and the labels, whatever the sizes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from xaiaug import panel
from xaiaug.errors import DataError
from xaiaug.panel.colormap import Heat, colour_table
from xaiaug.records import Explanation

Make = Callable[..., Image.Image]


def picture(width: int = 96, height: int = 96) -> Image.Image:
    values = np.random.default_rng(0).integers(60, 200, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def explain(heatmap: NDArray[np.floating]) -> Explanation:
    return Explanation(heatmap.astype(np.float32), "attention-rollout", 0, False)


def spot(width: int = 96, height: int = 96, box: tuple[int, int, int, int] = (60, 12, 84, 36)) -> Explanation:
    heat = np.linspace(0, 0.1, width * height).reshape(height, width)
    left, top, right, bottom = box
    heat[top:bottom, left:right] = 1
    return explain(heat)


def draw(image: Image.Image, explanation: Explanation | None, **options: object) -> Image.Image:
    return panel.draw(image, explanation, label="cat", predicted="dog", **options)


def hot(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture has the hottest colour."""
    distance = np.abs(pixels.astype(int) - colour_table()[-1].astype(int)).sum(axis=-1)
    return distance < 24


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(32, 200),
    height=st.integers(32, 200),
    layout=st.sampled_from(list(panel.LAYOUTS)),
    side=st.integers(128, 640),
)
def test_a_panel_is_rgb_as_wide_as_asked_and_not_much_higher(width: int, height: int, layout: str, side: int) -> None:
    drawn = draw(picture(width, height), spot(width, height, (2, 2, 12, 12)), layout=layout, side=side)
    assert (drawn.mode, drawn.width) == ("RGB", side)
    assert drawn.height <= 2 * side
    assert np.ptp(np.asarray(drawn)) > 100


def test_the_image_is_on_the_left_and_the_heat_on_the_right_at_its_place() -> None:
    pixels = np.asarray(draw(picture(), spot()))
    left, right = pixels[:, :256], pixels[:, 256:]
    body = right[28 : 28 + 244]
    rows, columns = np.nonzero(hot(body))
    assert not hot(left[28:270]).any()
    # The spot covers x 60..84 and y 12..36 of 96: the centre lies at 0.75 and 0.25.
    assert abs(columns.mean() / body.shape[1] - 0.75) < 0.04
    assert abs(rows.mean() / body.shape[0] - 0.25) < 0.04


def test_wide_images_stand_above_each_other() -> None:
    wide = draw(picture(192, 64), spot(192, 64, (0, 0, 20, 20)))
    assert wide.height > 2 * 512 / 3
    assert draw(picture(64, 64), spot(64, 64, (0, 0, 20, 20))).height < 400


def test_tall_images_stay_within_the_side() -> None:
    assert draw(picture(40, 400), spot(40, 400, (0, 0, 9, 9)), side=400).height < 400 + 80


@pytest.mark.parametrize(
    "heatmap",
    [np.zeros((96, 96)), np.full((96, 96), 3.5), np.full((96, 96), np.nan), np.full((96, 96), np.inf)],
    ids=["zero", "constant", "unseen", "infinite"],
)
@pytest.mark.parametrize("layout", ["side-by-side", "overlay", "masked"])
def test_a_map_that_says_nothing_is_drawn_without_heat(heatmap: NDArray[np.float64], layout: str) -> None:
    pixels = np.asarray(draw(picture(), explain(heatmap), layout=layout))
    assert not hot(pixels).any()
    blank = np.asarray(draw(picture(), None))
    assert pixels.shape[1] == blank.shape[1]


@pytest.mark.parametrize("heatmap", [np.ones((1, 1)), np.full((8, 8), 2.0), np.full((8, 8), np.nan)])
def test_a_grid_that_does_not_reach_the_image_says_nothing_there(heatmap: NDArray[np.float64]) -> None:
    found = Explanation(heatmap.astype(np.float32), "m", 0, False, grid=np.eye(3, dtype=np.float32))
    assert Heat.of(found, (64, 64)) is None
    assert draw(picture(*heatmap.shape[::-1]), found).width == 512
    assert panel.shared_scale([found]) is None


def test_no_signal_is_written_on_the_map() -> None:
    assert Heat.of(explain(np.zeros((9, 9))), (9, 9)) is None
    pixels = np.asarray(draw(picture(), explain(np.zeros((96, 96)))).convert("L"))[30:268, 262:506]
    assert (pixels < 110).any(), "letters are dark"
    assert (pixels > 250).any(), "on white"


def test_what_the_model_did_not_see_is_hatched_grey_and_told() -> None:
    heat = spot().heatmap.copy()
    heat[:, :48] = np.nan
    seen, unseen = draw(picture(), spot()), draw(picture(), explain(heat))
    assert unseen.height > seen.height
    strip = np.asarray(unseen)[40:260, 266:370]
    assert (strip.max(axis=2) == strip.min(axis=2)).all(), "grey"
    assert len(np.unique(strip)) == 2, "of two tones"


def test_heat_beside_what_was_not_seen_keeps_its_value() -> None:
    heatmap = np.full((32, 32), np.nan, np.float32)
    heatmap[:, 16:] = np.linspace(0.9, 1, 16)
    heatmap[0, 16] = 0
    shares = Heat.of(explain(heatmap), (128, 128)).shares
    assert np.isnan(shares[:, :60]).all()
    assert np.nanmin(shares[20:, 66:]) > 0.85


def test_a_shared_scale_makes_colours_comparable() -> None:
    weak, strong = explain(spot().heatmap * 0.2), spot()
    scale = panel.shared_scale([weak, None, explain(np.zeros((4, 4))), strong])
    assert scale == pytest.approx((0, 1), abs=0.01)
    assert hot(np.asarray(draw(picture(), weak))[30:270]).any()
    assert not hot(np.asarray(draw(picture(), weak, scale=scale))[30:270]).any()
    assert panel.shared_scale([None, explain(np.zeros((4, 4)))]) is None


def test_one_outlier_token_does_not_darken_the_rest() -> None:
    heatmap = np.linspace(0, 1, 96 * 96).reshape(96, 96)
    heatmap[0, 0] = 500
    heat = Heat.of(explain(heatmap), (96, 96))
    assert heat.clipped
    assert heat.shares[90, 90] > 0.9


def test_a_single_hot_pixel_still_shows() -> None:
    heatmap = np.zeros((64, 64))
    heatmap[5, 5] = 1
    assert Heat.of(explain(heatmap), (64, 64)).shares[5, 5] == 1


def test_in_a_map_of_both_signs_heat_begins_at_nought() -> None:
    heatmap = np.zeros((96, 96))
    heatmap[12:36, 60:84], heatmap[60:84, 12:36] = 1, -3
    heat = Heat.of(explain(heatmap), (96, 96))
    assert (heat.scale, heat.beneath, heat.clipped) == ((0, 1), True, False)
    assert (heat.shares[24, 72], heat.shares[72, 24], heat.shares[5, 5]) == (1, 0, 0)
    assert panel.shared_scale([explain(heatmap), explain(heatmap * 0.5)]) == (0, 1)
    # The legend says that there are values below the scale.
    signed, cut = (np.asarray(draw(picture(), explain(each))) for each in (heatmap, np.maximum(heatmap, 0)))
    assert (signed != cut)[-24:, 256:300].any()
    np.testing.assert_array_equal(signed[:-24], cut[:-24])


def test_a_map_below_nought_is_drawn_from_its_least_value_up() -> None:
    heat = Heat.of(explain(spot().heatmap - 5), (96, 96))
    assert heat.scale == pytest.approx((-5, -4))
    assert (heat.beneath, heat.shares[24, 72]) == (False, 1)


def test_right_and_wrong_predictions_are_told_apart() -> None:
    image, heat = picture(), spot()
    right = np.asarray(panel.draw(image, heat, label="dog", predicted="dog"))[:28, 256:].astype(int)
    wrong = np.asarray(panel.draw(image, heat, label="cat", predicted="dog"))[:28, 256:].astype(int)
    assert (right[..., 1] - right[..., 0]).max() > 50
    assert (wrong[..., 0] - wrong[..., 1]).max() > 50


@pytest.mark.parametrize("name", ["x" * 300, "", "two\nlines", "Kätzchen <b>&"])
def test_any_label_stays_in_its_place(name: str) -> None:
    drawn = panel.draw(picture(), spot(), label=name, predicted=name)
    assert drawn.size == draw(picture(), spot()).size
    header = np.asarray(drawn)[:28]
    assert (header[:, 248:256] == 255).all(), "the label does not run into the prediction"
    assert (header[:, -4:] == 255).all()


def test_the_image_and_the_map_are_left_as_they_are() -> None:
    image, heat = picture(), spot()
    before, raw = image.tobytes(), heat.heatmap.copy()
    for layout in panel.LAYOUTS:
        draw(image, heat, layout=layout)
    assert image.tobytes() == before
    assert np.array_equal(heat.heatmap, raw)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "overlays"}, "Did you mean 'overlay'"),
        ({"side": 20}, "at least 128"),
        ({"scale": (1.0, 1.0)}, "lower one first"),
        ({"scale": (0.0, float("nan"))}, "finite"),
    ],
)
def test_impossible_wishes_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        draw(picture(), spot(), **options)


def test_colours_grow_lighter_in_even_steps() -> None:
    from skimage.color import rgb2lab

    lightness = rgb2lab(colour_table()[None] / 255)[0, :, 0]
    steps = np.diff(lightness[::8])
    assert (steps > 0).all()
    assert steps.max() < 2.5 * steps.mean()


def test_an_image_too_long_to_be_made_out_is_stretched_and_that_is_told() -> None:
    long, flat = draw(picture(3000, 60), spot(3000, 60, (0, 0, 900, 30))), draw(picture(3000, 60), None)
    assert flat.height > 496 / 5
    body = np.asarray(long)[:, 6:500]
    columns = np.nonzero(hot(body[130:240]))[1]
    assert columns.max() < 0.4 * body.shape[1], "the heat keeps its place along the longer side"
    told = np.asarray(draw(picture(500, 100), None))[127:150]
    assert (np.asarray(flat)[127:150] < 200).sum() > (told < 200).sum(), "more words below the stretched image"
    high = draw(picture(60, 3000), spot(60, 3000, (0, 0, 30, 900)))
    assert 512 < high.height < 640


@pytest.mark.parametrize("layout", ["side-by-side", "overlay", "masked"])
def test_the_bar_of_the_legend_is_drawn_as_the_picture_is(layout: str) -> None:
    pixels = np.asarray(draw(picture(), spot(), layout=layout)).astype(int)
    bar = pixels[-20:-10, 270:508].reshape(-1, 3)
    coloured = (np.ptp(bar, axis=1) > 60).any()
    assert coloured == (layout != "masked"), "masked has no colours of heat"
    assert hot(pixels[-20:-10, 270:508]).any() == (layout == "side-by-side"), "an overlay mixes them with grey"


def test_a_value_next_to_nothing_is_told_as_nothing() -> None:
    assert panel.format_scale((2e-7, 1.0)) == ("0", "1")
    assert panel.format_scale((-1, 1e-7)) == ("-1", "0")
    assert panel.format_scale((0.0421, 1.0)) == ("0.042", "1")


def test_a_narrow_panel_puts_its_texts_above_each_other() -> None:
    narrow, wide = draw(picture(), spot(), side=200), draw(picture(), spot(), side=400)
    assert narrow.width == 200
    assert narrow.height / 200 > wide.height / 400 + 0.1


def test_a_shared_scale_is_told() -> None:
    alone, shared = (np.asarray(draw(picture(), spot(), scale=scale)) for scale in (None, (0.0, 1.0)))
    assert (shared[-24:, :256] < 200).sum() > (alone[-24:, :256] < 200).sum() + 50
