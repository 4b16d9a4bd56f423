"""Asks a critic once for all mistakes of a slice: it looks at a sheet, and the mistakes share the critique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, cast

from .. import panel
from ..interfaces import Critic
from ..panel.sheet import MOST_CONTRAST, MOST_EXAMPLES
from ..records import JSON, NOT_ASKED, Case, Failure, LazyPanel, MistakeSlice, Sample, Sheet, digest
from ..store.stage_rows import CritiqueRow, ExplainRow
from .chunks import Item, Stage, complete
from .critique import CaseMaker, CritiqueOptions, OneMistake, Peers, ask_critic, shared_scale, to_critiques
from .lazy import Lazy
from .mistakes import Mistake
from .predict import CHUNK
from .runtime import StageRuntime

LEFT_OUT = Failure(NOT_ASKED, 'it is in no slice, and [critic] unsliced = "skip" leaves such mistakes out')


@dataclass(frozen=True, eq=False)
class SlicedMistakes:
    """The mistakes of a slice that have one true class, with their heatmaps; a `Subject`.

    A slice that spans classes makes several: a prompt names one class.

    Attributes:
        slice: that they are in.
        cases: n >= 1, the most typical first.
        contrast: correct images of the class outside the slice.
    """

    slice: MistakeSlice
    cases: Sequence[OneMistake]
    contrast: Sequence[Sample] = ()

    @property
    def id(self) -> str:
        """Of the case that it makes."""
        return digest(["slice", [one.mistake.sample.id for one in self.cases]])

    @property
    def key(self) -> JSON:
        """What its critique depends on."""
        plain = asdict(replace(self.slice, verdict=None))
        return [plain, [one.key for one in self.cases], [sample.id for sample in self.contrast]]

    def to_case(self, cases: CaseMaker) -> tuple[Case, LazyPanel]:
        """The slice with its sheet."""
        examples = tuple(cases.make(one.mistake, one.row)[0] for one in self.cases[:MOST_EXAMPLES])
        # Images without a map say nothing of where the classifier looked, so one that has a map stands for the slice.
        typical = next((case for case in examples if case.explanation is not None), examples[0])
        sheet = Sheet(self.slice, len(self.cases), examples, tuple(sample.open() for sample in self.contrast))
        critic = cases.critic
        draw = partial(panel.draw_sheet, sheet, typical.label, layout=critic.layout, side=critic.side)
        seen = LazyPanel(partial(draw, scale=cases.scale))
        predicted = cases.labels[Counter(one.mistake.predicted for one in self.cases).most_common(1)[0][0]]
        return replace(typical, id=self.id, panel=seen, predicted=predicted, sheet=sheet), seen


@dataclass(frozen=True, eq=False)
class SlicesToAsk:
    """What a critic is asked about by slice.

    Attributes:
        slices: of the mistakes.
        correct: the images that they were compared with, by id.
        unsliced: what becomes of mistakes in no slice: "ask" about each, or "skip" them.
    """

    slices: Sequence[MistakeSlice]
    correct: Mapping[str, Sample]
    unsliced: str = "ask"

    def group(self, pairs: Mapping[str, OneMistake]) -> list[SlicedMistakes]:
        """The mistakes by slice and true class; those in no slice are left out.

        Args:
            pairs: the mistakes, by id.
        """
        groups = []
        for one in self.slices:
            inside = [pairs[case] for case in one.cases if case in pairs]
            for label in sorted({case.mistake.sample.label for case in inside}):
                of_class = [case for case in inside if case.mistake.sample.label == label]
                groups.append(SlicedMistakes(one, of_class, self._choose_contrast(one, label)))
        return groups

    def _choose_contrast(self, one: MistakeSlice, label: int) -> list[Sample]:
        known = (self.correct[image_id] for image_id in one.contrast if image_id in self.correct)
        return [sample for sample in known if sample.label == label][:MOST_CONTRAST]


def critique_slices(
    runtime: StageRuntime,
    critic: Critic,
    pairs: Sequence[tuple[Mistake, ExplainRow]],
    asked: SlicesToAsk,
    options: CritiqueOptions,
    peers: Peers | None = None,
) -> Sequence[CritiqueRow]:
    """The row of one critique a mistake, in order: that of its slice, or where it is in none, its own.

    A critique that is shared suspects no label: a sheet does not say whose.

    Args:
        runtime: where they are kept.
        critic: not yet prepared; it reads sheets.
        pairs: the mistakes, with their heatmaps or controls in their place.
        asked: the slices.
        options: how the critic is asked.
        peers: what a critic that compares is prepared with.

    Raises:
        PluginError: the critic broke its contract, or raised on every case.
    """
    by_id = {mistake.sample.id: OneMistake(mistake, row) for mistake, row in pairs}
    groups = asked.group(by_id)
    for group in groups:
        runtime.keep_from_test(group.contrast, type(critic).__name__)
    sliced = {one.mistake.sample.id for group in groups for one in group.cases}
    others = [one for case, one in by_id.items() if case not in sliced] if asked.unsliced == "ask" else []
    scale = shared_scale([row for _, row in pairs], runtime.store.blobs) if options.scale == "run" else None
    ask = partial(ask_critic, runtime, critic, options=options, scale=scale, peers=peers)
    of_slices, of_others = ask(options.stage("slices"), groups), ask(options.stage("single"), others)
    to_critiques(critic, [*of_slices, *of_others])
    answers = {row["id"]: row for row in of_others}
    for group, row in zip(groups, of_slices, strict=True):
        answers |= {one.mistake.sample.id: _share(row, one, group.slice) for one in group.cases}
    rows = [answers.get(case) or _not_asked(case) for case in by_id]
    # It takes no time: what it does must not count as the critic's speed.
    stage = Stage(options.stage(), "share critiques", None, CHUNK, effort=0)
    items = Lazy(len(rows), lambda i: Item(rows[i], rows[i]))
    shared: Sequence[CritiqueRow] = complete(runtime, stage, items, list)
    to_critiques(critic, shared)
    return shared


def _share(row: CritiqueRow, one: OneMistake, of: MistakeSlice) -> CritiqueRow:
    """The row of a slice as that of one of its mistakes."""
    shared: dict[str, Any] = {**row, "id": one.mistake.sample.id, "slice": of.name}
    if "critique" in row:
        shared["critique"] = {**row["critique"], "label_suspect": False}
    return cast(CritiqueRow, shared)


def _not_asked(case: str) -> CritiqueRow:
    return {"id": case, "panel": None, "failure": {"kind": LEFT_OUT.kind, "message": LEFT_OUT.message}}
