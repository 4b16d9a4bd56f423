"""Diagnoses the baselines of a run: their mistakes, and which of these have labels that look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from .. import arms as rows
from ..stages import (
    Diagnosis,
    Fitted,
    Mistake,
    StageRuntime,
    choose,
    choose_correct,
    choose_correct_pool,
    choose_donors,
    count_by_pair,
    hold_out_suspects,
    list_cases,
    list_suspects,
    list_voters,
    predict,
)
from ..store.schema import HELD, MISTAKES, PREDICT_GUIDE, PREDICT_TRAIN, is_seed_part, seed_part
from .causes import create_finder
from .run_context import RunContext, for_seed


def diagnose_seeds(run: RunContext, baselines: Mapping[int, Fitted]) -> dict[int, Diagnosis]:
    """The diagnosis of each seed: one for all, or its own where baselines or critiques vary."""
    first, *others = run.seeds_that_vary("baseline", "critique")
    diagnoses = {first: diagnose_baseline(run, run.runtime, baselines[first], first)}
    for seed in others:
        runtime = run.runtime.in_part(seed_part(seed))
        diagnoses[seed] = diagnose_baseline(run, runtime, for_seed(baselines, seed), seed)
    return diagnoses


def diagnose_baseline(run: RunContext, runtime: StageRuntime, baseline: Fitted, seed: int) -> Diagnosis:
    """The mistakes of a baseline on the guide images, not explained yet."""
    guide = run.splits.guide
    predictions = predict(runtime, PREDICT_GUIDE, baseline, guide, len(run.splits.labels))
    mistakes = choose(guide, predictions, run.settings.mistakes.max)
    if not run.splits.train:
        right = predictions.predicted == predictions.labels
        known = [sample for sample, is_right in zip(guide, right, strict=True) if is_right]
        runtime = replace(runtime, context=replace(runtime.context, train=known))
    if not is_seed_part(runtime.part):
        run.set_fact(MISTAKES, count_by_pair(predictions))
    list_cases(runtime, mistakes)
    asked = {source.cases for source in rows.sources(run.arms)}
    compares = any(critic.compares for _, critic in run.plugins.critics(run.settings))
    return Diagnosis(
        runtime,
        run.plugins.explainer,
        list_voters(run.plugins.critics(run.settings), run.settings.critic.samples),
        baseline,
        predictions,
        mistakes,
        choose_correct(guide, predictions, mistakes) if "correct" in asked or compares else (),
        seed,
        draw=run.seeds.index(seed) if "critique" in run.settings.experiment.vary else 0,
        scale=run.settings.panel.scale,
        **_look_at_train(run, runtime, baseline),
        marks=run.settings.data.marks,
        finder=create_finder(run) if run.settings.critic.test_causes else None,
        correct_pool=choose_correct_pool(guide, predictions),
        unsliced=run.settings.critic.unsliced if run.settings.critic.per == "slice" else None,
    )


class _OnTrain(TypedDict):
    donors: Sequence[Mistake]
    train_mistakes: Sequence[Mistake]


def _look_at_train(run: RunContext, runtime: StageRuntime, baseline: Fitted) -> _OnTrain:
    """The training images that the baseline gets right, which alone may be edited, and those that it gets wrong.

    They are predicted only where an arm of the run takes them.
    """
    if not any(rows.reads_train(arm) for arm in run.arms):
        return {"donors": (), "train_mistakes": ()}
    train = run.splits.train
    predictions = predict(runtime, PREDICT_TRAIN, baseline, train, len(run.splits.labels))
    return {
        "donors": choose_donors(train, predictions, run.settings.mistakes.donors),
        "train_mistakes": choose(train, predictions, "all"),
    }


def exclude_suspects(run: RunContext, diagnoses: Mapping[int, Diagnosis]) -> None:
    """Holds out the mistakes whose label looks wrong, going by the critiques of the primary source."""
    ways, guide = run.settings.curation.suspects, run.splits.guide
    suspects = [
        row for diagnosis in diagnoses.values() for row in hold_out_suspects(diagnosis, ways, guide, rows.GENERATED)
    ]
    list_suspects(run.runtime.store, suspects)
    run.set_fact(HELD, sorted(next(iter(diagnoses.values())).held))
