"""What the arms of a seed start from: a baseline, its mistakes, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .. import arms as rows
from ..stages import Desk, Fitted, Ground, by_pair, choose, choose_correct, hold, list_cases, list_suspects, predict
from .run_context import Scene, own


def grounds_of(scene: Scene, baselines: Mapping[int, Fitted]) -> dict[int, Ground]:
    """The ground of each seed: one for all, or its own where baselines or critiques vary."""
    first, *others = scene.varied("baseline", "critique")
    grounds = {first: ground_of(scene, scene.desk, baselines[first], first)}
    for seed in others:
        desk = replace(scene.desk, part=f"seed-{seed}")
        grounds[seed] = ground_of(scene, desk, own(baselines, seed), seed)
    return grounds


def ground_of(scene: Scene, desk: Desk, baseline: Fitted, seed: int) -> Ground:
    """The mistakes of a baseline on the guide images."""
    guide = scene.splits.guide
    predictions = predict(desk, "guide", baseline, guide, len(scene.splits.labels))
    chosen = choose(guide, predictions, scene.settings.mistakes.max)
    if not scene.splits.train:
        right = predictions.predicted == predictions.labels
        scene.refer_to([sample for sample, known in zip(guide, right, strict=True) if known])
    if not desk.part.startswith("seed-"):
        scene.tell("mistakes", by_pair(predictions))
    list_cases(desk, chosen)
    wanted = any(source.cases == "correct" for source in rows.sources(scene.arms))
    return Ground(
        desk,
        scene.cast.explainer,
        scene.cast.critic,
        scene.context,
        scene.reference_key,
        baseline,
        predictions,
        chosen,
        choose_correct(guide, predictions, chosen) if wanted else (),
        seed,
        draw=scene.seeds.index(seed) if "critique" in scene.settings.experiment.vary else 0,
        scale=scene.settings.panel.scale,
    )


def without_suspects(scene: Scene, grounds: Mapping[int, Ground]) -> dict[int, Ground]:
    """The grounds without the mistakes whose label looks wrong, as the primary source's critiques say."""
    asked, guide = scene.settings.curation.suspects, scene.splits.guide
    found = {seed: hold(one, asked, guide, one.judged(rows.GENERATED)) for seed, one in grounds.items()}
    list_suspects(scene.desk.store, [row for _, suspects in found.values() for row in suspects])
    scene.tell("held", sorted(next(iter(found.values()))[0].held))
    return {seed: ground for seed, (ground, _) in found.items()}
