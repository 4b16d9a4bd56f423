"""What all steps of one run share: its settings, plugins, arms and images, and where facts about it are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..arms import DISAGREEMENTS, RETRIEVED, TRAIN_FAILURES, Available, pools_of
from ..config import Settings
from ..data import Splits
from ..errors import UnsupportedRecipeError
from ..interfaces import Classifier
from ..metrics import form_groups
from ..records import Arm, Recipe, Sample
from ..records.pipeline import BASELINE
from ..stages import Diagnosis, Fitted, StageRuntime, Training, WhatToKeep, fit, fit_all
from ..store.schema import Fact, Value
from .plugin_set import PluginSet

PerSeed = TypeVar("PerSeed")


@dataclass(frozen=True)
class RunContext:
    """One run after its images were checked.

    Attributes:
        settings: checked.
        plugins: of the run.
        arms: the training conditions that are possible, the baseline among them.
        runtime: where work is kept, who does it, who watches.
        splits: the images, checked.
        baseline_recipe: how the baseline is trained.
        recipe: how an arm is trained that has no setting of its own.
        impossible: arms that are left out, each with the reason.
        until: the step it ends after.
    """

    settings: Settings
    plugins: PluginSet
    arms: Sequence[Arm]
    runtime: StageRuntime
    splits: Splits
    baseline_recipe: Recipe
    recipe: Recipe
    impossible: Mapping[str, str]
    until: str

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the run."""
        return self.settings.experiment.seeds

    def seeds_that_vary(self, *what: str) -> tuple[int, ...]:
        """The seeds that have a "baseline" or "critique" of their own; the first alone where one serves all."""
        return self.seeds if set(what) & set(self.settings.experiment.vary) else self.seeds[:1]

    def real_images(self, diagnosis: Diagnosis) -> dict[str, Sequence[Sample]]:
        """The real images arms may train on, by pool."""
        pools = {name: self.splits[name] for name in ("train", "guide", "reserve")}
        wrong = {"failures": diagnosis.mistakes, TRAIN_FAILURES: diagnosis.train_mistakes}
        chosen = {DISAGREEMENTS: diagnosis.disagreements, RETRIEVED: diagnosis.retrieved}
        return pools | chosen | {name: [mistake.sample for mistake in mistakes] for name, mistakes in wrong.items()}

    def takes(self, pool: str) -> bool:
        """Whether an arm trains on a pool of real images."""
        return any(pool in pools_of(arm) for arm in self.arms)

    def fit_baselines(self) -> dict[int, Fitted]:
        """The classifiers whose mistakes are diagnosed, by seed: trained here, or used as they are.

        They keep early weights where an arm compares these.
        """
        recipe = self.baseline_recipe if self.settings.experiment.fit_baseline else None
        train, validation = (self.splits.train, self.splits.validation) if recipe else ((), ())
        seeds = self.seeds_that_vary("baseline")
        trainings = [Training(BASELINE, seed, recipe, train, validation) for seed in seeds]
        keep = self._what_to_keep(self.runtime, early=recipe is not None and self.takes(DISAGREEMENTS))
        baselines = {}
        for seed, fitted in zip(seeds, fit_all(self.runtime, self.plugins.classifier, trainings, keep), strict=True):
            if isinstance(fitted, UnsupportedRecipeError):
                raise fitted
            baselines[seed] = fitted
        return baselines

    def fit(self, runtime: StageRuntime, training: Training) -> Fitted:
        """The classifier after a training."""
        return fit(runtime, self.plugins.classifier, training, self._what_to_keep(runtime))

    def fit_arms(self, trainings: Sequence[Training]) -> list[Fitted | UnsupportedRecipeError]:
        """The classifiers after the trainings of arms, or why one cannot be done."""
        return fit_all(self.runtime, self.plugins.classifier, trainings, self._what_to_keep(self.runtime))

    def _what_to_keep(self, runtime: StageRuntime, *, early: bool = False) -> WhatToKeep:
        experiment = self.settings.experiment
        return WhatToKeep(experiment.checkpoint_steps, experiment.test_curves and not runtime.part, early)

    def set_fact(self, fact: Fact[Value], value: Value) -> None:
        """Keeps a fact that the report needs."""
        self.runtime.store.ledger.set_fact(fact, value)


def for_seed(values: Mapping[int, PerSeed], seed: int) -> PerSeed:
    """The value of a seed, or of the first where one serves all."""
    return values.get(seed, next(iter(values.values())))


def list_available(settings: Settings, classifier: Classifier, splits: Splits) -> Available:
    """What a run has that arms need.

    Args:
        settings: checked.
        classifier: of the run.
        splits: its images.
    """
    experiment = settings.experiment
    trained = experiment.fit_baseline and experiment.rounds == 1
    return Available(
        reserve=bool(splits.reserve),
        train=bool(splits.train),
        marks=settings.data.marks is not None,
        causes=settings.critic.test_causes,
        slices=settings.mistakes.slices,
        groups=frozenset(name for name in ("train", "guide") if _groups_divide_a_class(splits[name])),
        early=trained and "snapshots" in classifier.fit_options(),
        classifier=settings.classifier.name,
        training_methods=classifier.training_methods,
    )


def _groups_divide_a_class(samples: Sequence[Sample]) -> bool:
    found = form_groups([sample.label for sample in samples], [sample.groups for sample in samples])
    return len(found.classes) > len(set(found.classes))
