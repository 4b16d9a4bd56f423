"""Trains the arms, each with every seed, and records which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from .. import arms as rows
from ..arms import TRAIN_FAILURES
from ..errors import UnsupportedRecipeError
from ..records import Arm, Sample
from ..stages import Diagnosis, Fitted, Training
from ..store.schema import ARMS, LEFT_OUT, ArmFact, LeftOutFact
from .generation import Samples
from .run_context import RunContext, for_seed


def train(run: RunContext, diagnoses: Mapping[int, Diagnosis], synthetic: Samples) -> dict[tuple[str, int], Fitted]:
    """The classifiers by arm and seed; arms that cannot be trained are recorded, each with the reason.

    Raises:
        BudgetError: an arm takes more steps than the others.
    """
    fitted: dict[tuple[str, int], Fitted] = {}
    trained: list[ArmFact] = []
    left_out = [LeftOutFact(name=name, reason=reason) for name, reason in run.impossible.items()]
    count = _count(synthetic)
    rows.check_budgets({arm.name: rows.recipe_for(arm, run.recipe) for arm in run.arms if arm.trained})
    for arm in run.arms:
        reason = _why_not(arm, synthetic, for_seed(diagnoses, run.seeds[0]))
        try:
            classifiers = {} if reason else _fit(run, arm, diagnoses, synthetic, count)
        except UnsupportedRecipeError as error:
            reason = str(error)
        if reason:
            left_out.append(LeftOutFact(name=arm.name, reason=reason))
            continue
        fitted.update(classifiers)
        trained.append(_fact(run, arm, run.real_images(for_seed(diagnoses, run.seeds[0])), count))
    run.set_fact(ARMS, trained)
    run.set_fact(LEFT_OUT, left_out)
    return fitted


def _count(synthetic: Samples) -> Counter[int] | None:
    """New images of each class, the same in every source and seed; None where no arm has new images."""
    first = next(iter(synthetic.values()), None)
    return None if first is None else Counter(sample.label for sample in first)


def _why_not(arm: Arm, synthetic: Samples, diagnosis: Diagnosis) -> str:
    """Why an arm cannot be trained; empty where it can."""
    if TRAIN_FAILURES in arm.real and not diagnosis.train_mistakes:
        return "the baseline gets all training images right: there is none to repeat"
    if arm.images and arm.images.budget == "slices" and not diagnosis.slices:
        return "no slice of mistakes holds, so the images would be those made for each mistake"
    name = rows.source_name(arm.images) if arm.images else ""
    if arm.images and not any(samples for (source, _), samples in synthetic.items() if source == name):
        return "there are no new images to train on"
    return ""


def _fit(
    run: RunContext,
    arm: Arm,
    diagnoses: Mapping[int, Diagnosis],
    synthetic: Samples,
    count: Counter[int] | None,
) -> dict[tuple[str, int], Fitted]:
    if not arm.trained:
        return {(arm.name, seed): for_seed(diagnoses, seed).baseline for seed in run.seeds_that_vary("baseline")}
    recipe = rows.recipe_for(arm, run.recipe)
    passes = recipe.steps * recipe.batch_size
    fitted = {}
    for seed in run.seeds:
        new = synthetic[rows.source_name(arm.images), seed] if arm.images else []
        diagnosis = for_seed(diagnoses, seed)
        samples = rows.build_training_set(arm, run.real_images(diagnosis), new, count, passes=passes, seed=seed)
        training = Training(arm.name, seed, recipe, samples, run.splits.validation, diagnosis.baseline)
        fitted[arm.name, seed] = run.fit(run.runtime, training)
    return fitted


def _fact(run: RunContext, arm: Arm, real: Mapping[str, Sequence[Sample]], count: Counter[int] | None) -> ArmFact:
    if not arm.trained:
        return ArmFact(arm=asdict(arm), real=len(run.splits.train), recipe=asdict(run.baseline_recipe))
    alone = rows.build_training_set(replace(arm, images=None), real, (), count)
    return ArmFact(arm=asdict(arm), real=len(alone), recipe=asdict(rows.recipe_for(arm, run.recipe)))
