"""Checks of classifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import NotFittedError, UnsupportedRecipeError
from ...interfaces import Prepared, TorchModel
from ...records import METHODS, History, Recipe
from ...records.training_method import SAMPLINGS
from . import items
from .assertions import NotApplicableError, equal, expect
from .bench import RECIPE, Bench, fit_briefly
from .check_registry import check

NETWORK_TOLERANCE = 1e-3


@check("classifier")
def predicts_probabilities(bench: Bench) -> None:
    """predict_proba gives n k, float32, finite, from 0 to 1, and rows sum to 1."""
    proba, count = bench.results, len(bench.items())
    shape = (count, len(items.LABELS))
    fits = isinstance(proba, np.ndarray) and proba.shape == shape
    expect(fits, f"predict_proba must return {shape} (n k), got {np.shape(proba)}")
    expect(proba.dtype == np.float32, f"probabilities must be float32, got {proba.dtype}")
    inside = np.isfinite(proba).all() and proba.min() >= 0 and proba.max() <= 1 + 1e-3
    expect(inside, "probabilities must be finite and lie in 0 to 1")
    expect(np.abs(proba.sum(axis=1) - 1).max() <= 1e-3, f"rows must sum to 1, got {proba.sum(axis=1).tolist()}")


@check("classifier")
def uses_the_labels_of_the_context(bench: Bench) -> None:
    """After prepare and fit its labels are those of the context, in that order."""
    labels = bench.plugin.labels
    expect(tuple(labels) == items.LABELS, f"labels must be {items.LABELS}, as in the context, got {labels!r}")


@check("classifier")
def reports_that_it_is_not_fitted(bench: Bench) -> None:
    """Before fit it predicts, or raises NotFittedError."""
    plugin: Any = bench.create()
    plugin.prepare(bench.context)
    try:
        bench.run(plugin, bench.items())
    except NotFittedError:
        return
    except NotApplicableError:
        raise
    except Exception as error:  # noqa: BLE001  any other error breaks the rule
        expect(False, f"before fit it must raise NotFittedError, got {type(error).__name__}: {error}")


@check("classifier")
def fit_returns_a_history(bench: Bench) -> None:
    """fit returns a History; no point of its curves lies beyond the recipe's steps."""
    plugin = _create_trainable(bench)
    history = _fit(plugin)
    expect(isinstance(history, History), f"fit must return a History, got {type(history).__name__}")
    if history.steps:
        expect(history.steps[-1] <= RECIPE.steps, f"the recipe has {RECIPE.steps} steps, the History {history.steps}")


@check("classifier")
def training_is_deterministic(bench: Bench) -> None:
    """The same seed gives the same classifier."""
    predictions = []
    for _ in range(2):
        plugin = _create_trainable(bench)
        _fit(plugin, seed=3)
        predictions.append(bench.run(plugin, bench.items()))
    expect(equal(*predictions), "trained twice with one seed it predicts differently")


@check("classifier")
def rejects_unsupported_recipes(bench: Bench) -> None:
    """An unknown adapter or augmentation raises UnsupportedRecipeError, and leaves the classifier unchanged."""
    plugin, train = _create_trainable(bench).fork(), items.train()
    before = _predict_if_fitted(bench, plugin)
    for recipe in (Recipe(steps=1, adapter="no-such-adapter"), Recipe(steps=1, augment="no-such-augmentation")):
        name = recipe.adapter or recipe.augment
        try:
            plugin.fit(train, (), recipe=recipe, seed=0)
        except UnsupportedRecipeError:
            continue
        except Exception as error:  # noqa: BLE001  any other error breaks the rule
            expect(False, f"{name} must raise UnsupportedRecipeError, got {type(error).__name__}: {error}")
        expect(False, f"{name} must raise UnsupportedRecipeError, and it trained")
    expect(equal(_predict_if_fitted(bench, plugin), before), "a recipe that it rejected has changed it")


@check("classifier")
def trains_by_the_methods_it_names(bench: Bench) -> None:
    """Each name in training_methods is a training method or a way of sampling, and fit trains by it."""
    names = _create_trainable(bench).training_methods
    unknown = sorted(set(names) - {*METHODS, *SAMPLINGS})
    expect(not unknown, f"training_methods must be of {', '.join((*METHODS, *SAMPLINGS))}, got {', '.join(unknown)}")
    for name in sorted(names):
        recipe = replace(RECIPE, **{"method" if name in METHODS else "sampling": name})
        try:
            history = _create_trainable(bench).fit(items.annotated(), (), recipe=recipe, seed=0)
        except UnsupportedRecipeError as error:
            expect(False, f"it names {name} in training_methods, and does not train by it: {error}")
        expect(isinstance(history, History), f"{name}: fit must return a History, got {type(history).__name__}")


