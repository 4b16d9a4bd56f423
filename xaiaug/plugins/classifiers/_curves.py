"""The learning curves of a training: losses and accuracies on the training batches and on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from ...records import History
from .._logits import compute_logits
from ._dataset import Frames
from ._preprocessor import Preprocessor

_POINTS = 10


@dataclass
class CurveRecorder(TrainerCallback):
    """Records the curves: about ten points over the training."""

    frames: Frames
    preprocessor: Preprocessor
    steps: int
    snapshot: Callable[[int, Any], None] | None = None
    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)
    points: list[tuple[int, float, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = {round(part * self.steps / _POINTS) for part in range(1, _POINTS + 1)}

    def record(self, loss: Tensor, hits: Tensor) -> None:
        """Records one batch: its loss, and which of its images were classified correctly."""
        self.losses.append(loss)
        self.hits.append(hits)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Adds a point when one is due."""
        if state.global_step not in self.due:
            return
        train = _mean(self.losses), _mean([hits.float() for hits in self.hits])
        self.points.append((state.global_step, *train, *_measure(model, self.preprocessor, self.frames)))
        self.losses.clear()
        self.hits.clear()
        if self.snapshot is not None:
            self.snapshot(state.global_step, model)

    def get_state(self) -> dict[str, Any]:
        """Everything recorded so far, JSON-plain."""
        return {
            "points": self.points,
            "losses": [loss.item() for loss in self.losses],
            "hits": [hits.tolist() for hits in self.hits],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self.points = [tuple(point) for point in state["points"]]
        self.losses = [torch.tensor(loss) for loss in state["losses"]]
        self.hits = [torch.tensor(hits) for hits in state["hits"]]

    def to_history(self) -> History:
        """The curves so far."""
        return History(*zip(*self.points, strict=True))


def _mean(values: Sequence[Tensor]) -> float:
    # Those of a checkpoint are on the CPU, those of this session perhaps not.
    return torch.cat([value.cpu().reshape(-1) for value in values]).mean().item()


@torch.no_grad()
def _measure(module: Any, preprocessor: Preprocessor, frames: Frames) -> tuple[float, float]:
    """Mean loss and accuracy over all frames; NaN without any."""
    if not len(frames):
        return float("nan"), float("nan")
    targets = torch.tensor([sample.label for sample in frames.samples])
    outputs = _compute_logits(module, preprocessor, frames)
    return cross_entropy(outputs, targets).item(), (outputs.argmax(-1) == targets).float().mean().item()


@torch.no_grad()
def _compute_logits(module: Any, preprocessor: Preprocessor, frames: Frames, batch_size: int = 64) -> Tensor:
    """Logits of all frames, in evaluation mode: n k, float32."""
    training = module.training
    module.eval()
    try:
        batches = preprocessor.iter_batches((frames[index] for index in range(len(frames))), batch_size)
        parts = [compute_logits(module, pixels.to(module.device)).float().cpu() for pixels in batches]
        return torch.cat(parts)
    finally:
        module.train(training)
