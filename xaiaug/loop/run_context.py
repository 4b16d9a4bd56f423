"""What all stages of one run share: its settings, plugins and images, and where it tells what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..calls import Calls
from ..config import Settings
from ..data import Splits
from ..interfaces import Context
from ..records import Arm, Recipe, Sample, digest
from ..stages import Fitted, Mistake, StageRuntime, Training, WhatToKeep, fit
from .plugin_set import PluginSet

Found = TypeVar("Found")
BASELINE = "baseline"


@dataclass
class RunContext:
    """One run after its images were checked.

    Attributes:
        settings: checked.
        plugins: the plugins.
        arms: the training conditions that are possible, the untouched start among them.
        runtime: where work is kept, who does it, who watches.
        splits: the images, checked.
        calls: for plugins whose work costs money.
        baseline_recipe: how the baseline is trained.
        recipe: how an arm is trained that says nothing else.
        impossible: arms that are left out, each with the reason.
        context: what plugins may know.
        reference_key: digest of the images that they may know.
    """

    settings: Settings
    plugins: PluginSet
    arms: Sequence[Arm]
    runtime: StageRuntime
    splits: Splits
    calls: Calls
    baseline_recipe: Recipe
    recipe: Recipe
    impossible: Mapping[str, str]
    context: Context = field(init=False)
    reference_key: str = field(init=False)

    def __post_init__(self) -> None:
        self.refer_to(self.splits.train)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the run."""
        return self.settings.experiment.seeds

    def refer_to(self, samples: Sequence[Sample]) -> None:
        """Takes the images that critics and synthesizers may know."""
        count, limit = self.plugins.synthesizer.token_budget() or (None, None)
        self.context = Context(
            labels=self.splits.labels, train=samples, paid=self.calls, count_tokens=count, token_limit=limit
        )
        self.reference_key = digest([[sample.id, sample.label] for sample in samples])

    def varied(self, *what: str) -> tuple[int, ...]:
        """The seeds that have their own of what is said; the first alone where one serves all."""
        return self.seeds if set(what) & set(self.settings.experiment.vary) else self.seeds[:1]

    def real(self, mistakes: Sequence[Mistake]) -> dict[str, Sequence[Sample]]:
        """The real images arms may train on, by pool."""
        pools = {name: self.splits[name] for name in ("train", "guide", "reserve")}
        return {**pools, "failures": [mistake.sample for mistake in mistakes]}

    def baseline(self, seed: int) -> Fitted:
        """The classifier to be mended: trained here, or used as it is."""
        recipe = self.baseline_recipe if self.settings.experiment.fit_baseline else None
        train, validation = (self.splits.train, self.splits.validation) if recipe else ((), ())
        return self.fit(self.runtime, Training(BASELINE, seed, recipe, train, validation))

    def fit(self, runtime: StageRuntime, training: Training) -> Fitted:
        """The classifier after a training."""
        experiment = self.settings.experiment
        keeping = WhatToKeep(experiment.checkpoint_steps, experiment.test_curves and not runtime.part)
        return fit(runtime, self.plugins.classifier, self.context, training, keeping)

    def tell(self, name: str, value: Any) -> None:
        """Keeps a fact that the report needs."""
        self.runtime.store.ledger.tell(name, value)


def for_seed(found: Mapping[int, Found], seed: int) -> Found:
    """What belongs to the seed, or to the first where one serves all."""
    return found.get(seed, next(iter(found.values())))
