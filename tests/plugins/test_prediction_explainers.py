"""`occlusion` and `rise` find what a classifier without a network reads, on what it sees, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_patch import CELLS, LIT, SIDE, OnePatch, on_patch, picture
from PIL import Image

from xaiaug import Classifier, Context, load
from xaiaug.errors import ConfigError, DataError, PluginError, RunStopped
from xaiaug.plugins.explainers.occlusion import Occlusion
from xaiaug.plugins.explainers.rise import Rise

METHODS = {"occlusion": Occlusion(), "rise": Rise(masks=250)}
both = pytest.mark.parametrize("name", METHODS)


class Linear(Classifier):
    """The probability of class 1 is a weighted mean of the red of 4 by 4 blocks."""

    labels = ("off", "on")

    def __init__(self) -> None:
        weights = np.random.default_rng(5).normal(size=(4, 4))
        self.weights = weights / np.abs(weights).sum()
        self.calls: list[int] = []

    def predict_proba(self, images):
        self.calls.append(len(images))
        red = np.stack([np.asarray(image)[..., 0] / 255 for image in images])
        blocks = red.reshape(len(red), 4, -1, 4, red.shape[2] // 4).mean((2, 4))
        on = 0.5 + 0.5 * (blocks * self.weights).sum((1, 2))
        return np.stack([1 - on, on], axis=1).astype(np.float32)

    fit = save = load = fork = None


class Window(OnePatch):
    """Sees the middle of the image alone."""

    def find_box(self, image):
        return 8.0, 16.0, 56.0, 48.0


def hottest(heatmap: np.ndarray) -> tuple[int, ...]:
    return tuple(int(at) for at in np.unravel_index(np.nanargmax(heatmap), heatmap.shape))


@both
@pytest.mark.parametrize("seed", range(3))
def test_the_map_peaks_on_the_patch_that_is_read_and_a_random_one_does_not(name: str, seed: int) -> None:
    (found,) = METHODS[name].explain(OnePatch(), [picture(seed)], [1])
    (noise,) = load("explainer", "random").explain(OnePatch(), [picture(seed)], [1])
    assert on_patch()[hottest(found.heatmap)]
    assert not on_patch()[hottest(noise.heatmap)]
    assert (found.method, found.target, found.class_specific) == (name, 1, True)
    share = np.maximum(found.heatmap, 0)[on_patch()].sum() / np.maximum(found.heatmap, 0).sum()
    by_chance = noise.heatmap[on_patch()].sum() / noise.heatmap.sum()
    assert share > 5 * by_chance


@both
@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 7), (0, 7), (4, 1)])
def test_it_finds_the_patch_at_borders_too(name: str, row: int, column: int) -> None:
    pixels = np.array(picture())
    pixels[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 255
    (found,) = METHODS[name].explain(OnePatch(row, column), [Image.fromarray(pixels)], [1])
    y, x = hottest(found.heatmap)
    assert (y // 8, x // 8) == (row, column)


@both
def test_what_speaks_against_a_class_is_negative(name: str) -> None:
    for_it, against = (METHODS[name].explain(OnePatch(), [picture()], [target])[0].grid for target in (1, 0))
    np.testing.assert_allclose(for_it, -against, atol=1e-6)


def test_the_occlusion_of_single_cells_is_their_weight_times_their_distance_from_the_mean() -> None:
    image = picture().resize((SIDE, SIDE))
    classifier = Linear()
    red = np.asarray(image)[..., 0].astype(float)
    mean = np.rint(red.mean())
    blocks = red.reshape(4, 16, 4, 16).mean((1, 3))
    (found,) = Occlusion(cells=4, window=1).explain(classifier, [image], [1])
    np.testing.assert_allclose(found.grid, 0.5 * classifier.weights * (blocks - mean) / 255, atol=1e-6)
    assert sum(classifier.calls) == 1 + 16


def test_a_cell_under_several_windows_has_their_mean() -> None:
    image, classifier = picture(), Linear()
    (single,) = Occlusion(cells=4, window=1).explain(classifier, [image], [1])
    (pairs,) = Occlusion(cells=4, window=2).explain(classifier, [image], [1])
    padded, expected = np.pad(single.grid, 1), np.zeros((4, 4))
    for y, x in np.ndindex(4, 4):
        windows = [padded[y + dy : y + dy + 2, x + dx : x + dx + 2].sum() for dy in (0, 1) for dx in (0, 1)]
        expected[y, x] = np.mean(windows)
    np.testing.assert_allclose(pairs.grid, expected, atol=1e-5)
    assert sum(classifier.calls) == 1 + 4**2 + 1 + 5**2


def test_rise_is_the_papers_map_but_for_a_constant_and_a_factor() -> None:
    image, seen = picture(), []
    explainer = Rise(masks=1000, cells=4)
    (found,) = explainer.explain(OnePatch(), [image], [1])
    masks = explainer._iter_masks(4, 4)
    rows, columns = (slice(at * 8, at * 8 + 8) for at in LIT)
    for _ in range(1000):
        mask = next(masks)
        scaled = np.asarray(Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize((SIDE, SIDE), 2)) / 255
        seen.append((float((scaled[rows, columns] > 0.97).mean()), mask))
    paper = np.mean([value * mask for value, mask in seen], axis=0) / 0.5
    assert np.corrcoef(paper.ravel(), found.grid.ravel())[0, 1] > 0.97


@both
def test_a_classifier_that_reads_nothing_has_a_map_without_information(name: str) -> None:
    class Blind(OnePatch):
        def predict_proba(self, images):
            return np.tile(np.float32([0.3, 0.7]), (len(images), 1))

    (found,) = METHODS[name].explain(Blind(), [picture()], [1])
    assert found.degenerate
    np.testing.assert_allclose(found.heatmap, 0, atol=1e-12)


@both
def test_outside_of_what_the_classifier_sees_the_map_is_nan_and_nothing_is_hidden(name: str) -> None:
    corners = []

    class Watching(Window):
        def predict_proba(self, images):
            corners.extend(np.asarray(image)[:16] for image in images)
            return super().predict_proba(images)

    image = picture()
    (found,) = METHODS[name].explain(Watching(), [image], [1])
    seen = np.zeros((SIDE, SIDE), bool)
    seen[16:48, 8:56] = True
    np.testing.assert_array_equal(np.isfinite(found.heatmap), seen)
    assert on_patch()[hottest(found.heatmap)]
    assert all((corner == np.asarray(image)[:16]).all() for corner in corners)


@both
@settings(max_examples=20)
@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_images_of_any_size_have_a_map_of_their_size(name: str, width: int, height: int) -> None:
    class Mean(OnePatch):
        def predict_proba(self, images):
            lit = np.array([np.asarray(image).mean() / 255 for image in images], np.float32)
            return np.stack([1 - lit, lit], axis=1)

    explainer = {"occlusion": Occlusion(4, 2), "rise": Rise(masks=8)}[name]
    noise = np.random.default_rng(width * 41 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    (found,) = explainer.explain(Mean(), [Image.fromarray(noise)], [0])
    assert found.heatmap.shape == (height, width)
    assert np.isfinite(found.heatmap).all()


@both
def test_the_classifiers_batch_changes_nothing(name: str) -> None:
    images = [picture(seed) for seed in range(2)]
    small, large = OnePatch(), OnePatch()
    small.batch_size, large.batch_size = 1, 1000
    singles = [METHODS[name].explain(small, [image], [1])[0].grid for image in images]
    together = [found.grid for found in METHODS[name].explain(large, images, [1, 1])]
    np.testing.assert_array_equal(singles, together)


@both
def test_memory_is_bounded_by_pixels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaiaug.plugins.explainers._perturbation._PIXELS_PER_CALL", 4.5 * SIDE**2)
    classifier = Linear()
    METHODS[name].explain(classifier, [picture()], [1])
    assert max(classifier.calls) == 4


def test_rise_depends_on_its_seed_alone() -> None:
    def grid(seed: int) -> np.ndarray:
        return Rise(masks=50, seed=seed).explain(OnePatch(), [picture()], [1])[0].grid

    np.testing.assert_array_equal(grid(1), grid(1))
    assert (grid(1) != grid(2)).any()


def test_auto_explains_a_classifier_without_a_network_by_occlusion() -> None:
    expected = Occlusion().explain(OnePatch(), [picture()], [1])[0]
    found = load("explainer", "auto").explain(OnePatch(), [picture()], [1])[0]
    assert found.method == "occlusion"
    np.testing.assert_array_equal(found.grid, expected.grid)


@both
def test_answers_that_are_no_probabilities_and_requests_that_do_not_fit_are_refused(name: str) -> None:
    class Broken(OnePatch):
        def predict_proba(self, images):
            return np.full((len(images), 2), np.nan, np.float32)

    class Short(OnePatch):
        def predict_proba(self, images):
            return np.ones((len(images), 1), np.float32)

    with pytest.raises(PluginError, match=rf"{name}: Broken.predict_proba .* not finite"):
        METHODS[name].explain(Broken(), [picture()], [1])
    with pytest.raises(PluginError, match=rf"{name}: Short.predict_proba .*\(n k\), got \(\d+, 1\)"):
        METHODS[name].explain(Short(), [picture()], [1])
    with pytest.raises(DataError, match="targets must lie in 0..1"):
        METHODS[name].explain(OnePatch(), [picture()], [2])


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Occlusion, {"cells": 0}),
        (Occlusion, {"window": 0}),
        (Occlusion, {"cells": 2, "window": 3}),
        (Rise, {"masks": 1}),
        (Rise, {"cells": 0}),
        (Rise, {"shown": 1.0}),
        (Rise, {"seed": -1}),
    ],
)
def test_parameters_out_of_range_are_refused(kind: type, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=list(wrong)[-1]):
        kind(**wrong)


def test_the_patch_of_these_tests_is_a_cell() -> None:
    assert on_patch().sum() == (SIDE // CELLS) ** 2


@pytest.mark.parametrize("kind", [Occlusion, lambda: Rise(masks=600), lambda: load("explainer", "auto")])
def test_a_run_that_is_asked_to_stop_is_not_kept_waiting_for_the_batch(kind) -> None:
    classifier, explainer = Linear(), kind()
    explainer.prepare(Context(stopping=lambda: len(classifier.calls) == 2))
    with pytest.raises(RunStopped, match="rerun the same command to resume"):
        explainer.explain(classifier, [picture(0), picture(1)], [1, 1])
    assert len(classifier.calls) == 2
