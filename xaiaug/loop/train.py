"""Trains the arms, each with every seed, and says which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from .. import arms as rows
from ..errors import UnsupportedRecipeError
from ..records import Arm, Sample
from ..stages import Fitted, Ground, Training
from .generation import Samples
from .run_context import Scene, own


def train(scene: Scene, grounds: Mapping[int, Ground], pools: Samples) -> dict[tuple[str, int], Fitted]:
    """The classifiers by arm and seed; arms that cannot be trained are told, each with the reason.

    Raises:
        ConfigError: an arm takes more steps than the others.
    """
    fitted, told = {}, []
    left_out = [{"name": name, "reason": reason} for name, reason in scene.impossible.items()]
    count = _count(pools)
    rows.check_budgets({arm.name: rows.recipe_for(arm, scene.recipe) for arm in scene.arms if arm.trained})
    for arm in scene.arms:
        reason = _why_not(arm, pools)
        try:
            made = {} if reason else _fit(scene, arm, grounds, pools, count)
        except UnsupportedRecipeError as error:
            reason = str(error)
        if reason:
            left_out.append({"name": arm.name, "reason": reason})
            continue
        fitted.update(made)
        told.append(_told(scene, arm, scene.real(own(grounds, scene.seeds[0]).mistakes), count))
    scene.tell("arms", told)
    scene.tell("left_out", left_out)
    return fitted


def _count(pools: Samples) -> Counter[int] | None:
    """New images of each class, the same in every source and seed; None where no arm has new images."""
    first = next(iter(pools.values()), None)
    return None if first is None else Counter(sample.label for sample in first)


def _why_not(arm: Arm, pools: Samples) -> str:
    name = rows.source_name(arm.images) if arm.images else ""
    if arm.images and not any(samples for (source, _), samples in pools.items() if source == name):
        return "there are no new images to train on"
    return ""


def _fit(
    scene: Scene, arm: Arm, grounds: Mapping[int, Ground], pools: Samples, count: Counter[int] | None
) -> dict[tuple[str, int], Fitted]:
    if not arm.trained:
        return {(arm.name, seed): own(grounds, seed).baseline for seed in scene.varied("baseline")}
    recipe = rows.recipe_for(arm, scene.recipe)
    passes = recipe.steps * recipe.batch_size
    fitted = {}
    for seed in scene.seeds:
        synthetic = pools[rows.source_name(arm.images), seed] if arm.images else []
        ground = own(grounds, seed)
        samples = rows.training_set(arm, scene.real(ground.mistakes), synthetic, count, passes=passes, seed=seed)
        training = Training(arm.name, seed, recipe, samples, scene.splits.validation, ground.baseline)
        fitted[arm.name, seed] = scene.fit(scene.desk, training)
    return fitted


def _told(scene: Scene, arm: Arm, real: Mapping[str, Sequence[Sample]], count: Counter[int] | None) -> dict[str, Any]:
    if not arm.trained:
        return {"arm": asdict(arm), "real": len(scene.splits.train), "recipe": asdict(scene.baseline_recipe)}
    alone = rows.training_set(replace(arm, images=None), real, (), count)
    return {"arm": asdict(arm), "real": len(alone), "recipe": asdict(rows.recipe_for(arm, scene.recipe))}
