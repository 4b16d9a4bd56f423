"""Checks of classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import NotFittedError, UnsupportedRecipeError
from ...interfaces import Prepared, TorchModel
from ...records import History, Recipe
from . import items
from .bench import RECIPE, Bench, fit_briefly
from .check_registry import NotApplicableError, check, expect
from .equality import same

NETWORK_TOLERANCE = 1e-3


@check("classifier")
def predicts_probabilities(bench: Bench) -> None:
    """predict_proba gives n k, float32, finite, from 0 to 1, and rows sum to 1."""
    made, count = bench.results, len(bench.items())
    shape = (count, len(items.LABELS))
    expect(isinstance(made, np.ndarray) and made.shape == shape, f"it must give {shape} (n k), got {np.shape(made)}")
    expect(made.dtype == np.float32, f"probabilities must be float32, got {made.dtype}")
    inside = np.isfinite(made).all() and made.min() >= 0 and made.max() <= 1 + 1e-3
    expect(inside, "probabilities must be finite and lie in 0 to 1")
    expect(np.abs(made.sum(axis=1) - 1).max() <= 1e-3, f"rows must sum to 1, got {made.sum(axis=1).tolist()}")


@check("classifier")
def takes_the_labels_of_the_context(bench: Bench) -> None:
    """After prepare and fit its labels are those of the context, in that order."""
    labels = bench.plugin.labels
    expect(tuple(labels) == items.LABELS, f"labels must be {items.LABELS}, as in the context, got {labels!r}")


@check("classifier")
def says_that_it_is_not_fitted(bench: Bench) -> None:
    """Before fit it predicts, or raises NotFittedError."""
    plugin: Any = bench.made()
    plugin.prepare(bench.context)
    try:
        bench.work(plugin, bench.items())
    except NotFittedError:
        return
    except NotApplicableError:
        raise
    except Exception as error:  # noqa: BLE001  any other error breaks the law
        expect(False, f"before fit it must raise NotFittedError, got {type(error).__name__}: {error}")


@check("classifier")
def training_tells_its_curves(bench: Bench) -> None:
    """fit returns a History; no point of its curves lies beyond the recipe's steps."""
    plugin = _trainable(bench)
    history = _fit(plugin)
    expect(isinstance(history, History), f"fit must return a History, got {type(history).__name__}")
    if history.steps:
        expect(history.steps[-1] <= RECIPE.steps, f"{RECIPE.steps} steps were asked for, History says {history.steps}")


@check("classifier")
def training_follows_its_seed(bench: Bench) -> None:
    """The same seed gives the same classifier."""
    made = []
    for _ in range(2):
        plugin = _trainable(bench)
        _fit(plugin, seed=3)
        made.append(bench.work(plugin, bench.items()))
    expect(same(*made), "trained twice with one seed it predicts differently")


@check("classifier")
def refuses_recipes_it_cannot_follow(bench: Bench) -> None:
    """An adapter or augmentation that it does not know raises UnsupportedRecipeError, and leaves it as it was."""
    plugin, splits = _trainable(bench).fork(), items.train()
    before = _predicted(bench, plugin)
    for recipe in (Recipe(steps=1, adapter="no-such-adapter"), Recipe(steps=1, augment="no-such-augmentation")):
        asked = recipe.adapter or recipe.augment
        try:
            plugin.fit(splits, (), recipe=recipe, seed=0)
        except UnsupportedRecipeError:
            continue
        except Exception as error:  # noqa: BLE001  any other error breaks the law
            expect(False, f"{asked} must raise UnsupportedRecipeError, got {type(error).__name__}: {error}")
        expect(False, f"{asked} must raise UnsupportedRecipeError, and it trained")
    expect(same(_predicted(bench, plugin), before), "a recipe that was refused has changed it")


