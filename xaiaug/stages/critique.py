"""Why the classifier failed, and what a new image should show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import panel
from ..errors import CallError
from ..interfaces import Context, Critic, PaidCalls
from ..records import (
    JSON,
    BatchClient,
    BatchedCall,
    Case,
    Critique,
    Explanation,
    Failure,
    LazyPanel,
    RawReply,
    Sample,
    digest,
)
from ..store import Blob, StageName
from ..store.blobs import Blobs
from ..store.schema import critique_part_stage, critique_stage, vote_part
from ..store.stage_rows import CritiqueRow, ExplainRow, critique_of, explanation_of
from .chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from .control_maps import resize_heatmap
from .lazy import Lazy
from .mistakes import Mistake
from .plugin_guard import PreparedOnce, check_plain
from .runtime import Fitted, StageRuntime
from .stage_work import Rebuilt
from .unanswered import is_passing, refuse_if_unanswered


@dataclass(frozen=True)
class ResampledCalls:
    """Paid calls whose replies stand for no other draw's; satisfies `PaidCalls`.

    Attributes:
        calls: what is called.
        draw: which draw it is, part of every key.
    """

    calls: PaidCalls
    draw: str

    def call(
        self,
        key: str,
        request: Mapping[str, JSON],
        *,
        worst_case_usd: float,
        send: Callable[[Mapping[str, JSON]], RawReply],
    ) -> RawReply:
        """As `PaidCalls.call`."""
        return self.calls.call(self._key(key), request, worst_case_usd=worst_case_usd, send=send)

    def batch(self, calls: Sequence[BatchedCall], batch_client: BatchClient) -> list[RawReply | CallError]:
        """As `PaidCalls.batch`."""
        return self.calls.batch([replace(call, key=self._key(call.key)) for call in calls], batch_client)

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """As `PaidCalls.worst_case_usd`."""
        return self.calls.worst_case_usd(model, usage)

    def reject(self, key: str, reason: str) -> None:
        """As `PaidCalls.reject`."""
        self.calls.reject(self._key(key), reason)

    def _key(self, key: str) -> str:
        return f"{self.draw}: {key}"


@dataclass(frozen=True)
class Peers:
    """What a critic that compares is prepared with.

    Attributes:
        explained: mistakes and correct images of the guide, with their maps.
        fitted: the classifier that is diagnosed.
    """

    explained: Sequence[tuple[Mistake, ExplainRow]]
    fitted: Fitted

    @property
    def key(self) -> JSON:
        """What critiques depend on."""
        return [self.fitted.key, digest([[mistake.key, row] for mistake, row in self.explained])]

    def ask(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """The classifier's probabilities: n k."""
        return self.fitted.load().predict_proba(images)


class Subject(Protocol):
    """What a critic is asked about at once."""

    @property
    def key(self) -> JSON:
        """What its critique depends on."""
        ...

    def to_case(self, cases: CaseMaker) -> tuple[Case, LazyPanel]:
        """The case, and its panel that is drawn when the critic looks."""
        ...


@dataclass(frozen=True)
class OneMistake:
    """A mistake, or a correctly classified image, with its heatmaps; a `Subject`."""

    mistake: Mistake
    row: ExplainRow

    @property
    def key(self) -> JSON:
        """What its critique depends on."""
        return [self.mistake.key, dict(self.row)]

    def to_case(self, cases: CaseMaker) -> tuple[Case, LazyPanel]:
        """The image with its own panel."""
        return cases.make(self.mistake, self.row)