@check("classifier")
def survives_save_and_load(bench: Bench) -> None:
    """load restores what save wrote: equal labels and predictions, without prepare."""
    with bench.folder() as folder:
        bench.plugin.save(Path(folder))
        loaded = type(bench.plugin).load(Path(folder))
        expect(tuple(loaded.labels) == tuple(bench.plugin.labels), f"loaded labels are {loaded.labels!r}")
        expect(equal(bench.run(loaded, bench.items()), bench.results), "after loading it predicts differently")


@check("classifier")
def forks_are_independent(bench: Bench) -> None:
    """A fork predicts the same, and training it leaves the original unchanged."""
    fork = bench.plugin.fork()
    expect(fork is not bench.plugin, "fork must return a copy")
    expect(equal(bench.run(fork, bench.items()), bench.results), "a fork predicts differently")
    if fit_briefly(fork, seed=5):
        expect(equal(bench.run(bench.plugin, bench.items()), bench.results), "training a fork changes the original")


@check("classifier")
def features_are_finite(bench: Bench) -> None:
    """embed gives n d, float32, finite; or None."""
    features, count = bench.plugin.embed(bench.items()), len(bench.items())
    if features is None:
        raise NotApplicableError("it gives no features")
    fits = isinstance(features, np.ndarray) and features.ndim == 2 and len(features) == count
    expect(fits and features.dtype == np.float32, f"embed must give {count} d, float32, got {np.shape(features)}")
    expect(np.isfinite(features).all(), "features must be finite")


@check("classifier")
def network_matches_predictions(bench: Bench) -> None:
    """If it exposes a network: in evaluation mode, fed by preprocess, its softmax equals predict_proba."""
    plugin = _plugin_with_network(bench)
    expect(not plugin.module.training, "the network must be in evaluation mode")
    for number, image in enumerate(bench.items()):
        output = plugin.module(plugin.preprocess([image]).pixels)
        logits = getattr(output, "logits", output)
        proba = logits.float().softmax(-1).detach().cpu().numpy()[0]
        expected = bench.results[number]
        close = np.abs(proba - expected).max() < NETWORK_TOLERANCE
        expect(close, f"image {number}: the network gives {proba.tolist()}, predict_proba {expected.tolist()}")


@check("classifier")
def boxes_lie_in_the_image(bench: Bench) -> None:
    """preprocess returns pixels n c h w and, in pixels of each image, the box x0 y0 x1 y1 that the network sees."""
    plugin = _plugin_with_network(bench)
    for image in bench.items():
        prepared = plugin.preprocess([image])
        expect(isinstance(prepared, Prepared), f"preprocess must return Prepared, got {type(prepared).__name__}")
        shape = tuple(prepared.pixels.shape)
        expect(len(shape) == 4 and shape[0] == 1, f"pixels must be n c h w, got {shape}")
        expect(tuple(prepared.boxes.shape) == (1, 4), f"boxes must be n 4, got {tuple(prepared.boxes.shape)}")
        left, top, right, bottom = prepared.boxes[0].tolist()
        inside = -1 <= left < right <= image.width + 1 and -1 <= top < bottom <= image.height + 1
        expect(inside, f"the box {[left, top, right, bottom]} does not lie in an image of {image.size} (w h)")


def _create_trainable(bench: Bench) -> Any:
    """A prepared classifier that has not been trained."""
    plugin: Any = bench.create()
    plugin.prepare(bench.context)
    try:
        plugin.fork().fit(items.train(), (), recipe=Recipe(steps=1, batch_size=2), seed=0)
    except UnsupportedRecipeError as error:
        raise NotApplicableError(f"it cannot be trained: {error}") from error
    return plugin


def _fit(plugin: Any, seed: int = 0) -> Any:
    return plugin.fit(items.train(), items.train()[:4], recipe=RECIPE, seed=seed)


def _predict_if_fitted(bench: Bench, plugin: Any) -> Any:
    try:
        return bench.run(plugin, bench.items())
    except NotFittedError:
        return None


def _plugin_with_network(bench: Bench) -> Any:
    if not isinstance(bench.plugin, TorchModel):
        raise NotApplicableError("it exposes no network")
    return bench.plugin
