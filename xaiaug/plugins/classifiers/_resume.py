"""Saves checkpoints of an unfinished training, and finds the one to resume from."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from transformers import TrainerCallback

from ...interfaces import Checkpoints

_CURVES = "curves.json"
# The Trainer saves weights under the names the hub uses and reads them back by the names of the module, passing over
# those that differ (transformers 5): so the weights are saved a second time, under the module's own names.
_WEIGHTS = "weights.safetensors"


@contextmanager
def open_folder(checkpoints: Checkpoints | None) -> Iterator[Path]:
    """The folder the Trainer writes to: that of the checkpoints, or a temporary one."""
    if checkpoints is not None:
        checkpoints.folder.mkdir(parents=True, exist_ok=True)
        yield checkpoints.folder
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def make_save_arguments(checkpoints: Checkpoints | None) -> dict[str, Any]:
    """The Trainer's arguments for when to save."""
    if checkpoints is None:
        return {"save_strategy": "no"}
    # Two: the older one serves if writing the newer one was interrupted.
    return {"save_strategy": "steps", "save_steps": checkpoints.every, "save_total_limit": 2}


class CheckpointWriter(TrainerCallback):
    """Adds weights and curves to each checkpoint, the curves last: a checkpoint that has them is complete.

    Args:
        get_curves: returns the curves so far, JSON-plain.
    """

    def __init__(self, get_curves: Callable[[], dict[str, Any]]) -> None:
        self._get_curves = get_curves

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Writes weights and curves, once the Trainer has written its own files."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        save_model(model, str(folder / _WEIGHTS))
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        part = folder / f"{_CURVES}.part"
        part.write_text(json.dumps(self._get_curves()), encoding="utf-8")
        part.replace(folder / _CURVES)


def find_newest(folder: Path) -> Path | None:
    """The newest complete checkpoint; None without any."""
    complete = {
        int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*") if (path / _CURVES).exists()
    }
    return complete[max(complete)] if complete else None


def read_curves(checkpoint: Path) -> dict[str, Any]:
    """The curves as they were at a checkpoint."""
    curves: dict[str, Any] = json.loads((checkpoint / _CURVES).read_text(encoding="utf-8"))
    return curves


def read_weights(checkpoint: Path, module: Any) -> None:
    """Loads the weights of a checkpoint into the network; raises where one is missing."""
    load_model(module, str(checkpoint / _WEIGHTS), device=str(next(module.parameters()).device))
