"""Trains the arms, each with every seed, and records which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from .. import arms as rows
from ..errors import UnsupportedRecipeError
from ..records import Arm, Sample
from ..stages import Diagnosis, Fitted, Training
from ..store.schema import ARMS, LEFT_OUT, ArmFact, LeftOutFact
from .generation import Samples
from .remedies import SubjectReader, find_real_images
from .run_context import RunContext, for_seed


def train(run: RunContext, diagnoses: Mapping[int, Diagnosis], synthetic: Samples) -> dict[tuple[str, int], Fitted]:
    """The classifiers by arm and seed; arms that cannot be trained are recorded, each with the reason.

    Raises:
        BudgetError: an arm takes more steps than the others.
    """
    fitted: dict[tuple[str, int], Fitted] = {}
    trained: list[ArmFact] = []
    left_out = [LeftOutFact(name=name, reason=reason) for name, reason in run.impossible.items()]
    find_real_images(run, diagnoses)
    rows.check_budgets({arm.name: rows.recipe_for(arm, run.recipe) for arm in run.arms if arm.trained})
    first = for_seed(diagnoses, run.seeds[0])
    for arm in run.arms:
        count, reason = _count(run, arm, synthetic), _why_not(run, arm, synthetic, first)
        try:
            classifiers = {} if reason else _fit(run, arm, diagnoses, synthetic, count)
        except UnsupportedRecipeError as error:
            reason = str(error)
        if reason:
            left_out.append(LeftOutFact(name=arm.name, reason=reason))
            continue
        fitted.update(classifiers)
        trained.append(_fact(run, arm, run.real_images(first), count))
    run.set_fact(ARMS, trained)
    run.set_fact(LEFT_OUT, left_out)
    return fitted


def _count(run: RunContext, arm: Arm, synthetic: Samples) -> Counter[int] | None:
    """New images of each class in the arms that this one is compared with; None where no arm has any.

    They are the same in every seed and source of a family. An arm without new images is compared with those made for
    mistakes, where there are such, else with edits.
    """
    made = [source for source in rows.sources(run.arms) if synthetic.get((rows.source_name(source), run.seeds[0]))]
    families = [rows.family(arm.images)] if arm.images else sorted({rows.family(source) for source in made})
    like = next((source for family in families for source in made if rows.family(source) == family), None)
    if like is None:
        return None if not synthetic else Counter()
    return Counter(sample.label for sample in synthetic[rows.source_name(like), run.seeds[0]])


def _why_not(run: RunContext, arm: Arm, synthetic: Samples, diagnosis: Diagnosis) -> str:
    """Why an arm cannot be trained; empty where it can."""
    if reason := rows.find_empty_pool(arm, run.real_images(diagnosis)):
        return reason
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
    subjects = SubjectReader.of(run) if recipe.how.reads_subjects else None
    fitted = {}
    for seed in run.seeds:
        new = synthetic[rows.source_name(arm.images), seed] if arm.images else []
        diagnosis = for_seed(diagnoses, seed)
        samples = rows.build_training_set(arm, run.real_images(diagnosis), new, count, passes=passes, seed=seed)
        training = Training(arm.name, seed, recipe, samples, run.splits.validation, diagnosis.baseline)
        if subjects is not None:
            training = replace(training, train=subjects.attach(samples), masks=subjects.key)
        fitted[arm.name, seed] = run.fit(run.runtime, training)
    return fitted


def _fact(run: RunContext, arm: Arm, pools: Mapping[str, Sequence[Sample]], count: Counter[int] | None) -> ArmFact:
    recipe = rows.recipe_for(arm, run.recipe) if arm.trained else run.baseline_recipe
    real = rows.build_training_set(replace(arm, images=None), pools, (), count) if arm.trained else run.splits.train
    used = rows.count_labels(arm, pools, real)
    return ArmFact(
        arm=asdict(arm),
        real=len(real),
        recipe=asdict(recipe),
        used=asdict(used),
        advice=rows.advise(arm),
        control=rows.is_control(arm),
    )
