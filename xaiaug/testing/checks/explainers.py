"""Checks of explainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import UndefinedMethodError
from ...interfaces import TorchModel
from ...records import Explanation, Failure
from . import items
from .assertions import NotApplicableError, equal, expect
from .bench import Bench, make_simple_classifier
from .check_registry import check


@check("explainer")
def heatmaps_have_the_size_of_their_image(bench: Bench) -> None:
    """A heatmap is h w, float32, of the size of its image."""
    for result, (image, _) in zip(bench.results, bench.items(), strict=False):
        if isinstance(result, Explanation):
            shape, size = np.shape(result.heatmap), (image.height, image.width)
            expect(shape == size, f"a heatmap must have the size of its image, {size} (h w), got {shape}")
            dtype = getattr(result.heatmap, "dtype", type(result.heatmap).__name__)
            expect(dtype == np.float32, f"a heatmap must be float32, got {dtype}")


@check("explainer")
def heatmaps_are_finite(bench: Bench) -> None:
    """A heatmap is finite where the model saw the image, NaN elsewhere, and not NaN everywhere."""
    for result in bench.successes():
        seen = result.heatmap[~np.isnan(result.heatmap)]
        expect(seen.size, "a heatmap is NaN everywhere")
        expect(np.isfinite(seen).all(), "a heatmap is infinite somewhere; use NaN where the model saw nothing")


@check("explainer")
def grids_are_finite(bench: Bench) -> None:
    """A grid, if any, is gh gw, float32 and finite."""
    grids = [result.grid for result in bench.successes() if result.grid is not None]
    if not grids:
        raise NotApplicableError("it has no grid")
    for grid in grids:
        expect(
            grid.ndim == 2 and grid.dtype == np.float32, f"a grid must be gh gw, float32, got {grid.dtype} {grid.shape}"
        )
        expect(np.isfinite(grid).all(), "a grid must be finite")


@check("explainer")
def explanations_name_method_and_target(bench: Bench) -> None:
    """An explanation names its method and the target of the request."""
    for result, (_, target) in zip(bench.results, bench.items(), strict=False):
        if isinstance(result, Explanation):
            expect(result.target == target, f"the target of the request is {target}, got {result.target!r}")
            named = isinstance(result.method, str) and result.method
            expect(named, f"method must name the method, got {result.method!r}")
            specific = result.class_specific
            expect(isinstance(specific, bool), f"class_specific must be a bool, got {specific!r}")


@check("explainer")
def declares_class_specific(bench: Bench) -> None:
    """If class_specific is False, another target gives the same heatmap: a run then asks only once."""
    if any(result.class_specific for result in bench.successes()):
        raise NotApplicableError("its heatmaps depend on the class")
    others = bench.run(bench.plugin, [(image, 1 - target) for image, target in bench.items()])
    for one, other in zip(bench.results, others, strict=True):
        if isinstance(one, Explanation) and isinstance(other, Explanation):
            same = equal(one.heatmap, other.heatmap)
            expect(same, "another target gives another heatmap: class_specific must be True")


@check("explainer")
def leaves_the_classifier_unchanged(bench: Bench) -> None:
    """The classifier predicts as before; its network is in the same mode, with the same hooks and no gradients."""
    classifier, images = bench.new_classifier(), items.make_images()
    before, state = classifier.predict_proba(images), _network_state(classifier)
    bench.plugin.explain(classifier, images, [number % 2 for number in range(len(images))])
    changed = [name for name, value in _network_state(classifier).items() if state[name] != value]
    expect(not changed, f"it changes the {', '.join(changed)} of the classifier's network")
    expect(equal(classifier.predict_proba(images), before), "the classifier predicts differently afterwards")


@check("explainer")
def explains_or_rejects_any_classifier(bench: Bench) -> None:
    """A classifier without a network is explained, or UndefinedMethodError says what is needed."""
    images = items.make_images()
    try:
        results = bench.plugin.explain(make_simple_classifier(), images, [0] * len(images))
    except UndefinedMethodError:
        return
    except Exception as error:  # noqa: BLE001  any other error breaks the rule
        reason = f"{type(error).__name__}: {error}"
        expect(False, f"it must raise UndefinedMethodError if it does not support a classifier, got {reason}")
    expect(len(results) == len(images), f"{len(images)} items must give as many results, got {len(results)}")


@check("explainer")
def explains_images_of_any_size(bench: Bench) -> None:
    """Images of 5 × 3 and 120 × 9 pixels give an explanation, or a Failure each."""
    images = [image.resize(size) for image, size in zip(items.make_images(), ((5, 3), (120, 9)), strict=False)]
    results = bench.run(bench.plugin, [(image, 0) for image in images])
    for result, image in zip(results, images, strict=True):
        expect(isinstance(result, Explanation | Failure), f"an image of {image.size} gives {type(result).__name__}")
        if isinstance(result, Explanation):
            shape = result.heatmap.shape
            expect(shape == image.size[::-1], f"an image of {image.size} (w h) has a heatmap of {shape} (h w)")


def _network_state(classifier: Any) -> Mapping[str, Any]:
    """What an explainer might change in the network; empty if the classifier exposes none."""
    if not isinstance(classifier, TorchModel):
        return {}
    parts, weights = list(classifier.module.modules()), list(classifier.module.parameters())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "mode": [part.training for part in parts],
        "hooks": [len(getattr(part, name)) for part in parts for name in hooks],
        "gradients": [weight.grad is not None for weight in weights],
        "trainable weights": [weight.requires_grad for weight in weights],
    }
