"""Trains the arms, each with every seed, and records which were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from .. import arms as rows
from ..errors import UnsupportedRecipeError
from ..records import Arm, Recipe, Sample
from ..stages import Diagnosis, Fitted, Training
from ..store.schema import ARMS, LEFT_OUT, ArmFact, LeftOutFact
from .generation import Samples
from .remedies import SubjectReader, find_real_images
from .run_context import RunContext, for_seed
from .tuning import tune


def train(run: RunContext, diagnoses: Mapping[int, Diagnosis], synthetic: Samples) -> dict[tuple[str, int], Fitted]:
    """The classifiers by arm and seed; arms that cannot be trained are recorded, each with the reason.

    Raises:
        BudgetError: an arm takes more steps than the others.
    """
    find_real_images(run, diagnoses)
    rows.check_budgets({arm.name: rows.recipe_for(arm, run.recipe) for arm in run.arms if arm.trained})
    first = for_seed(diagnoses, run.seeds[0])
    planned, reasons = [], dict(run.impossible)
    for arm in run.arms:
        try:
            if reason := _why_not(run, arm, synthetic, first):
                reasons[arm.name] = reason
            else:
                planned.append(_plan_arm(run, arm, diagnoses, _TrainingSets(run, arm, synthetic)))
        except UnsupportedRecipeError as error:
            reasons[arm.name] = str(error)
    fitted = _fit(run, planned, diagnoses, reasons)
    trained = [one for one in planned if one.arm.name not in reasons]
    run.set_fact(ARMS, [_fact(run, one.arm, one.recipe, first, one.sets) for one in trained])
    run.set_fact(LEFT_OUT, [LeftOutFact(name=name, reason=reason) for name, reason in reasons.items()])
    return {(one.arm.name, seed): classifier for one in trained for seed, classifier in fitted[one.arm.name].items()}


class _TrainingSets:
    """What one arm trains on, with each seed.

    Attributes:
        family: of the arms with new images that this one is compared with; empty where no arm has any.
        addition: what those add to the real images; None where there are no sources of new images.
    """

    def __init__(self, run: RunContext, arm: Arm, synthetic: Samples) -> None:
        self.run, self.arm, self.synthetic = run, arm, synthetic
        self.family, self.addition = self._compare()

    def _compare(self) -> tuple[str, rows.Addition | None]:
        """The family, and what it adds: the same in every seed and source.

        An arm without new images is compared with those made for mistakes, where there are such, else with edits.
        """
        run, arm, first = self.run, self.arm, self.run.seeds[0]
        made = [source for source in rows.sources(run.arms) if self.synthetic.get((rows.source_name(source), first))]
        families = [rows.family(arm.images)] if arm.images else sorted({rows.family(source) for source in made})
        for family in families:
            for source in made:
                if rows.family(source) == family:
                    new = self.synthetic[rows.source_name(source), first]
                    return family, rows.Addition(Counter(sample.label for sample in new), rows.LIMITS[family])
        return "", rows.Addition({}) if self.synthetic else None

    def new_images(self, seed: int) -> Sequence[Sample]:
        """The new images of the arm's source."""
        return self.synthetic[rows.source_name(self.arm.images), seed] if self.arm.images else []

    def build(self, diagnosis: Diagnosis, seed: int) -> tuple[Sample, ...]:
        """The training images with one seed."""
        recipe = rows.recipe_for(self.arm, self.run.recipe)
        return rows.build_training_set(
            self.arm,
            self.run.real_images(diagnosis),
            self.new_images(seed),
            self.addition,
            passes=recipe.steps * recipe.batch_size,
            seed=seed,
        )


def _why_not(run: RunContext, arm: Arm, synthetic: Samples, diagnosis: Diagnosis) -> str:
    """Why an arm cannot be trained; empty where it can."""
    if reason := rows.find_empty_pool(arm, run.real_images(diagnosis)):
        return reason
    if arm.images and arm.images.budget == "slices" and not diagnosis.slices:
        return "no slice of mistakes holds, so the images would be those made for each mistake"
    name = rows.source_name(arm.images) if arm.images else ""
    if arm.images and not any(samples for (source, _), samples in synthetic.items() if source == name):
        return "there are no new images to train on"
    if not arm.images and rows.COUNTED.intersection(rows.pools_of(arm)) and synthetic and not any(synthetic.values()):
        return "there are no new images, as many of which it would repeat or take: it would train as continued"
    return ""


