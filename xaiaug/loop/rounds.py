"""Rounds before the last: each promotes one training, as long as mistakes get fewer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .. import arms as rows
from ..errors import ConfigError
from ..records import Arm, ImageSource
from ..stages import Fitted, Ground, Training, by_pair
from .diagnosis import ground_of, without_suspects
from .generation import Drawing
from .run_context import Scene


def promoted(scene: Scene, drawing: Drawing, baseline: Fitted) -> Fitted:
    """Where the last round starts; the baseline itself where there is but one."""
    left: list[int] = []
    for number in range(1, scene.settings.experiment.rounds):
        desk = replace(scene.desk, part=f"round-{number}")
        ground = ground_of(scene, desk, baseline, scene.seeds[0])
        found = sum(count for _, _, count in by_pair(ground.predictions))
        if not found or (left and found >= left[-1]):
            break
        left.append(found)
        mended = _mended(scene, drawing, ground)
        if mended is None:
            break
        baseline = mended
    scene.tell("rounds", left)
    return baseline


def _mended(scene: Scene, drawing: Drawing, ground: Ground) -> Fitted | None:
    """The promoted arm, trained with the first seed; None where there is nothing to train it on."""
    arm, source = _promoted_arm(scene)
    seed = scene.seeds[0]
    ground = without_suspects(scene, {seed: ground})[seed]
    synthetic = drawing.of_round(ground, source)
    if not synthetic:
        return None
    recipe, count = rows.recipe_for(arm, scene.recipe), Counter(sample.label for sample in synthetic)
    passes = recipe.steps * recipe.batch_size
    train = rows.training_set(arm, scene.real(ground.mistakes), synthetic, count, passes=passes, seed=seed)
    return scene.fit(ground.desk, Training(arm.name, seed, recipe, train, scene.splits.validation, ground.baseline))


def _promoted_arm(scene: Scene) -> tuple[Arm, ImageSource]:
    name = scene.settings.experiment.promote
    for arm in scene.arms:
        if arm.name == name and arm.images is not None:
            return arm, arm.images
    raise ConfigError(
        f"[experiment] promote = {name!r} must name an arm of this run that trains on new images; it has "
        f"{', '.join(arm.name for arm in scene.arms if arm.images)}"
    )
