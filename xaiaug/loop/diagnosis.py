"""What the arms of a seed start from: a baseline, its mistakes, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .. import arms as rows
from ..stages import (
    Diagnosis,
    Fitted,
    StageRuntime,
    choose,
    choose_correct,
    count_by_pair,
    hold_out_suspects,
    list_cases,
    list_suspects,
    predict,
)
from .run_context import RunContext, for_seed


def diagnose_seeds(run: RunContext, baselines: Mapping[int, Fitted]) -> dict[int, Diagnosis]:
    """The diagnosis of each seed: one for all, or its own where baselines or critiques vary."""
    first, *others = run.varied("baseline", "critique")
    diagnoses = {first: diagnose_baseline(run, run.runtime, baselines[first], first)}
    for seed in others:
        runtime = replace(run.runtime, part=f"seed-{seed}")
        diagnoses[seed] = diagnose_baseline(run, runtime, for_seed(baselines, seed), seed)
    return diagnoses


def diagnose_baseline(run: RunContext, runtime: StageRuntime, baseline: Fitted, seed: int) -> Diagnosis:
    """The mistakes of a baseline on the guide images."""
    guide = run.splits.guide
    predictions = predict(runtime, "guide", baseline, guide, len(run.splits.labels))
    chosen = choose(guide, predictions, run.settings.mistakes.max)
    if not run.splits.train:
        right = predictions.predicted == predictions.labels
        run.refer_to([sample for sample, known in zip(guide, right, strict=True) if known])
    if not runtime.part.startswith("seed-"):
        run.tell("mistakes", count_by_pair(predictions))
    list_cases(runtime, chosen)
    wanted = any(source.cases == "correct" for source in rows.sources(run.arms))
    return Diagnosis(
        runtime,
        run.plugins.explainer,
        run.plugins.critic,
        run.context,
        run.reference_key,
        baseline,
        predictions,
        chosen,
        choose_correct(guide, predictions, chosen) if wanted else (),
        seed,
        draw=run.seeds.index(seed) if "critique" in run.settings.experiment.vary else 0,
        scale=run.settings.panel.scale,
    )


def exclude_suspects(run: RunContext, diagnoses: Mapping[int, Diagnosis]) -> dict[int, Diagnosis]:
    """The diagnoses without the mistakes whose label looks wrong, as the primary source's critiques say."""
    asked, guide = run.settings.curation.suspects, run.splits.guide
    found = {seed: hold_out_suspects(one, asked, guide, one.judged(rows.GENERATED)) for seed, one in diagnoses.items()}
    list_suspects(run.runtime.store, [row for _, suspects in found.values() for row in suspects])
    run.tell("held", sorted(next(iter(found.values()))[0].held))
    return {seed: diagnosis for seed, (diagnosis, _) in found.items()}
