"""Checks of explainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import UndefinedMethodError
from ...interfaces import TorchModel
from ...records import Explanation, Failure
from . import items
from .bench import Bench, simple_classifier
from .check_registry import NotApplicableError, check, expect
from .equality import same


@check("explainer")
def heatmaps_have_the_size_of_their_image(bench: Bench) -> None:
    """A heatmap is h w, float32, of the size of its image."""
    for made, (image, _) in zip(bench.results, bench.items(), strict=False):
        if isinstance(made, Explanation):
            shape, wanted = np.shape(made.heatmap), (image.height, image.width)
            expect(shape == wanted, f"a heatmap must have the size of its image, {wanted} (h w), got {shape}")
            kind = getattr(made.heatmap, "dtype", type(made.heatmap).__name__)
            expect(kind == np.float32, f"a heatmap must be float32, got {kind}")


@check("explainer")
def heatmaps_are_numbers(bench: Bench) -> None:
    """A heatmap is finite where the model saw, NaN where it did not, and not NaN throughout."""
    for made in bench.done():
        seen = made.heatmap[~np.isnan(made.heatmap)]
        expect(seen.size, "a heatmap is NaN throughout")
        expect(np.isfinite(seen).all(), "a heatmap is infinite somewhere; NaN says that the model saw nothing there")


@check("explainer")
def grids_are_numbers(bench: Bench) -> None:
    """A grid, where there is one, is gh gw, float32 and finite."""
    grids = [made.grid for made in bench.done() if made.grid is not None]
    if not grids:
        raise NotApplicableError("it has no grid")
    for grid in grids:
        expect(
            grid.ndim == 2 and grid.dtype == np.float32, f"a grid must be gh gw, float32, got {grid.dtype} {grid.shape}"
        )
        expect(np.isfinite(grid).all(), "a grid must be finite")


@check("explainer")
def explanations_tell_what_they_explain(bench: Bench) -> None:
    """An explanation names its method and the target that was asked for."""
    for made, (_, target) in zip(bench.results, bench.items(), strict=False):
        if isinstance(made, Explanation):
            expect(made.target == target, f"asked for target {target}, it says {made.target!r}")
            named = isinstance(made.method, str) and made.method
            expect(named, f"method must name the method, got {made.method!r}")
            expect(isinstance(made.class_specific, bool), f"class_specific must be a bool, got {made.class_specific!r}")


@check("explainer")
def says_whether_it_depends_on_the_class(bench: Bench) -> None:
    """Where class_specific is False, another target gives the same map: a loop asks only once then."""
    if any(made.class_specific for made in bench.done()):
        raise NotApplicableError("its maps depend on the class")
    other = bench.work(bench.plugin, [(image, 1 - target) for image, target in bench.items()])
    for one, two in zip(bench.results, other, strict=True):
        if isinstance(one, Explanation) and isinstance(two, Explanation):
            expect(same(one.heatmap, two.heatmap), "another target gives another map: class_specific must be True")


@check("explainer")
def leaves_the_classifier_alone(bench: Bench) -> None:
    """The classifier predicts as before; its network is in the same mode, with the same hooks and no gradients."""
    classifier, images = bench.new_classifier(), items.images()
    before, state = classifier.predict_proba(images), _state(classifier)
    bench.plugin.explain(classifier, images, [number % 2 for number in range(len(images))])
    changed = [name for name, value in _state(classifier).items() if state[name] != value]
    expect(not changed, f"it changes the {', '.join(changed)} of the classifier's network")
    expect(same(classifier.predict_proba(images), before), "the classifier predicts otherwise afterwards")


@check("explainer")
def explains_any_classifier_or_says_why_not(bench: Bench) -> None:
    """A classifier without a network is explained, or UndefinedMethodError says what is needed."""
    images = items.images()
    try:
        made = bench.plugin.explain(simple_classifier(), images, [0] * len(images))
    except UndefinedMethodError:
        return
    except Exception as error:  # noqa: BLE001  any other error breaks the law
        expect(
            False, f"it must raise UndefinedMethodError where it is not defined, got {type(error).__name__}: {error}"
        )
    expect(len(made) == len(images), f"{len(images)} items must give as many results, got {len(made)}")


@check("explainer")
def explains_images_of_any_size(bench: Bench) -> None:
    """Images of 5 × 3 and 120 × 9 pixels are explained, or are a Failure of their own."""
    images = [image.resize(size) for image, size in zip(items.images(), ((5, 3), (120, 9)), strict=False)]
    for made, image in zip(bench.work(bench.plugin, [(image, 0) for image in images]), images, strict=True):
        expect(isinstance(made, Explanation | Failure), f"an image of {image.size} gives {type(made).__name__}")
        if isinstance(made, Explanation):
            expect(
                made.heatmap.shape == image.size[::-1], f"an image of {image.size} has a map of {made.heatmap.shape}"
            )


def _state(classifier: Any) -> Mapping[str, Any]:
    """What an explainer might leave behind in the network; nothing where none is shown."""
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
