"""Finds the real images that remedies without new images train on, and the masks that a method reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import arms as rows
from ..arms import DISAGREEMENTS, RETRIEVED
from ..plugins._segmentation import Superpixels, create_segmenter
from ..plugins.synthesizers._mask_folder import MaskFolder
from ..plugins.synthesizers._subject_masks import SubjectMasks
from ..records import JSON, Failure, Sample
from ..stages import Diagnosis, choose_disagreements, early_weights, embed_images, order_by_nearness, predict
from ..store.schema import EMBED_MISTAKES, EMBED_RESERVE, PREDICT_EARLY
from .run_context import RunContext


def find_real_images(run: RunContext, diagnoses: Mapping[int, Diagnosis]) -> None:
    """Has each diagnosis find the guide and reserve images that arms of this run train on."""
    for diagnosis in diagnoses.values():
        if run.takes(DISAGREEMENTS):
            diagnosis.disagreements = _find_disagreements(run, diagnosis)
        if run.takes(RETRIEVED):
            diagnosis.retrieved = _retrieve(run, diagnosis)


def _find_disagreements(run: RunContext, diagnosis: Diagnosis) -> Sequence[Sample]:
    early, guide = early_weights(diagnosis.baseline), run.splits.guide
    if early is None:
        return ()
    predictions = predict(diagnosis.runtime, PREDICT_EARLY, early, guide, len(run.splits.labels))
    return choose_disagreements(guide, diagnosis.predictions, predictions)


def _retrieve(run: RunContext, diagnosis: Diagnosis) -> Sequence[Sample]:
    """The reserve images in the order that mistakes take them; all, unless no arm makes images to be as many as."""
    mistakes = [one.sample for one in diagnosis.mistakes if one.sample.id not in diagnosis.held]
    reserve, runtime, baseline = run.splits.reserve, diagnosis.runtime, diagnosis.baseline
    if not mistakes:
        return ()
    embedded = embed_images(runtime, EMBED_MISTAKES, baseline, mistakes)
    pool_embedded = None if embedded is None else embed_images(runtime, EMBED_RESERVE, baseline, reserve)
    if embedded is None or pool_embedded is None:
        return ()
    ordered = order_by_nearness(mistakes, embedded, reserve, pool_embedded)
    return ordered if rows.sources(run.arms) else _cut(run, mistakes, ordered)


def _cut(run: RunContext, mistakes: Sequence[Sample], ordered: Sequence[Sample]) -> list[Sample]:
    """As many of each class as would be made for the mistakes."""
    experiment = run.settings.experiment
    most, left = experiment.images_per_class_max, Counter(sample.label for sample in mistakes)
    for label, count in left.items():
        wanted = count * experiment.images_per_mistake
        left[label] = wanted if most is None else min(wanted, most)
    chosen = []
    for sample in ordered:
        left[sample.label] -= 1
        if left[sample.label] >= 0:
            chosen.append(sample)
    return chosen


@dataclass(frozen=True, eq=False)
class SubjectReader:
    """The masks of the subjects of a run's images, by the settings of its synthesizers or its critic.

    Attributes:
        masks: finds them.
        key: what they depend on besides the image.
    """

    masks: SubjectMasks
    key: JSON

    @classmethod
    def of(cls, run: RunContext) -> SubjectReader:
        """By the folder of masks, and the segmenter, that a synthesizer or else the critic is set to; else our own."""
        plugins = (*run.plugins.synthesizers.values(), run.plugins.synthesizer, run.plugins.critic)
        settings = {
            name: next((value for plugin in plugins if (value := getattr(plugin, name, None))), None)
            for name in ("masks", "segmenter")
        }
        segmenter = None if settings["segmenter"] is None else create_segmenter(settings["segmenter"], "subject masks")
        if segmenter is not None:
            segmenter.prepare(run.runtime.context)
        folder = None if settings["masks"] is None else MaskFolder(str(settings["masks"]), "subject masks")
        key: JSON = {
            "segmenter": (segmenter or Superpixels()).identity(),
            "masks": None if folder is None else folder.digest(),
        }
        return cls(SubjectMasks(segmenter, folder), key)

    def attach(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples, each with the mask of its subject, found when it is asked for."""
        return [replace(sample, subject=_Subject(self.masks, sample)) for sample in samples]


@dataclass(frozen=True, eq=False)
class _Subject:
    masks: SubjectMasks
    sample: Sample

    def __call__(self) -> NDArray[np.float32] | None:
        found = self.masks.find(self.sample.id, self.sample.open().convert("RGB"))
        return None if isinstance(found, Failure) else found
