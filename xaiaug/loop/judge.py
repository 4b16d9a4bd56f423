"""The judge that checks the labels of new images: a classifier other than the one that made the mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..config import PluginTable, Settings, create_plugin
from ..curation import ADMISSION_THRESHOLD, Judge
from ..data import Splits
from ..errors import ConfigError
from ..interfaces import Classifier
from ..plan import forbidden
from ..records import Recipe
from ..stages import Diagnosis, Training, examine_judge, fit

AUTO, OWN = "auto", "hog"  # the classifier that "auto" fits: of another family than any network
KNOWN = (OWN, "zero-shot")  # whose training data need no declaration: this run's, or their publisher's
FOLDER = "curation-judge"


def create_judge(settings: Settings, examined: Classifier) -> Classifier | None:
    """The judge that the settings name, not yet prepared; None where no check needs one.

    Raises:
        ConfigError: it is the classifier that made the mistakes, or its parameters do not fit.
        OfflineError: it talks to an outside service that the settings do not allow.
    """
    if not {"label", "alike"} & set(settings.curation.checks):
        return None
    judge: Classifier = create_plugin("classifier", _table(settings))
    if error := forbidden("judge of the curation", _table(settings).name, judge, settings):
        raise error
    if judge.identity() == examined.identity():
        automatic = f'"{AUTO}" fits ' if settings.curation.judge == AUTO else ""
        raise ConfigError(
            f"[curation] judge: {automatic}{_table(settings).name}, which is the classifier that made the mistakes: it "
            "would reject the very images that fix them. Name another one, such as zero-shot, or leave "
            '"label" and "alike" out of checks'
        )
    return judge


def admit_judge(
    settings: Settings, judge: Classifier, splits: Splits, diagnosis: Diagnosis
) -> tuple[Judge | None, dict[str, Any]]:
    """The judge as the filter needs it, and what the report says of it.

    A judge that was fitted here is admitted by its share of the guide's mistakes alone; one that the user named is
    trusted, and its share is reported.

    Args:
        settings: of the run.
        judge: as `create_judge` gives it.
        splits: whose training images it may learn from.
        diagnosis: of the round: whose mistakes it is asked about, and where its weights and answers are kept.
    """
    name, fits_here = _table(settings).name, _table(settings).name == OWN
    exam = {
        "name": name,
        "trained_on": _describe_training(settings),
        "right": 0,
        "of": 0,
        "needed": ADMISSION_THRESHOLD,
    }
    mistakes = [mistake for mistake in diagnosis.mistakes if mistake.sample.id not in diagnosis.held]
    if not mistakes or (fits_here and not splits.train):
        return None, exam
    recipe, train = (Recipe(), splits.train) if fits_here else (None, ())
    fitted = fit(diagnosis.runtime, judge, Training(FOLDER, diagnosis.seed, recipe, train, ()))
    checks = settings.curation.checks
    result = examine_judge(diagnosis.runtime, fitted, mistakes, splits.train, len(splits.labels), "alike" in checks)
    admitted = None if "label" not in checks else not fits_here or result.right >= ADMISSION_THRESHOLD * result.of
    exam |= {"right": result.right, "of": result.of, "admitted": admitted, "alike": result.alike}
    return Judge(name, splits.labels, fitted.load, fitted.key, bool(admitted), result.alike), exam


def _table(settings: Settings) -> PluginTable:
    named = settings.curation.judge
    if isinstance(named, str):
        return PluginTable(name=OWN if named == AUTO else named)
    return PluginTable(name=named.name, **named.parameters)


def _describe_training(settings: Settings) -> str:
    """What it learned from, in words; empty where it is not declared."""
    named = settings.curation.judge
    declared = "" if isinstance(named, str) else named.trained_on
    usual: Sequence[str] = ("this run's training images", "images and texts of its publisher")
    return declared or dict(zip(KNOWN, usual, strict=True)).get(_table(settings).name, "")
