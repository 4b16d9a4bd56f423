"""The critic that experiments: it looks for causes by interventions, and reports what holds on other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...causes import Photo, create_ask, describe_cause
from ...interfaces import Context
from ...records import JSON, Case, Critique, Failure
from .._segmentation import create_segmenter, key_by_segmenter
from ._cause_search import CauseOfSlice, CauseSearch
from .measured import MeasuredCritic


class InterventionsCritic(MeasuredCritic):
    """Edits the mistakes of each pair of classes, asks the classifier again, and names the cause that holds.

    Every kind of cause (see `xaiaug.Cause`), and every spot off the subject that the maps of several images mark, is
    tried on half of the mistakes of a pair. The most promising one is tried on the other half; where it is confirmed
    there, all mistakes of the pair get it as their cause, in words with counts. Otherwise, and outside a run, it states
    what `measured` does. It needs no key, no weights and no network, but a classifier that answers quickly: some
    thousand predictions for each pair of classes.

    Args:
        level: as in `measured`.
        reference: likewise.
        medium: likewise.
        seed: of edits, and of the choice of training images.
        segmenter: finds subjects, as in `remix`; None: the library's own.

    Raises:
        ConfigError: a parameter out of its range.
    """

    version = "1"

    def __init__(
        self,
        level: float = 0.05,
        reference: int = 200,
        medium: str = "photo",
        seed: int = 0,
        segmenter: str | dict[str, JSON] | None = None,
    ) -> None:
        super().__init__(level, reference, medium, seed)
        self.segmenter = segmenter
        self._segmenter = create_segmenter(segmenter, type(self).__name__)
        self._context = Context()
        self._found: dict[tuple[str, str], CauseOfSlice] | None = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and a digest of the segmenter's files."""
        return key_by_segmenter(super().identity(), self._segmenter)

    def check(self) -> None:
        """Raises ConfigError if the segmenter's file is missing, MissingExtraError if its package is."""
        self._segmenter.check()

    def prepare(self, context: Context) -> None:
        """As in `measured`; opens the segmenter."""
        super().prepare(context)
        self._segmenter.prepare(context)
        if context.explained is not self._context.explained:
            self._found = None
        self._context = context

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; each depends on its case, the training images and the explained ones."""
        found = self._search()
        return [
            self._state(case, made, found.get((case.label, case.predicted))) if isinstance(made, Critique) else made
            for case, made in zip(cases, super().critique(cases), strict=True)
        ]

    def _search(self) -> dict[tuple[str, str], CauseOfSlice]:
        context = self._context
        if self._found is None:
            self._found = {}
            if context.predict_proba is not None and context.explained:
                ask = create_ask(type(self).__name__, context.predict_proba, len(context.labels))
                looks = self._shared_regions().looks
                search = CauseSearch(context.explained, context.labels, ask, self._segmenter.mask, looks, self.seed)
                self._found = search.search()
        return self._found

    def _state(self, case: Case, made: Critique, found: CauseOfSlice | None) -> Critique:
        if found is None:
            return made
        verdict = found.judged.verdict
        if verdict.outcome != "confirmed":
            return replace(made, evidence=(*made.evidence, f"tried: {verdict.sentence}"))
        cause = found.state(Photo(case.id, case.image, self._segmenter.mask))
        return replace(
            made,
            cause=f"{_begin(describe_cause(cause))}: {verdict.sentence.partition(': ')[2]}",
            evidence=(f"tried on the other half of these mistakes: {verdict.sentence}", *made.evidence),
            confidence=0.9,
            testable=cause,
        )


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]
