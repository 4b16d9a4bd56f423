"""Tries settings of an arm's method on validation: as many for every arm, once, with the first seed."""

from __future__ import annotations

from dataclasses import replace

from ..arms import list_factors, scale_recipe
from ..config import ExperimentTable
from ..data import Splits
from ..errors import ConfigError
from ..metrics import Scorer, form_groups
from ..records import Recipe
from ..stages import Predictions, Training, predict
from ..store.schema import predict_validation_stage, tried_part
from .run_context import RunContext

FEWEST = 20  # validation images, below which the choice is noise


def check_tuning(experiment: ExperimentTable, splits: Splits) -> None:
    """Raises ConfigError if settings are to be tried, and validation cannot choose among them."""
    if experiment.settings_tried == 1:
        return
    who, images = f"[experiment] settings_tried = {experiment.settings_tried}", splits.validation
    if len(images) < FEWEST:
        raise ConfigError(f"{who}: needs {FEWEST} validation images to choose by, there are {len(images)}")
    found = form_groups([one.label for one in images], [one.groups for one in images], experiment.smallest_group)
    if experiment.metric == "worst-group" and found.large is None:
        raise ConfigError(
            f'{who}: metric = "worst-group" needs a group of {experiment.smallest_group} validation images of one'
            " class to choose by, and there is none. Give more validation images, or set smallest_group lower"
        )


def tune(run: RunContext, training: Training) -> Recipe:
    """The recipe that does best on validation by the run's metric; of equals, the one nearest to the published one.

    Args:
        run: with `[experiment] settings_tried` of at least 1.
        training: of an arm with the first seed.
    """
    factors = list_factors(run.settings.experiment.settings_tried)
    assert training.recipe is not None  # noqa: S101  arms that are not trained are not tuned
    recipes = [scale_recipe(training.recipe, factor) for factor in factors]
    if len(recipes) == 1:
        return recipes[0]
    scores = [
        _try(run, tried_part(factor), replace(training, recipe=recipe))
        for factor, recipe in zip(factors, recipes, strict=True)
    ]
    return recipes[scores.index(max(scores))]


def _try(run: RunContext, part: str, training: Training) -> float:
    runtime = run.runtime.in_part(part)
    fitted, stage = run.fit(runtime, training), predict_validation_stage(training.arm, training.seed)
    return _score(run, predict(runtime, stage, fitted, run.splits.validation, len(run.splits.labels)))


def _score(run: RunContext, predictions: Predictions) -> float:
    experiment, images = run.settings.experiment, run.splits.validation
    groups = form_groups(predictions.labels.tolist(), [one.groups for one in images], experiment.smallest_group).large
    return Scorer(experiment.metric).score(predictions.labels, predictions.probabilities, groups)
