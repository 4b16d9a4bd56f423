"""Rounds before the last: each trains one arm and starts the next from it, as long as mistakes get fewer."""

from __future__ import annotations

from collections import Counter

from .. import arms as rows
from ..stages import Diagnosis, Fitted, Training, count_by_pair
from ..store.schema import ROUNDS, round_part
from .diagnosis import diagnose_baseline, exclude_suspects
from .generation import ImageGeneration
from .run_context import RunContext
from .slices import find_slices


def run_early_rounds(run: RunContext, generation: ImageGeneration, baseline: Fitted) -> Fitted:
    """The classifier that the last round starts from; the baseline itself where there is one round."""
    mistakes: list[int] = []
    for number in range(1, run.settings.experiment.rounds):
        runtime = run.runtime.in_part(round_part(number))
        diagnosis = diagnose_baseline(run, runtime, baseline, run.seeds[0])
        count = sum(count for _, _, count in count_by_pair(diagnosis.predictions))
        if not count or (mistakes and count >= mistakes[-1]):
            break
        mistakes.append(count)
        promoted = _train_promoted(run, generation, diagnosis)
        if promoted is None:
            break
        baseline = promoted
    run.set_fact(ROUNDS, mistakes)
    return baseline


def _train_promoted(run: RunContext, generation: ImageGeneration, diagnosis: Diagnosis) -> Fitted | None:
    """The promoted arm, trained with the first seed; None where there is nothing to train it on."""
    arm, source = rows.find_promoted(run.settings.experiment.promote, run.arms)
    seed = run.seeds[0]
    if run.settings.critic.per == "slice":
        find_slices(run, diagnosis)
    exclude_suspects(run, {seed: diagnosis})
    synthetic = generation.early_round(diagnosis, source)
    if not synthetic:
        return None
    recipe = rows.recipe_for(arm, run.recipe)
    addition = rows.Addition(Counter(sample.label for sample in synthetic), rows.LIMITS[rows.family(source)])
    passes, real = recipe.steps * recipe.batch_size, run.real_images(diagnosis)
    train = rows.build_training_set(arm, real, synthetic, addition, passes=passes, seed=seed)
    training = Training(arm.name, seed, recipe, train, run.splits.validation, diagnosis.baseline)
    return run.fit(diagnosis.runtime, training)