@dataclass(frozen=True)
class CaseMaker:
    """Makes cases for a critic, their panels as it wants them.

    Attributes:
        critic: that will look at them.
        labels: names of the classes.
        blobs: with the heatmaps.
        scale: of the panels' colours; None: each map's own.
        correct: correctly classified images by class, of which panels show some.
    """

    critic: Critic
    labels: Sequence[str]
    blobs: Blobs
    scale: panel.Scale | None
    correct: Mapping[int, Sequence[Sample]] = field(default_factory=dict)

    def make(self, mistake: Mistake, row: ExplainRow) -> tuple[Case, LazyPanel]:
        """One image as a case."""
        label, predicted = self.labels[mistake.sample.label], self.labels[mistake.predicted]
        image = mistake.sample.open()
        explanation = _usable(explanation_of(row["predicted"], self.blobs), image.size)
        references = self._open_references(mistake)
        draw = partial(panel.draw, image, explanation, label=label, predicted=predicted, references=references)
        seen = LazyPanel(partial(draw, layout=self.critic.layout, side=self.critic.side, scale=self.scale))
        case = Case(
            id=mistake.sample.id,
            image=image,
            panel=seen,
            label=label,
            predicted=predicted,
            probabilities=np.array(mistake.probabilities, np.float32),
            explanation=explanation,
            label_explanation=_usable(explanation_of(row["label"], self.blobs), image.size),
            references=references,
        )
        return case, seen

    def _open_references(self, mistake: Mistake) -> dict[str, tuple[Image.Image, ...]]:
        """Images of its true and its predicted class, the same for all mistakes of these classes."""
        found, count = {}, self.critic.reference_images
        for one in dict.fromkeys((mistake.sample.label, mistake.predicted)) if count else ():
            others = [sample for sample in self.correct.get(one, ()) if sample.id != mistake.sample.id]
            if others:
                found[self.labels[one]] = tuple(sample.open() for sample in others[:count])
        return found


@dataclass
class _Work(Rebuilt):
    critic: Critic
    context: Context
    cases: CaseMaker
    peers: Peers | None = None
    ready: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.ready = PreparedOnce(self.critic, self._add_peers(self.context))

    def __call__(self, subjects: list[Subject]) -> list[Any]:
        self.ready()
        shown = [subject.to_case(self.cases) for subject in subjects]
        cases = [case for case, _ in shown]
        who = _name_method(self.critic)
        critiques = batch(who, self.critic.critique, cases, Critique)
        return [_row(who, case, seen, made) for (case, seen), made in zip(shown, critiques, strict=True)]

    def _add_peers(self, context: Context) -> Context:
        peers = self.peers
        if peers is None:
            return context
        explained = Lazy(len(peers.explained), lambda i: self.cases.make(*peers.explained[i])[0])
        return replace(context, explained=explained, predict_proba=peers.ask)


@dataclass(frozen=True)
class CritiqueOptions:
    """How a critic is asked.

    Attributes:
        cases: what it is asked about: "mistakes" or "correct".
        heatmaps: what it is shown: "explained", or "none", "shuffled" or "random" ones.
        draw: above 0 asks afresh: neither a row nor a paid reply of another draw is taken.
        scale: of the panels' colours: "image", each map's own, or "run", one for all of them.
        sample: likewise of samples: how often the same critic was asked before.
        vote: number of this critique among those of the same cases; None where there is one.
        correct: correctly classified images by class, which a critic may be shown as references.
    """

    cases: str = "mistakes"
    heatmaps: str = "explained"
    draw: int = 0
    scale: str = "image"
    sample: int = 0
    vote: int | None = None
    correct: Mapping[int, Sequence[Sample]] = field(default_factory=dict)

    @property
    def afresh(self) -> str:
        """What tells this from other answers to the same question; empty for the first."""
        told = {"draw": self.draw, "sample": self.sample}
        return ", ".join(f"{name} {number}" for name, number in told.items() if number)

    def stage(self, *parts: str) -> StageName:
        """The stage of these critiques, or of a part of them."""
        parts = parts if self.vote is None else (*parts, vote_part(self.vote))
        return critique_part_stage(self.cases, self.heatmaps, *parts) if parts else self.whole_stage

    @property
    def whole_stage(self) -> StageName:
        """The stage that has one critique a case."""
        return critique_stage(self.cases, self.heatmaps)


def critique(
    runtime: StageRuntime,
    critic: Critic,
    mistakes: Sequence[Mistake],
    explained: Sequence[ExplainRow],
    options: CritiqueOptions | None = None,
    peers: Peers | None = None,
) -> Sequence[CritiqueRow]:
    """The row of one critique a case, in order.

    Args:
        runtime: where they are kept.
        critic: not yet prepared.
        mistakes: the cases.
        explained: their heatmaps, or controls in their place.
        options: how the critic is asked.
        peers: what a critic that compares is prepared with.

    Raises:
        PluginError: the critic broke its contract or raised on every case.
        CallsFailingError: it got no answer on any.
    """
    options = options or CritiqueOptions()
    subjects = Lazy(len(mistakes), lambda i: OneMistake(mistakes[i], explained[i]))
    scale = shared_scale(explained, runtime.store.blobs) if options.scale == "run" else None
    rows = ask_critic(runtime, critic, options.stage(), subjects, options=options, scale=scale, peers=peers)
    to_critiques(critic, rows)
    return rows


