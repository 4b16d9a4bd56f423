"""Keeps an unfinished training, so that it can go on inside."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_model, save_model
from transformers import TrainerCallback

from ...interfaces import Checkpoints

if TYPE_CHECKING:
    from ._trainer import Monitor

_CURVES = "curves.json"
# The Trainer saves weights under the names the hub uses and reads them back by the names of the module, passing over
# those that differ (transformers 5): so the weights are kept a second time, under the module's own names.
_WEIGHTS = "weights.safetensors"


@contextmanager
def training_folder(checkpoints: Checkpoints | None) -> Iterator[Path]:
    """The folder the Trainer writes to: that of the checkpoints, or one that is gone afterwards."""
    if checkpoints is not None:
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        yield checkpoints.folder
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def saving(checkpoints: Checkpoints | None) -> dict[str, Any]:
    """The Trainer's arguments for when to save."""
    if checkpoints is None:
        return {"save_strategy": "no"}
    # Two: the older one is there for when the newer was cut off while it was written.
    return {"save_strategy": "steps", "save_steps": checkpoints.every, "save_total_limit": 2}


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = {
        int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*") if (path / _CURVES).exists()
    }
    return found[max(found)] if found else None


def read_curves(checkpoint: Path) -> dict[str, Any]:
    """The curves as they were at a checkpoint."""
    curves: dict[str, Any] = json.loads((checkpoint / _CURVES).read_text(encoding="utf-8"))
    return curves


def read_weights(checkpoint: Path, module: Any) -> None:
    """Puts the weights of a checkpoint into the network; raises where one is missing."""
    load_model(module, str(checkpoint / _WEIGHTS), device=str(next(module.parameters()).device))


class Keeper(TrainerCallback):
    """Writes weights and curves into each checkpoint, the curves last of all: one that has them is whole."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """The Trainer has written its own files."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        save_model(model, str(folder / _WEIGHTS))
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        beside = folder / f"{_CURVES}.part"
        beside.write_text(json.dumps(self._monitor.state()), encoding="utf-8")
        beside.replace(folder / _CURVES)
