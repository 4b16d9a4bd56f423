"""A classifier's mistakes, their heatmaps and what critics write about them: what every new image starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..arms import uses_critic
from ..interfaces import Critic, Explainer
from ..records import Critique, Failure, ImageSource, MistakeSlice, Sample
from ..store.stage_rows import CauseRow, CritiqueRow, ExplainRow, cause_verdict_of
from .causes import SubjectFinder, try_slice_causes, try_stated_causes
from .control_maps import draw_random_maps, mark_maps, remove_maps, shuffle_maps
from .control_prompts import apply_source_prompts, class_name_critique
from .critique import CritiqueOptions, Peers, critique, to_critiques
from .explain import explain
from .image_requests import SourceCase
from .mistakes import Mistake
from .predict import Predictions
from .runtime import Fitted, StageRuntime
from .slice_critique import SlicesToAsk, critique_slices
from .votes import Voter, collect_votes

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(eq=False)
class Diagnosis:
    """The mistakes of one classifier; explains and criticises them when asked for, once.

    Attributes:
        runtime: where work is kept, and what plugins may know.
        explainer: not yet prepared.
        voters: the critic, and how often it is asked, and others beside it; at least one.
        baseline: the classifier.
        predictions: of the baseline for the guide.
        mistakes: the chosen ones.
        correct: as many guide images of each class that the baseline gets right.
        donors: training images that the baseline gets right.
        train_mistakes: training images that it gets wrong, where an arm repeats them.
        disagreements: guide images on which it differs most from its own early weights, where an arm trains on them.
        retrieved: reserve images nearest to its mistakes, where an arm trains on them, in the order they are taken.
        finder: of subjects, for the tests of causes; not yet prepared. None: causes are not tested.
        correct_pool: correctly classified guide images by class: causes are tried on them, and critics may see some.
        marks: the folder with the masks of a planted mark, for the maps of an oracle; None where there is none.
        seed: decides the control maps and random prompts.
        slices: groups of the mistakes; none where they were not looked for.
        compared: the correct images that these were compared with.
        unsliced: "ask" or "skip": the critic is asked once a slice, and this becomes of mistakes in none; None: it is
            asked about each mistake.
        draw: which critique this is of the same cases; above 0 the critic is asked afresh.
        scale: of the panels' colours: "image" or "run".
        held: ids of mistakes whose label looks wrong: no image is made from them.
    """

    runtime: StageRuntime
    explainer: Explainer
    voters: Sequence[Voter]
    baseline: Fitted
    predictions: Predictions
    mistakes: Sequence[Mistake]
    correct: Sequence[Mistake]
    seed: int
    draw: int = 0
    scale: str = "image"
    held: frozenset[str] = frozenset()
    donors: Sequence[Mistake] = ()
    train_mistakes: Sequence[Mistake] = ()
    marks: Path | None = None
    finder: SubjectFinder | None = None
    correct_pool: dict[int, list[Sample]] = field(default_factory=dict)
    slices: Sequence[MistakeSlice] = ()
    disagreements: Sequence[Sample] = ()
    retrieved: Sequence[Sample] = ()
    compared: Sequence[Mistake] = ()
    unsliced: str | None = None
    _explained: dict[str, Sequence[ExplainRow]] = field(default_factory=dict, init=False, repr=False)
    _shown: dict[tuple[str, str], Sequence[ExplainRow]] = field(default_factory=dict, init=False, repr=False)
    _causes: dict[str, Sequence[CauseRow]] = field(default_factory=dict, init=False, repr=False)
    _critiques: dict[tuple[str, str], Sequence[Critique | Failure]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        for chosen in (self.mistakes, self.correct, self.donors, self.runtime.context.train or ()):
            samples = (one if isinstance(one, Sample) else one.sample for one in chosen)
            self.runtime.keep_from_test(samples, type(self.voters[0].critic).__name__)

    def explanations(self, cases: str = "mistakes") -> Sequence[ExplainRow]:
        """The heatmaps of "mistakes", "correct" or "train-correct" cases."""
        return _once(
            self._explained,
            cases,
            lambda: explain(self.runtime, self.explainer, self.baseline, self._cases(cases), cases),
        )

    def critiques(self, source: ImageSource) -> Sequence[Critique | Failure]:
        """The critiques of a source whose words are a critic's."""
        return _once(self._critiques, (source.cases, source.map), lambda: self._criticize(source))

    def causes(self, source: ImageSource) -> Sequence[CauseRow]:
        """What the tests of the causes that a source's critic stated came to; none where causes are not tested."""
        return _once(self._causes, source.map, lambda: self._test_causes(source)) if self.finder else ()

    def test_slices(self) -> None:
        """Tests what the names of the slices state, where causes are tested."""
        if self.finder is not None and self.slices:
            try_slice_causes(self.runtime, self.baseline, self.slices, self.mistakes, self.correct_pool, self.finder)

    @property
    def slice_of(self) -> dict[str, int]:
        """The number of the slice of each mistake that is in one, by its id."""
        return {case: number for number, one in enumerate(self.slices) for case in one.cases}

    def cases(self, source: ImageSource) -> list[SourceCase]:
        """The cases of a source but those held out: the image, the heatmap of this source, and what is asked for."""
        chosen, rows = self._cases(source.cases), self._maps(source)
        labels = self.runtime.context.labels
        critiques = (
            self.critiques(source)
            if uses_critic(source)
            else [class_name_critique(labels[mistake.sample.label]) for mistake in chosen]
        )
        left_out = self.held | self._unconfirmed(source)
        return [
            (mistake, row, self._apply(source, mistake, answer))
            for mistake, row, answer in zip(chosen, rows, critiques, strict=True)
            if mistake.sample.id not in left_out
        ]

    def _unconfirmed(self, source: ImageSource) -> set[str]:
        """Ids of mistakes that a source leaves out because their stated cause is not confirmed."""
        if source.causes == "all":
            return set()
        verdicts = [cause_verdict_of(row) for row in self.causes(source)]
        confirmed = {name for verdict in verdicts if verdict.outcome == "confirmed" for name in verdict.cases}
        return {mistake.sample.id for mistake in self.mistakes} - confirmed

    def _test_causes(self, source: ImageSource) -> Sequence[CauseRow]:
        assert self.finder is not None  # noqa: S101  causes() asks
        stated = list(zip(self.mistakes, self.critiques(source), strict=True))
        return try_stated_causes(self.runtime, self.baseline, stated, self.correct_pool, self.finder, source.map)

    def _criticize(self, source: ImageSource) -> Sequence[Critique | Failure]:
        options = CritiqueOptions(source.cases, source.map, self.draw, self.scale, correct=self.correct_pool)
        rows = collect_votes(self.runtime, self.voters, options, partial(self._ask, source))
        return to_critiques(self.voters[0].critic, rows)

    def _ask(self, source: ImageSource, critic: Critic, options: CritiqueOptions) -> Sequence[CritiqueRow]:
        chosen, rows, peers = self._cases(source.cases), self._maps(source), self._peers(source, critic)
        if self.unsliced is None or source.cases != "mistakes":
            return critique(self.runtime, critic, chosen, rows, options, peers)
        correct = {one.sample.id: one.sample for one in self.compared}
        asked = SlicesToAsk(self.slices, correct, self.unsliced)
        return critique_slices(self.runtime, critic, list(zip(chosen, rows, strict=True)), asked, options, peers)

    def _peers(self, source: ImageSource, critic: Critic) -> Peers | None:
        """What a critic that compares is prepared with: mistakes and correct images, with maps as the source has."""
        if not critic.compares:
            return None
        groups = [(cases, replace(source, cases=cases, causes="all")) for cases in ("mistakes", "correct")]
        pairs = [pair for cases, one in groups for pair in zip(self._cases(cases), self._maps(one), strict=True)]
        return Peers(pairs, self.baseline)

    def _apply(self, source: ImageSource, mistake: Mistake, answer: Critique | Failure) -> Critique | Failure:
        if isinstance(answer, Failure):
            return answer
        label = self.runtime.context.labels[mistake.sample.label]
        return apply_source_prompts(answer, source, label, mistake.sample.id, self.seed)

    def _maps(self, source: ImageSource) -> Sequence[ExplainRow]:
        """The heatmaps that critic and synthesizer get for a source."""
        return _once(self._shown, (source.cases, source.map), lambda: self._make_maps(source))

    def _make_maps(self, source: ImageSource) -> Sequence[ExplainRow]:
        rows = self.explanations(source.cases)
        if source.map == "shuffled":
            return shuffle_maps(rows, self._cases(source.cases), self.seed)
        if source.map == "random":
            return draw_random_maps(self.runtime, rows, source.cases, self.seed)
        if source.map == "oracle" and self.marks is not None:
            return mark_maps(self.runtime, rows, source.cases, self.marks)
        return remove_maps(rows) if source.map == "none" else rows

    def _cases(self, cases: str) -> Sequence[Mistake]:
        return {"mistakes": self.mistakes, "correct": self.correct, "train-correct": self.donors}[cases]


def _once(results: dict[Key, Value], key: Key, work: Callable[[], Value]) -> Value:
    """What was worked out before under a key, or is now."""
    if key not in results:
        results[key] = work()
    return results[key]