def ask_critic(
    runtime: StageRuntime,
    critic: Critic,
    name: StageName,
    subjects: Sequence[Subject],
    *,
    options: CritiqueOptions,
    scale: panel.Scale | None,
    peers: Peers | None,
) -> Sequence[CritiqueRow]:
    """The rows of a stage that asks a critic, one a subject; the arguments are those of `critique`.

    Args:
        runtime: likewise.
        critic: likewise.
        name: of the stage.
        subjects: what it is asked about.
        options: likewise.
        scale: of the panels' colours; None: each map's own.
        peers: likewise.
    """
    context = runtime.context
    basis = {"critic": plugin_key(critic), "labels": list(context.labels), "train": runtime.reference_key}
    if context.token_limit is not None:  # a critic that knows it writes other prompts
        basis["token_limit"] = context.token_limit
    basis |= {name: number for name in ("draw", "sample") if (number := getattr(options, name))}
    if options.afresh and context.paid is not None:
        context = replace(context, paid=ResampledCalls(context.paid, options.afresh))
    basis |= {"scale": list(scale)} if scale else {}
    if critic.reference_images:
        # One more than is shown: a correct image is no reference of its own.
        shown = {label: samples[: critic.reference_images + 1] for label, samples in options.correct.items()}
        for samples in shown.values():
            runtime.keep_from_test(samples, type(critic).__name__)
        basis["references"] = digest([[label, [sample.id for sample in samples]] for label, samples in shown.items()])
    basis |= {"peers": peers.key} if peers else {}
    who = _name_method(critic)
    stage = Stage(
        name,
        "critique mistakes",
        basis,
        critic.batch_size,
        remote=critic.remote,
        spread=True,
        plugin=type(critic),
        who=who,
        is_passing=is_passing,
    )
    items = Lazy(len(subjects), lambda i: Item.of(subjects[i]))
    cases = CaseMaker(critic, context.labels, runtime.store.blobs, scale, options.correct)
    rows: Sequence[CritiqueRow] = complete(runtime, stage, items, _Work(critic, context, cases, peers))
    return rows


def to_critiques(critic: Critic, rows: Sequence[CritiqueRow]) -> Sequence[Critique | Failure]:
    """What the rows of a critic hold.

    Raises:
        PluginError: it raised on every case.
        CallsFailingError: it got no answer on any.
    """
    critiques = Lazy(len(rows), lambda i: critique_of(rows[i]))
    refuse_if_all_raised(_name_method(critic), critiques)
    refuse_if_unanswered("the critic", critiques)
    return critiques


def _name_method(critic: Critic) -> str:
    return f"{type(critic).__name__}.critique"


def shared_scale(explained: Sequence[ExplainRow], blobs: Blobs) -> panel.Scale | None:
    """One scale of colours for all of some heatmaps; None where none has an extent."""
    maps = (explanation_of(row["predicted"], blobs) for row in explained)
    return panel.shared_scale(one if isinstance(one, Explanation) else None for one in maps)


def _row(who: str, case: Case, seen: LazyPanel, made: Critique | Failure) -> dict[str, Any]:
    result = check_plain(who, {"failure": asdict(made)} if isinstance(made, Failure) else {"critique": _plain(made)})
    # A panel that the critic did not look at is not kept as if it had.
    return {"id": case.id, "panel": None if seen.image is None else Blob.image(seen.image), **result}


def _plain(critique: Critique) -> dict[str, Any]:
    """Its fields; `asdict` would copy every text."""
    testable = None if critique.testable is None else asdict(critique.testable)
    return {**vars(critique), "guidance": dict(critique.guidance), "testable": testable}


def _usable(explanation: Explanation | Failure | None, size: tuple[int, int]) -> Explanation | None:
    if not isinstance(explanation, Explanation):
        return None
    # Another image's map, shown as a control, has that image's size.
    return replace(explanation, heatmap=resize_heatmap(explanation.heatmap, size))
