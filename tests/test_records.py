"""Records refuse impossible values and say which."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xaiaug import Case, Critique, Explanation, History, ImageSource, Recipe
from xaiaug.errors import RecordError
from xaiaug.records import LazyPanel, label_to_words


def explanation(grid, heatmap=None):
    heatmap = np.ones((4, 4), np.float32) if heatmap is None else heatmap
    return Explanation(heatmap, "m", 0, False, grid)


@pytest.mark.parametrize(
    "grid", [np.zeros((2, 2)), np.full((2, 2), 3.0), np.array([[np.nan, 1.0]]), np.array([[np.inf, 1.0]])]
)
def test_a_map_that_says_nothing_is_degenerate(grid):
    assert explanation(grid).degenerate


def test_a_map_that_says_something_is_not():
    assert not explanation(np.array([[0.0, 1e-9]])).degenerate
    partly_unseen = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    assert not explanation(None, partly_unseen).degenerate
    assert explanation(None, np.full((2, 2), np.nan)).degenerate


@pytest.mark.parametrize(
    ("heatmap", "floor"),
    [([[-3, 0, 2]], 0), ([[0.5, 2, np.nan]], 0.5), ([[-3, -1]], -3), ([[-3, 0]], -3), ([[np.nan, np.nan]], np.nan)],
)
def test_heat_counts_from_nought_where_a_map_has_both_signs_and_else_from_its_least_value(heatmap, floor):
    assert explanation(None, np.array(heatmap)).floor == pytest.approx(floor, nan_ok=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: explanation(np.zeros(4)), "grid must be h w, got shape"),
        (lambda: explanation(None, np.zeros((1, 2, 3))), "heatmap must be h w"),
        (lambda: Critique("c", "p", attended="sky"), "attended must be one of subject, part"),
        (lambda: Critique("c", "p", confidence=1.5), "confidence must lie between 0 and 1, got 1.5"),
        (lambda: Critique("c", "p", guidance={"colour": "red"}), "guidance knows .* got colour"),
        (lambda: ImageSource(map="blurred"), "map must be one of"),
        (lambda: Recipe(steps=0), "steps must be at least 1, got 0"),
        (lambda: Recipe(learning_rate=float("nan")), "learning_rate must be > 0"),
        (lambda: Recipe(learning_rate="0.001"), "learning_rate must be a number, got '0.001'"),
        (lambda: Recipe(weight_decay=float("nan")), "weight_decay must be at least 0"),
        (lambda: Recipe(steps=2.5), "steps must be a whole number, got 2.5"),
        (lambda: Recipe(batch_size=True), "batch_size must be a whole number"),
        (lambda: Recipe(trainer=3), "trainer must be a table"),
        (lambda: Recipe(schedule="sine"), "schedule must be one of cosine"),
        (lambda: History((1, 2), (0.5,), (), (), ()), "all curves must have the same length"),
    ],
)
def test_impossible_values_are_refused_by_name(make, message):
    with pytest.raises(RecordError, match=message):
        make()


def case(panel):
    image = Image.new("RGB", (8, 8), "teal")
    return Case("x", image, panel, "cat", "dog", np.array([0.2, 0.8], np.float32))


def test_a_lazy_panel_is_drawn_once_when_it_is_first_read():
    drawn = []
    lazy = LazyPanel(lambda: drawn.append(1) or Image.new("RGB", (16, 8)))
    shown = case(lazy)
    assert (lazy.image, drawn) == (None, [])
    assert shown.panel.size == (16, 8) and shown.panel is shown.panel is lazy.image
    assert replace(shown, label="dog").panel is lazy.image and drawn == [1]


def test_a_case_takes_an_image_as_panel_and_needs_one():
    image = Image.new("RGB", (16, 8))
    assert case(image).panel is image
    with pytest.raises(TypeError, match="panel"):
        Case("x", image, label="cat", predicted="dog", probabilities=np.zeros(2, np.float32))


def test_a_label_is_written_with_spaces_in_a_sentence():
    assert label_to_words("tabby_cat") == "tabby cat"
