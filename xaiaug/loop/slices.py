"""Finds slices among the mistakes of a run, where its settings ask for it."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..interfaces import Context
from ..interfaces.source_digest import source_digest
from ..plugins._segmentation import Segmenter, Superpixels
from ..plugins._superpixels import subject_mask
from ..records import JSON, Failure
from ..stages import Diagnosis, choose_compared, find_run_slices
from .causes import create_finder
from .run_context import RunContext

MOST_COMPARED = 400  # correct images; with 200 mistakes the search takes some ten seconds


class GuessingSegmenter:
    """The run's segmenter; where it is not sure, our own segmentation without a judgement.

    Args:
        segmenter: of the run.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._lock = Lock()

    def prepare(self, context: Context) -> None:
        """Opens what it needs."""
        self._segmenter.prepare(context)

    def identity(self) -> dict[str, JSON]:
        """What its masks depend on."""
        return {**self._segmenter.identity(), "guess": source_digest(Superpixels)}

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """The mask of an image: h w, 0 to 1."""
        if isinstance(self._segmenter, Superpixels):  # its masks are the guess, or a refusal
            return subject_mask(image)
        with self._lock:  # a model, and its cache of masks, serve one thread
            found = self._segmenter.mask(image)
        return subject_mask(image) if isinstance(found, Failure) else found


def find_slices(run: RunContext, diagnosis: Diagnosis) -> None:
    """Finds the slices of a diagnosis: groups of its mistakes, compared with correct guide images of their classes."""
    guide, predictions = run.splits.guide, diagnosis.predictions
    correct, share = choose_compared(guide, predictions, MOST_COMPARED)
    wrong = int((predictions.predicted != predictions.labels).sum())
    pairs = list(zip(diagnosis.mistakes, diagnosis.explanations(), strict=True))
    oversampling = (len(pairs) / wrong) / share if wrong else 1.0
    segmenter = GuessingSegmenter(create_finder(run))
    diagnosis.compared = correct
    diagnosis.slices = find_run_slices(diagnosis.runtime, diagnosis.baseline, pairs, correct, segmenter, oversampling)
