"""Who checks the labels of new images: a classifier other than the one being mended."""

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


def create_judge(settings: Settings, mended: Classifier) -> Classifier | None:
    """The judge that the settings name, not yet prepared; None where no check asks one.

    Raises:
        ConfigError: it is the classifier that is mended, or its parameters do not fit.
        OfflineError: it talks to an outside service that the settings do not allow.
    """
    if not {"label", "alike"} & set(settings.curation.checks):
        return None
    judge: Classifier = create_plugin("classifier", _table(settings))
    if error := forbidden("judge of the curation", _table(settings).name, judge, settings):
        raise error
    if judge.identity() == mended.identity():
        raise ConfigError(
            "[curation] judge is the classifier being mended: it would reject the very images that mend it. Name "
            'another one, "auto", or leave "label" and "alike" out of checks'
        )
    return judge


def admit_judge(
    settings: Settings, judge: Classifier, splits: Splits, diagnosis: Diagnosis
) -> tuple[Judge | None, dict[str, Any]]:
    """The judge as the gate needs it, and what the report tells of it.

    One that was fitted here is admitted by its share of the guide's mistakes alone; one the user named is taken at the
    user's word, and its share is told.

    Args:
        settings: of the run.
        judge: as `create_judge` gives it.
        splits: whose training images it may learn from.
        diagnosis: of the round: whose mistakes it is asked about, and where its weights and answers are kept.
    """
    name, own = _table(settings).name, _table(settings).name == OWN
    told = {"name": name, "trained_on": _trained_on(settings), "right": 0, "of": 0, "needed": ADMISSION_THRESHOLD}
    doubted = [mistake for mistake in diagnosis.mistakes if mistake.sample.id not in diagnosis.held]
    if not doubted or (own and not splits.train):
        return None, told
    recipe, train = (Recipe(), splits.train) if own else (None, ())
    fitted = fit(diagnosis.runtime, judge, diagnosis.context, Training(FOLDER, diagnosis.seed, recipe, train, ()))
    checks = settings.curation.checks
    found = examine_judge(diagnosis.runtime, fitted, doubted, splits.train, len(splits.labels), "alike" in checks)
    admitted = None if "label" not in checks else not own or found.right >= ADMISSION_THRESHOLD * found.of
    told |= {"right": found.right, "of": found.of, "admitted": admitted, "alike": found.alike}
    return Judge(name, splits.labels, fitted.load, fitted.key, bool(admitted), found.alike), told


def _table(settings: Settings) -> PluginTable:
    named = settings.curation.judge
    if isinstance(named, str):
        return PluginTable(name=OWN if named == AUTO else named)
    return PluginTable(name=named.name, **named.parameters)


def _trained_on(settings: Settings) -> str:
    """What it learned from, in words; empty where nobody said."""
    named = settings.curation.judge
    said = "" if isinstance(named, str) else named.trained_on
    usual: Sequence[str] = ("this run's training images", "images and texts of its publisher")
    return said or dict(zip(KNOWN, usual, strict=True)).get(_table(settings).name, "")