@dataclass(frozen=True, eq=False)
class _PlannedArm:
    """An arm that is to be trained, or the baseline.

    Attributes:
        arm: the arm.
        recipe: that it is trained by.
        sets: what it trains on.
        trainings: by seed; none of the baseline, which is trained.
    """

    arm: Arm
    recipe: Recipe
    sets: _TrainingSets
    trainings: Mapping[int, Training]


def _plan_arm(run: RunContext, arm: Arm, diagnoses: Mapping[int, Diagnosis], sets: _TrainingSets) -> _PlannedArm:
    """The trainings of an arm; where settings are tried, those that did best.

    Raises:
        UnsupportedRecipeError: the classifier cannot follow the recipe.
    """
    if not arm.trained:
        return _PlannedArm(arm, run.baseline_recipe, sets, {})
    recipe = rows.recipe_for(arm, run.recipe)
    subjects = SubjectReader.of(run) if recipe.how.reads_subjects else None

    def describe(seed: int) -> Training:
        diagnosis = for_seed(diagnoses, seed)
        samples = sets.build(diagnosis, seed)
        training = Training(arm.name, seed, recipe, samples, run.splits.validation, diagnosis.baseline)
        return replace(training, train=subjects.attach(samples), masks=subjects.key) if subjects else training

    chosen = tune(run, describe(run.seeds[0]))
    return _PlannedArm(arm, chosen, sets, {seed: replace(describe(seed), recipe=chosen) for seed in run.seeds})


def _fit(
    run: RunContext, planned: Sequence[_PlannedArm], diagnoses: Mapping[int, Diagnosis], reasons: dict[str, str]
) -> dict[str, dict[int, Fitted]]:
    """The classifiers of each arm by seed; why one cannot be trained is added to the reasons."""
    trainings = [training for one in planned for training in one.trainings.values()]
    fitted: dict[str, dict[int, Fitted]] = {
        one.arm.name: {seed: for_seed(diagnoses, seed).baseline for seed in run.seeds_that_vary("baseline")}
        for one in planned
        if not one.arm.trained
    }
    for training, classifier in zip(trainings, run.fit_arms(trainings), strict=True):
        if isinstance(classifier, UnsupportedRecipeError):
            reasons.setdefault(training.arm, str(classifier))
        else:
            fitted.setdefault(training.arm, {})[training.seed] = classifier
    return fitted


def _fact(run: RunContext, arm: Arm, recipe: Recipe, diagnosis: Diagnosis, sets: _TrainingSets) -> ArmFact:
    pools, new = run.real_images(diagnosis), sets.new_images(run.seeds[0])
    real, counted, kept = rows.collect_images(arm, pools, new, sets.addition)
    drawn, ids = sets.build(diagnosis, run.seeds[0]) if arm.trained else (), {sample.id for sample in new}
    amounts = len(real), len(counted + kept), sets.addition.limit if sets.addition else None
    return ArmFact(
        arm=asdict(arm),
        real=len(real + counted) if arm.trained else len(run.splits.train),
        recipe=asdict(recipe),
        used=asdict(_count_selection(run, rows.count_labels(arm, pools, [one for one in drawn if one.id not in ids]))),
        advice=rows.advise(arm),
        control=rows.is_control(arm),
        added_share=rows.added_share(arm, *amounts),
        ratio_limit=rows.binding_limit(arm, *amounts),
        ratio_warning=rows.warn_of_ratio(arm),
    )


def _count_selection(run: RunContext, used: rows.LabelsUsed) -> rows.LabelsUsed:
    """With the settings that were tried, and the validation images whose groups chose among them."""
    experiment = run.settings.experiment
    by_groups = experiment.settings_tried > 1 and experiment.metric == "worst-group"
    groups = sum(bool(sample.groups) for sample in run.splits.validation) if by_groups else 0
    return replace(used, settings_tried=experiment.settings_tried, group_labels_in_selection=groups)
