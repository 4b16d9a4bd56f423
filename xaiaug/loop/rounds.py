"""Rounds before the last: each promotes one training, as long as mistakes get fewer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .. import arms as rows
from ..errors import ConfigError
from ..records import Arm, ImageSource
from ..stages import Diagnosis, Fitted, Training, count_by_pair
from .diagnosis import diagnose_baseline, exclude_suspects
from .generation import ImageGeneration
from .run_context import RunContext


def run_early_rounds(run: RunContext, generation: ImageGeneration, baseline: Fitted) -> Fitted:
    """Where the last round starts; the baseline itself where there is but one."""
    left: list[int] = []
    for number in range(1, run.settings.experiment.rounds):
        runtime = replace(run.runtime, part=f"round-{number}")
        diagnosis = diagnose_baseline(run, runtime, baseline, run.seeds[0])
        found = sum(count for _, _, count in count_by_pair(diagnosis.predictions))
        if not found or (left and found >= left[-1]):
            break
        left.append(found)
        mended = _mended(run, generation, diagnosis)
        if mended is None:
            break
        baseline = mended
    run.tell("rounds", left)
    return baseline


def _mended(run: RunContext, generation: ImageGeneration, diagnosis: Diagnosis) -> Fitted | None:
    """The promoted arm, trained with the first seed; None where there is nothing to train it on."""
    arm, source = _promoted_arm(run)
    seed = run.seeds[0]
    diagnosis = exclude_suspects(run, {seed: diagnosis})[seed]
    synthetic = generation.of_round(diagnosis, source)
    if not synthetic:
        return None
    recipe, count = rows.recipe_for(arm, run.recipe), Counter(sample.label for sample in synthetic)
    passes = recipe.steps * recipe.batch_size
    train = rows.build_training_set(arm, run.real(diagnosis.mistakes), synthetic, count, passes=passes, seed=seed)
    return run.fit(
        diagnosis.runtime, Training(arm.name, seed, recipe, train, run.splits.validation, diagnosis.baseline)
    )


def _promoted_arm(run: RunContext) -> tuple[Arm, ImageSource]:
    name = run.settings.experiment.promote
    for arm in run.arms:
        if arm.name == name and arm.images is not None:
            return arm, arm.images
    raise ConfigError(
        f"[experiment] promote = {name!r} must name an arm of this run that trains on new images; it has "
        f"{', '.join(arm.name for arm in run.arms if arm.images)}"
    )
