"""The demo: the entire loop on drawn cats and dogs, without a key, GPU or download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import petworld
from .data import Splits
from .loop import FeedbackLoop
from .records import Progress, Recipe
from .results import Result

SIZES = {"train": 800, "guide": 1400, "validation": 40, "test": 500}
BASELINE = Recipe(steps=80, batch_size=16, learning_rate=5e-4)
ARMS = Recipe(steps=60, batch_size=16, learning_rate=5e-4)


def demo(run_dir: str | Path = "runs/demo", *, watch: Callable[[Progress], None] | None = None) -> Result:
    """Draws cats and dogs with a planted shortcut, then fine-tunes, diagnoses mistakes, retrains and compares.

    Args:
        run_dir: the run folder; the drawings are written next to it, in a folder with the suffix "-world".
        watch: called with each progress update.

    Raises:
        RunLockedError: another process owns the run folder.
    """
    run_dir = Path(run_dir).expanduser()
    world = run_dir.with_name(f"{run_dir.name}-world")
    if watch:
        watch(Progress("draw the world", 0, sum(SIZES.values())))
    petworld.write_world(world, sizes=SIZES, seed=0)
    loop = FeedbackLoop(
        "transformers",
        synthesizer="petworld",
        recipe=ARMS,
        baseline_recipe=BASELINE,
        settings={"classifier": {"checkpoint": str(petworld.checkpoint())}},
    )
    return loop.run(Splits.from_folder(world), run_dir, watch=watch)
