"""Asks a critic whether new images show what was wished for; those that do not are rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from ..interfaces import Context, Critic
from ..records import Failure, ImageCheck, ImageToCheck, digest
from ..records.pipeline import StageKind
from ..store.blobs import Blobs
from ..store.schema import Wave
from ..store.stage_rows import SynthesisRow, VerdictRow
from .chunks import Item, Stage, batch, complete, plugin_key
from .plugin_guard import PreparedOnce, check_plain
from .runtime import StageRuntime
from .stage_work import Rebuilt
from .unanswered import is_passing

CHECK = "vlm"
Made = tuple[SynthesisRow, VerdictRow]


@dataclass
class _Work(Rebuilt):
    critic: Critic
    context: Context
    blobs: Blobs
    ready: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.ready = PreparedOnce(self.critic, self.context)

    def __call__(self, made: list[Made]) -> list[Any]:
        images = [self._to_image(row) for row, verdict in made if is_asked_about(row, verdict)]
        if not images:
            return [verdict for _, verdict in made]
        self.ready()
        who = f"{type(self.critic).__name__}.check_images"
        checks = iter(batch(who, self.critic.check_images, images, ImageCheck))
        return [
            _to_verdict(verdict, next(checks)) if is_asked_about(row, verdict) else verdict for row, verdict in made
        ]

    def _to_image(self, row: SynthesisRow) -> ImageToCheck:
        blob = row["image"]["blob"]
        key = digest([blob, row["label"], row["prompt"]])
        return ImageToCheck(key, self.blobs.image(blob), row["label"], row["prompt"])


def is_asked_about(row: SynthesisRow, verdict: VerdictRow) -> bool:
    """Whether the critic looks at an image: one that is there, passed all other checks, and has a wish."""
    return bool(verdict["kept"] and "image" in row and row["prompt"].strip())


def check_wishes(
    runtime: StageRuntime, wave: Wave, critic: Critic, rows: Sequence[SynthesisRow], verdicts: Sequence[VerdictRow]
) -> Sequence[VerdictRow]:
    """The verdicts, where images that do not show what was wished for are rejected.

    An image that the critic declines, or gives no answer on, is kept, and its verdict says so.

    Args:
        runtime: where the verdicts are kept.
        wave: which images they are.
        critic: not yet prepared; it checks images.
        rows: of the synthesis.
        verdicts: of the filter.
    """
    context = runtime.context
    basis = {"critic": plugin_key(critic), "labels": list(context.labels)}
    stage = Stage(
        wave.stage(StageKind.VLM_CHECK),
        "check what images show",
        basis,
        critic.batch_size,
        remote=critic.remote,
        spread=True,
        plugin=type(critic),
        who=f"{type(critic).__name__}.check_images",
        is_passing=is_passing,
    )
    made = list(zip(rows, verdicts, strict=True))
    items = [Item([row.get("image"), row["label"], row["prompt"], verdict], (row, verdict)) for row, verdict in made]
    return complete(runtime, stage, items, _Work(critic, context, runtime.store.blobs))


def _to_verdict(verdict: VerdictRow, check: ImageCheck | Failure) -> dict[str, Any]:
    if isinstance(check, Failure):
        told = {"reason": f"not checked: {check.kind}: {check.message}", "failure": asdict(check)}
        return cast(dict[str, Any], check_plain(CHECK, {**verdict, **told}))
    if check.shown:
        return {**verdict}
    reason = check.reason or "it does not show what its prompt asks for"
    return {"kept": False, "check": CHECK, "reason": reason, "score": None, "fingerprint": None}