@check("classifier")
def comes_back_from_its_folder(bench: Bench) -> None:
    """load gives what save wrote: equal labels and predictions, without prepare."""
    with bench.folder() as folder:
        bench.plugin.save(Path(folder))
        loaded = type(bench.plugin).load(Path(folder))
        expect(tuple(loaded.labels) == tuple(bench.plugin.labels), f"loaded labels are {loaded.labels!r}")
        expect(same(bench.work(loaded, bench.items()), bench.results), "loaded from its folder it predicts differently")


@check("classifier")
def forks_are_independent(bench: Bench) -> None:
    """A fork predicts the same, and training it leaves the original as it was."""
    fork = bench.plugin.fork()
    expect(fork is not bench.plugin, "fork must return a copy")
    expect(same(bench.work(fork, bench.items()), bench.results), "a fork predicts differently")
    if fit_briefly(fork, seed=5):
        expect(same(bench.work(bench.plugin, bench.items()), bench.results), "training a fork changes the original")


@check("classifier")
def features_are_numbers(bench: Bench) -> None:
    """embed gives n d, float32, finite; or None."""
    made, count = bench.plugin.embed(bench.items()), len(bench.items())
    if made is None:
        raise NotApplicableError("it gives no features")
    shaped = isinstance(made, np.ndarray) and made.ndim == 2 and len(made) == count
    expect(shaped and made.dtype == np.float32, f"embed must give {count} d, float32, got {np.shape(made)}")
    expect(np.isfinite(made).all(), "features must be finite")


@check("classifier")
def its_network_is_the_one_that_predicts(bench: Bench) -> None:
    """Where it shows a network: in evaluation mode, fed by preprocess, its logits are the probabilities told."""
    plugin = _network(bench)
    expect(not plugin.module.training, "the network must be in evaluation mode")
    for number, image in enumerate(bench.items()):
        answer = plugin.module(plugin.preprocess([image]).pixels)
        logits = getattr(answer, "logits", answer)
        chances = logits.float().softmax(-1).detach().cpu().numpy()[0]
        close = np.abs(chances - bench.results[number]).max() < NETWORK_TOLERANCE
        expect(
            close,
            f"image {number}: the network says {chances.tolist()}, predict_proba {bench.results[number].tolist()}",
        )


@check("classifier")
def boxes_lie_in_the_image(bench: Bench) -> None:
    """preprocess tells pixels n c h w and, in pixels of each image, the box x0 y0 x1 y1 that the network sees."""
    plugin = _network(bench)
    for image in bench.items():
        made = plugin.preprocess([image])
        expect(isinstance(made, Prepared), f"preprocess must return Prepared, got {type(made).__name__}")
        expect(
            made.pixels.ndim == 4 and len(made.pixels) == 1, f"pixels must be n c h w, got {tuple(made.pixels.shape)}"
        )
        expect(tuple(made.boxes.shape) == (1, 4), f"boxes must be n 4, got {tuple(made.boxes.shape)}")
        left, top, right, bottom = made.boxes[0].tolist()
        inside = -1 <= left < right <= image.width + 1 and -1 <= top < bottom <= image.height + 1
        expect(inside, f"the box {[left, top, right, bottom]} does not lie in an image of {image.size} (w h)")


def _trainable(bench: Bench) -> Any:
    """A prepared classifier that has not been trained."""
    plugin: Any = bench.made()
    plugin.prepare(bench.context)
    try:
        plugin.fork().fit(items.train(), (), recipe=Recipe(steps=1, batch_size=2), seed=0)
    except UnsupportedRecipeError as error:
        raise NotApplicableError(f"it cannot be trained: {error}") from error
    return plugin


def _fit(plugin: Any, seed: int = 0) -> Any:
    return plugin.fit(items.train(), items.train()[:4], recipe=RECIPE, seed=seed)


def _predicted(bench: Bench, plugin: Any) -> Any:
    try:
        return bench.work(plugin, bench.items())
    except NotFittedError:
        return None


def _network(bench: Bench) -> Any:
    if not isinstance(bench.plugin, TorchModel):
        raise NotApplicableError("it shows no network")
    return bench.plugin
