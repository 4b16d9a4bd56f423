"""Why the classifier failed, and what a new image should show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from .. import panel
from ..errors import CallError
from ..interfaces import Context, Critic, PaidCalls
from ..records import JSON, BatchClient, BatchedCall, Case, Critique, Explanation, Failure, RawReply
from ..store import Blob
from ..store.blobs import Blobs
from .chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from .control_maps import resize_heatmap
from .explain import explanation_of
from .lazy import Lazy
from .mistakes import Mistake
from .plugin_guard import PreparedOnce, check_plain
from .runtime import StageRuntime


@dataclass(frozen=True)
class ResampledCalls:
    """Paid calls whose replies stand for no other draw's; satisfies `PaidCalls`.

    Attributes:
        calls: what is called.
        draw: number of the draw, part of every key.
    """

    calls: PaidCalls
    draw: int

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

    def batch(self, calls: Sequence[BatchedCall], courier: BatchClient) -> list[RawReply | CallError]:
        """As `PaidCalls.batch`."""
        return self.calls.batch([replace(call, key=self._key(call.key)) for call in calls], courier)

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """As `PaidCalls.worst_case_usd`."""
        return self.calls.worst_case_usd(model, usage)

    def reject(self, key: str, reason: str) -> None:
        """As `PaidCalls.reject`."""
        self.calls.reject(self._key(key), reason)

    def _key(self, key: str) -> str:
        return f"draw {self.draw}: {key}"


@dataclass
class _Panel:
    """The picture for the critic, drawn when the critic looks; what it did not see is not kept as if it had."""

    image: Image.Image
    explanation: Explanation | None
    label: str
    predicted: str
    layout: str
    side: int
    scale: panel.Scale | None = None
    drawn: Image.Image | None = None

    def __call__(self) -> Image.Image:
        self.drawn = panel.draw(
            self.image,
            self.explanation,
            label=self.label,
            predicted=self.predicted,
            layout=self.layout,
            side=self.side,
            scale=self.scale,
        )
        return self.drawn


@dataclass
class _Work:
    critic: Critic
    context: Context
    blobs: Blobs
    scale: panel.Scale | None
    ready: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.ready = PreparedOnce(self.critic, self.context)

    def __call__(self, pairs: list[tuple[Mistake, Any]]) -> list[Any]:
        self.ready()
        shown = [self._case(mistake, row) for mistake, row in pairs]
        cases = [case for case, _ in shown]
        who = f"{type(self.critic).__name__}.critique"
        made = batch(who, self.critic.critique, cases, Critique)
        return [_row(who, case, seen, critique) for (case, seen), critique in zip(shown, made, strict=True)]

    def _case(self, mistake: Mistake, row: Any) -> tuple[Case, _Panel]:
        labels = self.context.labels
        label, predicted = labels[mistake.sample.label], labels[mistake.predicted]
        image = mistake.sample.open()
        explanation = _usable(explanation_of(row["predicted"], self.blobs), image.size)
        seen = _Panel(image, explanation, label, predicted, self.critic.layout, self.critic.side, self.scale)
        case = Case(
            id=mistake.sample.id,
            image=image,
            panel=seen,  # type: ignore[arg-type]  # drawn when it is looked at
            label=label,
            predicted=predicted,
            probabilities=np.array(mistake.probabilities, np.float32),
            explanation=explanation,
            label_explanation=_usable(explanation_of(row["label"], self.blobs), image.size),
        )
        return case, seen


@dataclass(frozen=True)
class CritiqueOptions:
    """How a critic is asked.

    Attributes:
        name: of the stage; "critique", or that and more behind a slash.
        draw: above 0 asks afresh: neither a row nor a paid reply of another draw is taken.
        scale: of the panels' colours: "image", each map's own, or "run", one for all of them.
    """

    name: str = "critique"
    draw: int = 0
    scale: str = "image"


def critique(
    runtime: StageRuntime,
    critic: Critic,
    context: Context,
    train_key: str,
    mistakes: Sequence[Mistake],
    explained: Sequence[Any],
    *,
    asking: CritiqueOptions | None = None,
) -> Sequence[Critique | Failure]:
    """One critique a mistake, in order.

    Args:
        runtime: where they are kept.
        critic: not yet prepared.
        context: what the critic may know.
        train_key: digest of the training images the critic may compare with.
        mistakes: what is to be explained.
        explained: their rows of the stage before.
        asking: how the critic is asked.

    Raises:
        PluginError: the critic broke its contract or raised on every case.
    """
    asking = asking or CritiqueOptions()
    shared = _shared_scale(explained, runtime.store.blobs) if asking.scale == "run" else None
    basis = {"critic": plugin_key(critic), "labels": list(context.labels), "train": train_key}
    if context.token_limit is not None:  # a critic that is told it writes other prompts
        basis["token_limit"] = context.token_limit
    if asking.draw:
        basis["draw"] = asking.draw
        context = replace(context, paid=None if context.paid is None else ResampledCalls(context.paid, asking.draw))
    basis |= {"scale": list(shared)} if shared else {}
    who = f"{type(critic).__name__}.critique"
    stage = Stage(asking.name, "critique mistakes", basis, critic.batch_size, remote=critic.remote, who=who)
    items = Lazy(len(mistakes), lambda i: Item([mistakes[i].key, explained[i]], (mistakes[i], explained[i])))
    rows = complete(runtime, stage, items, _Work(critic, context, runtime.store.blobs, shared))
    made = Lazy(len(rows), lambda i: critique_of(rows[i]))
    refuse_if_all_raised(who, made)
    return made


def critique_of(row: Any) -> Critique | Failure:
    """A critique as it was committed."""
    if "failure" in row:
        return Failure(**row["failure"])
    return Critique(**{**row["critique"], "evidence": tuple(row["critique"]["evidence"])})


def _shared_scale(explained: Sequence[Any], blobs: Blobs) -> panel.Scale | None:
    made = (explanation_of(row["predicted"], blobs) for row in explained)
    return panel.shared_scale(one if isinstance(one, Explanation) else None for one in made)


def _row(who: str, case: Case, seen: _Panel, made: Critique | Failure) -> dict[str, Any]:
    result = check_plain(who, {"failure" if isinstance(made, Failure) else "critique": asdict(made)})
    return {"id": case.id, "panel": None if seen.drawn is None else Blob.image(seen.drawn), **result}


def _usable(explanation: Explanation | Failure | None, size: tuple[int, int]) -> Explanation | None:
    if not isinstance(explanation, Explanation):
        return None
    # Another image's map, shown as a control, has that image's size.
    return replace(explanation, heatmap=resize_heatmap(explanation.heatmap, size))
