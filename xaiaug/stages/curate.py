"""Which of the images just made are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..curation import ImageFilter
from ..store.blobs import Blobs
from .chunks import Item, Stage, complete
from .lazy import Lazy
from .runtime import StageRuntime


@dataclass(frozen=True)
class _Work:
    gate: ImageFilter
    seen: tuple[str, ...]
    blobs: Blobs

    def __call__(self, rows: list[Any]) -> list[Any]:
        made = [row for row in rows if "image" in row]
        images = Lazy(len(made), lambda i: self.blobs.image(made[i]["image"]["blob"]))
        judged = iter(self.gate.check(images, self.seen, [row["label"] for row in made]))
        return [next(judged).to_json() if "image" in row else _failed(row) for row in rows]


def curate(
    runtime: StageRuntime,
    name: str,
    gate: ImageFilter,
    gate_key: Any,
    seen: Sequence[str],
    made: Sequence[Any],
) -> Sequence[dict[str, Any]]:
    """One verdict a row of the synthesis, in order.

    Args:
        runtime: where the verdicts are kept.
        name: of the source, seed and wave; distinct within a run.
        gate: the checks.
        gate_key: what the gate's verdicts depend on.
        seen: fingerprints of the images kept before.
        made: rows of the synthesis.
    """
    # One chunk: whether an image repeats another depends on all that were kept before it.
    stage = Stage(f"curate/{name}", "check images", {"gate": gate_key, "seen": list(seen)}, max(1, len(made)))
    return complete(runtime, stage, [Item(row, row) for row in made], _Work(gate, tuple(seen), runtime.store.blobs))


def _failed(row: Any) -> dict[str, Any]:
    failure = row["failure"]
    return {"kept": False, "check": failure["kind"], "reason": failure["message"], "score": None, "fingerprint": None}
