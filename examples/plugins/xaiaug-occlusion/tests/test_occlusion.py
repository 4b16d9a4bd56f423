"""Occlusion keeps the rules of explainers, and finds the patch that a classifier relies on."""

import numpy as np
import pytest
from PIL import Image
from xaiaug import Context
from xaiaug.errors import ConfigError
from xaiaug.testing import NearestColour, parametrize_checks
from xaiaug_occlusion.explainer import OcclusionExplainer


@parametrize_checks(OcclusionExplainer)
def test_it_keeps_the_rules(check):
    check()


@parametrize_checks(lambda: OcclusionExplainer(cells=3, fill="grey"))
def test_it_keeps_the_rules_with_other_parameters(check):
    check()


class Corner(NearestColour):
    """Predicts class 1 from the red in the top left corner alone."""

    def predict_proba(self, images):
        red = np.array([np.asarray(image, np.float32)[:8, :8, 0].mean() / 255 for image in images], np.float32)
        return np.stack([1 - red, red], axis=1)


def test_the_decisive_patch_is_the_hottest_and_the_others_are_zero():
    image = Image.new("RGB", (32, 32), "black")
    image.paste((255, 0, 0), (0, 0, 8, 8))
    (explanation,) = OcclusionExplainer(cells=4).explain(Corner(), [image], [1])
    assert explanation.grid[0, 0] > 0.9
    assert np.count_nonzero(explanation.grid) == 1
    assert explanation.heatmap.argmax() == 0
    (other,) = OcclusionExplainer(cells=4).explain(Corner(), [image], [0])
    assert np.allclose(other.grid, -explanation.grid)


@pytest.mark.parametrize(
    ("parameters", "message"), [({"cells": 0}, "1 or more"), ({"fill": "pink"}, "'mean' or 'grey'")]
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        OcclusionExplainer(**parameters).prepare(Context())
