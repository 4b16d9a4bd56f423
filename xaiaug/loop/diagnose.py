"""What a classifier that is there already gets wrong, and why: no training, no test set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..data import Splits
from ..errors import DataError
from ..interfaces import Critic, Explainer
from ..records import Progress
from ..results import Result
from .feedback import FeedbackLoop


def diagnose(
    checkpoint: str | Path,
    data: str | Path,
    run_dir: str | Path = "runs/diagnose",
    *,
    explainer: str | Explainer = "auto",
    critic: str | Critic = "measured",
    most: int | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> Result:
    """Mistakes, heatmaps and critiques of a trained classifier.

    Args:
        checkpoint: a folder that the classifier `transformers` reads, with a trained head.
        data: class/image, all of it taken as the guide: the critic then compares with the images the classifier gets
            right; or split/class/image, whose guide (else validation) split is looked at and whose train split is
            compared with.
        run_dir: the run folder.
        explainer: an object or a registered name.
        critic: likewise.
        most: mistakes to look into; None: all.
        watch: receives the progress of the run.

    Raises:
        NotFittedError: the checkpoint has no trained head.
        DataError: the data cannot be used, have other classes than the classifier, or have splits but neither guide nor
            validation.
    """
    loop = FeedbackLoop(
        "transformers",
        explainer,
        critic,
        settings={
            "classifier": {"checkpoint": str(checkpoint)},
            "mistakes": {"max": most or "all"},
            "experiment": {"fit_baseline": False},
        },
    )
    return loop.run(_as_guide(Path(data)), run_dir, until="critique", watch=watch)


def _as_guide(folder: Path) -> Splits:
    splits = Splits.from_folder(folder, guide=0.0, validation=0.0, test=0.0)
    if splits.guide or splits.validation:
        guide = splits.guide or splits.validation
        return replace(splits, guide=guide, validation=(), test=(), reserve=())
    if splits.given:
        raise DataError(
            f"{folder} has the splits {', '.join(splits.given)}, but neither guide nor validation. Mistakes on images "
            "that the classifier was trained on say little, and test is looked at once, at the end: add a folder "
            "guide, or give a folder of class/image that is all to be looked at"
        )
    return replace(splits, train=(), guide=splits.train)
