"""What all steps of one run share: its settings, plugins, arms and images, and where facts about it are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..arms import TRAIN_FAILURES
from ..config import Settings
from ..data import Splits
from ..records import Arm, Recipe, Sample
from ..records.pipeline import BASELINE
from ..stages import Diagnosis, Fitted, StageRuntime, Training, WhatToKeep, fit
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
        return pools | {name: [mistake.sample for mistake in mistakes] for name, mistakes in wrong.items()}

    def fit_baseline(self, seed: int) -> Fitted:
        """The classifier whose mistakes are diagnosed: trained here, or used as it is."""
        recipe = self.baseline_recipe if self.settings.experiment.fit_baseline else None
        train, validation = (self.splits.train, self.splits.validation) if recipe else ((), ())
        return self.fit(self.runtime, Training(BASELINE, seed, recipe, train, validation))

    def fit(self, runtime: StageRuntime, training: Training) -> Fitted:
        """The classifier after a training."""
        experiment = self.settings.experiment
        keep = WhatToKeep(experiment.checkpoint_steps, experiment.test_curves and not runtime.part)
        return fit(runtime, self.plugins.classifier, training, keep)

    def set_fact(self, fact: Fact[Value], value: Value) -> None:
        """Keeps a fact that the report needs."""
        self.runtime.store.ledger.set_fact(fact, value)


def for_seed(values: Mapping[int, PerSeed], seed: int) -> PerSeed:
    """The value of a seed, or of the first where one serves all."""
    return values.get(seed, next(iter(values.values())))
