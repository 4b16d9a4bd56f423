"""Where a heatmap lies with regard to the subject."""

import numpy as np
import pytest
from blobs import outline

from xaiaug.plugins.critics._measurements import measure_attention
from xaiaug.records import Explanation

SUBJECT = outline(0.25).astype(np.float32)


def explanation(heatmap: np.ndarray) -> Explanation:
    return Explanation(heatmap.astype(np.float32), "drawn by hand", 0, False)


def test_a_map_on_the_subject() -> None:
    seen = measure_attention(explanation(SUBJECT * 2 + 0.1), SUBJECT)
    assert seen.kind == "subject"
    assert seen.mass > 0.9
    assert seen.area == pytest.approx(SUBJECT.mean(), abs=0.01)


def test_a_map_on_the_backdrop() -> None:
    assert measure_attention(explanation(1 - SUBJECT), SUBJECT).kind == "background"


def test_a_map_on_a_part_of_the_subject() -> None:
    y, x = np.argwhere(SUBJECT > 0)[len(np.argwhere(SUBJECT > 0)) // 2]
    spot = np.exp(-((np.indices(SUBJECT.shape) - np.array([y, x]).reshape(2, 1, 1)) ** 2).sum(0) / (2 * 3**2))
    assert measure_attention(explanation(spot), SUBJECT).kind == "part"


def test_area_is_corrected_for() -> None:
    noisy = np.random.default_rng(0).uniform(0.9, 1.1, SUBJECT.shape)
    assert measure_attention(explanation(noisy), SUBJECT).kind == "other"


@pytest.mark.parametrize("heatmap", [np.zeros((64, 64)), np.ones((64, 64)), np.full((64, 64), np.nan)])
def test_a_map_that_says_nothing(heatmap: np.ndarray) -> None:
    assert measure_attention(explanation(heatmap), SUBJECT).kind == "unknown"


def test_no_map() -> None:
    assert measure_attention(None, SUBJECT).kind == "unknown"


def test_negative_values_and_unseen_parts_are_understood() -> None:
    heatmap = SUBJECT - 5
    heatmap[:, :10] = np.nan
    assert measure_attention(explanation(heatmap), SUBJECT).kind == "subject"


@pytest.mark.parametrize(("sign", "kind"), [(1, "subject"), (-1, "background")])
def test_what_speaks_against_the_class_is_not_looked_at(sign: int, kind: str) -> None:
    # Pixel by pixel as gradients are: mostly nothing, strong against the class on one side.
    heatmap = sign * np.where(SUBJECT > 0, 0.2, -5.0) * np.random.default_rng(0).uniform(0, 1, SUBJECT.shape)
    assert measure_attention(explanation(heatmap), SUBJECT).kind == kind


def test_a_map_larger_than_the_mask_is_understood() -> None:
    assert measure_attention(explanation(np.kron(SUBJECT, np.ones((4, 3)))), SUBJECT).kind == "subject"
