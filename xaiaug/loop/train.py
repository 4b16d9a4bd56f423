"""Trains the arms, each with every seed, and says which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from .. import arms as rows
from ..errors import UnsupportedRecipeError
from ..records import Arm, Sample
from ..stages import Diagnosis, Fitted, Training
from .generation import Samples
from .run_context import RunContext, for_seed


def train(run: RunContext, diagnoses: Mapping[int, Diagnosis], pools: Samples) -> dict[tuple[str, int], Fitted]:
    """The classifiers by arm and seed; arms that cannot be trained are told, each with the reason.

    Raises:
        ConfigError: an arm takes more steps than the others.
    """
    fitted, told = {}, []
    left_out = [{"name": name, "reason": reason} for name, reason in run.impossible.items()]
    count = _count(pools)
    rows.check_budgets({arm.name: rows.recipe_for(arm, run.recipe) for arm in run.arms if arm.trained})
    for arm in run.arms:
        reason = _why_not(arm, pools)
        try:
            made = {} if reason else _fit(run, arm, diagnoses, pools, count)
        except UnsupportedRecipeError as error:
            reason = str(error)
        if reason:
            left_out.append({"name": arm.name, "reason": reason})
            continue
        fitted.update(made)
        told.append(_told(run, arm, run.real(for_seed(diagnoses, run.seeds[0]).mistakes), count))
    run.tell("arms", told)
    run.tell("left_out", left_out)
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
    run: RunContext, arm: Arm, diagnoses: Mapping[int, Diagnosis], pools: Samples, count: Counter[int] | None
) -> dict[tuple[str, int], Fitted]:
    if not arm.trained:
        return {(arm.name, seed): for_seed(diagnoses, seed).baseline for seed in run.varied("baseline")}
    recipe = rows.recipe_for(arm, run.recipe)
    passes = recipe.steps * recipe.batch_size
    fitted = {}
    for seed in run.seeds:
        synthetic = pools[rows.source_name(arm.images), seed] if arm.images else []
        diagnosis = for_seed(diagnoses, seed)
        samples = rows.build_training_set(arm, run.real(diagnosis.mistakes), synthetic, count, passes=passes, seed=seed)
        training = Training(arm.name, seed, recipe, samples, run.splits.validation, diagnosis.baseline)
        fitted[arm.name, seed] = run.fit(run.runtime, training)
    return fitted


def _told(
    run: RunContext, arm: Arm, real: Mapping[str, Sequence[Sample]], count: Counter[int] | None
) -> dict[str, Any]:
    if not arm.trained:
        return {"arm": asdict(arm), "real": len(run.splits.train), "recipe": asdict(run.baseline_recipe)}
    alone = rows.build_training_set(replace(arm, images=None), real, (), count)
    return {"arm": asdict(arm), "real": len(alone), "recipe": asdict(rows.recipe_for(arm, run.recipe))}
