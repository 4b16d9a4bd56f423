"""Tests the causes that a critic states, before images are made for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from ..causes import (
    MOST_POOL,
    CauseOfMistake,
    EditedImage,
    Photo,
    Segment,
    Slice,
    StatedCause,
    create_ask,
    group_causes,
    judge_trials,
    parse_cause,
    run_trial,
)
from ..causes.trial import Arms, Trial
from ..interfaces import Context
from ..interfaces.source_digest import source_digest
from ..records import JSON, Cause, CauseVerdict, Critique, Failure, MistakeSlice, Sample
from ..slices import is_for_finding
from ..store import Blob
from ..store.schema import causes_judged_stage, causes_stage
from ..store.stage_rows import ArmsRow, CauseRow, TrialRow
from .chunks import Item, Stage, complete
from .mistakes import Mistake
from .plugin_guard import blame_plugin
from .predict import Predictions
from .runtime import Fitted, StageRuntime
from .stage_work import Rebuilt

SHOWN = 2  # images of each group that are kept for the report
REMEMBERED = 2 * MOST_POOL  # photos: the correct images of the two classes of a slice


class SubjectFinder(Protocol):
    """Finds the subject of an image; a segmenter of the plugins."""

    def prepare(self, context: Context) -> None:
        """Opens what it needs."""

    def identity(self) -> dict[str, JSON]:
        """What its masks depend on."""

    @property
    def mask(self) -> Segment:
        """RGB image to mask, h w, 0 to 1, or a Failure."""


@dataclass(frozen=True)
class SliceSamples:
    """A slice, its images not opened yet; see `causes.Slice`."""

    label: int
    predicted: int
    stated: Sequence[tuple[Sample, Cause]]
    correct: Sequence[Sample]
    others: Sequence[Sample]

    @property
    def key(self) -> JSON:
        """What its trial depends on."""
        pools: list[JSON] = [[one.id for one in pool] for pool in (self.correct, self.others)]
        return [self.label, self.predicted, [[one.id, asdict(cause)] for one, cause in self.stated], *pools]


@dataclass
class _Work(Rebuilt):
    fitted: Fitted
    classes: int
    finder: SubjectFinder
    context: Context
    seed: int
    photos: OrderedDict[str, Photo] = field(default_factory=OrderedDict, init=False)

    def __call__(self, chosen: list[SliceSamples]) -> list[Any]:
        self.finder.prepare(self.context)
        who = f"{self.fitted.kind.__name__}.predict_proba"
        with blame_plugin(who):
            ask = create_ask(who, self.fitted.load().predict_proba, self.classes)
            return [_trial_row(run_trial(ask, self._open(one), self.seed, SHOWN)) for one in chosen]

    def _open(self, chosen: SliceSamples) -> Slice:
        stated = [StatedCause(self._create(sample), cause) for sample, cause in chosen.stated]
        correct, others = ([self._recall(sample) for sample in pool] for pool in (chosen.correct, chosen.others))
        return Slice(chosen.label, chosen.predicted, stated, correct, others)

    def _create(self, sample: Sample) -> Photo:
        return Photo(sample.id, sample.open(), self.finder.mask)

    def _recall(self, sample: Sample) -> Photo:
        """The photo of a correct image, which other slices of its class need too; the oldest are forgotten."""
        photo = self.photos.pop(sample.id, None) or self._create(sample)
        self.photos[sample.id] = photo
        if len(self.photos) > REMEMBERED:
            self.photos.popitem(last=False)
        return photo


def choose_correct_pool(samples: Sequence[Sample], predictions: Predictions) -> dict[int, list[Sample]]:
    """At most 60 correctly classified images of each class, the first by their ids."""
    right = np.flatnonzero(predictions.predicted == predictions.labels).tolist()
    pool: dict[int, list[Sample]] = {}
    for i in sorted(right, key=lambda i: samples[i].id):
        of_class = pool.setdefault(int(predictions.labels[i]), [])
        if len(of_class) < MOST_POOL:
            of_class.append(samples[i])
    return pool


def try_stated_causes(
    runtime: StageRuntime,
    fitted: Fitted,
    stated: Sequence[tuple[Mistake, Critique | Failure]],
    correct: dict[int, list[Sample]],
    finder: SubjectFinder,
    heatmaps: str = "explained",
) -> Sequence[CauseRow]:
    """One row a slice of mistakes that state the same kind of cause, the largest first.

    Args:
        runtime: where they are kept.
        fitted: the classifier that is asked.
        stated: the chosen mistakes, each with its critique.
        correct: correctly classified images by class.
        finder: of subjects, not yet prepared.
        heatmaps: what the critic was shown.

    Raises:
        PluginError: the classifier returned no probabilities.
    """
    return _try_slices(runtime, fitted, _choose_slices(stated, correct), finder, heatmaps)


def try_slice_causes(
    runtime: StageRuntime,
    fitted: Fitted,
    slices: Sequence[MistakeSlice],
    mistakes: Sequence[Mistake],
    correct: dict[int, list[Sample]],
    finder: SubjectFinder,
) -> Sequence[CauseRow]:
    """One row a slice whose name states a cause, tested on its mistakes from the half that it was not found on.

    Args:
        runtime: where they are kept.
        fitted: the classifier that is asked.
        slices: of the mistakes.
        mistakes: those that slices name.
        correct: correctly classified images by class.
        finder: of subjects, not yet prepared.

    Raises:
        PluginError: the classifier returned no probabilities.
    """
    by_id, labels = {one.sample.id: one for one in mistakes}, list(runtime.context.labels)
    chosen = []
    for one in slices:
        members = [by_id[case].sample for case in one.cases if not is_for_finding(case)]
        if one.cause is None or one.label is None or one.predicted is None or not members:
            continue
        label, predicted = labels.index(one.label), labels.index(one.predicted)
        stated = [(sample, one.cause) for sample in members]
        chosen.append(SliceSamples(label, predicted, stated, correct.get(label, []), correct.get(predicted, [])))
    return _try_slices(runtime, fitted, chosen, finder, "slices")


def _try_slices(
    runtime: StageRuntime, fitted: Fitted, chosen: Sequence[SliceSamples], finder: SubjectFinder, stated_by: str
) -> Sequence[CauseRow]:
    labels = runtime.context.labels
    basis = {"model": fitted.key, "finder": finder.identity(), "source": source_digest(Trial)}
    stage = Stage(causes_stage(stated_by), "test causes", basis, 1, spread=True, plugin=fitted.kind)
    items = [Item(one.key, one) for one in chosen]
    rows = complete(runtime, stage, items, _Work(fitted, len(labels), finder, runtime.context, seed=0))
    pairs = list(zip(chosen, rows, strict=True))
    judge = Stage(causes_judged_stage(stated_by), "test causes", list(labels), max(1, len(pairs)))
    return complete(runtime, judge, [Item([one.key, row], (one, row)) for one, row in pairs], _Judge(labels))


def _choose_slices(
    stated: Sequence[tuple[Mistake, Critique | Failure]], correct: dict[int, list[Sample]]
) -> list[SliceSamples]:
    causes = [(one, parse_cause(critique) if isinstance(critique, Critique) else None) for one, critique in stated]
    groups = group_causes([CauseOfMistake(one.sample.label, one.predicted, cause) for one, cause in causes])
    chosen = []
    for places in groups:
        members = [(one.sample, cause) for one, cause in (causes[place] for place in places) if cause is not None]
        label, predicted = members[0][0].label, causes[places[0]][0].predicted
        chosen.append(SliceSamples(label, predicted, members, correct.get(label, []), correct.get(predicted, [])))
    return chosen


@dataclass(frozen=True)
class _Judge:
    labels: Sequence[str]

    def __call__(self, pairs: list[tuple[SliceSamples, TrialRow]]) -> list[Any]:
        trials = [_trial_of(one, row) for one, row in pairs]
        return [
            CauseRow(
                verdict=_plain(judged.verdict), mistakes=row["mistakes"]["images"], correct=row["correct"]["images"]
            )
            for judged, (_, row) in zip(judge_trials(trials, self.labels), pairs, strict=True)
        ]


def _plain(verdict: CauseVerdict) -> dict[str, Any]:
    """The verdict as JSON: an interval of infinite width is none."""
    row = asdict(verdict)
    return {**row, **{name: None for name in ("low", "high") if row[name] is not None and not np.isfinite(row[name])}}


def _trial_row(trial: Trial) -> dict[str, Any]:
    """A `TrialRow` whose images are still to be kept."""
    groups = {"mistakes": trial.mistakes, "correct": trial.correct}
    rows = {name: _arms_row(arms) for name, arms in groups.items()}
    return {**rows, "absent": trial.absent, "uneditable": trial.uneditable}


def _arms_row(arms: Arms) -> dict[str, Any]:
    return {
        "rise": {name: values.tolist() for name, values in arms.rise.items()},
        "right": {name: values.tolist() for name, values in arms.right.items()},
        "nuisance": arms.nuisance,
        "total": arms.total,
        "images": [_image_row(image) for image in arms.images],
    }


def _image_row(image: EditedImage) -> dict[str, Any]:
    pictures = {"before": image.before, "after": image.after, "elsewhere": image.elsewhere}
    return {"id": image.id, **{name: Blob.image(one) for name, one in pictures.items()}, "right": list(image.right)}


def _trial_of(chosen: SliceSamples, row: TrialRow) -> Trial:
    """A trial as it was committed, without its images."""
    stated = tuple((sample.id, cause) for sample, cause in chosen.stated)
    groups = _arms_of(row["mistakes"]), _arms_of(row["correct"])
    return Trial(chosen.label, chosen.predicted, stated, *groups, row["absent"], row["uneditable"])


def _arms_of(row: ArmsRow) -> Arms:
    rise = {name: np.array(values, float) for name, values in row["rise"].items()}
    right = {name: np.array(values, bool) for name, values in row["right"].items()}
    return Arms(rise, right, row["nuisance"], (), row["total"])
