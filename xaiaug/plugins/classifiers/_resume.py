"""Saves checkpoints of an unfinished training, and finds the one to resume from."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from transformers import TrainerCallback

from ...files import SEAL, Directory, find_broken_seal, parse_json, read_seal, seal_folder
from ...interfaces import Checkpoints, TrainingMonitor

_STATE = "state.json"  # of curves and loss
_NUMBERED = re.compile(r"checkpoint-(\d{1,12})")
_MOST = 1 << 30  # bytes of that state
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
    if checkpoints is None or checkpoints.every is None:
        return {"save_strategy": "no", "save_total_limit": 2}
    # Two: the older one serves if the newer one is damaged, or writing it was interrupted.
    return {"save_strategy": "steps", "save_steps": checkpoints.every, "save_total_limit": 2}


class CheckpointWriter(TrainerCallback):
    """Adds weights and the state of curves and loss to each checkpoint, and seals it: one that is sealed is complete.

    Args:
        get_state: returns that state, JSON-plain.
    """

    def __init__(self, get_state: Callable[[], dict[str, Any]]) -> None:
        self._get_state = get_state

    def on_save(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Writes weights and state, once the Trainer has written its own files."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        save_model(model, str(folder / _WEIGHTS))
        (folder / _STATE).write_text(json.dumps(self._get_state()), encoding="utf-8")
        files = Directory(folder.parent)
        seal_folder(files, folder.name, [entry.name for entry in files.entries() if not _NUMBERED.match(entry.name)])


class StepReporter(TrainerCallback):
    """Tells a monitor of each step; stops the training, after a checkpoint, when the monitor says so.

    Args:
        monitor: of the training.
        save: whether checkpoints are kept.
    """

    def __init__(self, monitor: TrainingMonitor, *, save: bool) -> None:
        self._monitor, self._save = monitor, save
        self._resumed_at = 0
        self.stopped = False

    def begin(self, step: int, steps: int) -> bool:
        """Reports the step that the training begins after; returns whether it is not to begin at all."""
        self._resumed_at = step
        return self._monitor.on_step(step, steps, step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Reports the step."""
        if self._monitor.on_step(state.global_step, state.max_steps, self._resumed_at):
            self.stopped = control.should_training_stop = True
            control.should_save = self._save


def find_newest(folder: Path) -> Path | None:
    """The newest checkpoint that is complete and as it was written; None without any.

    What lies beside it and is newer or damaged, so that it would be in the way of the training, is removed.
    """
    files = Directory(folder)
    numbers = {int(match[1]): match[0] for entry in files.entries() if (match := _NUMBERED.fullmatch(entry.name))}
    for number in sorted(numbers, reverse=True):
        name = numbers[number]
        if files.kind(f"{name}/{SEAL}") is not None and not find_broken_seal(files, name):
            older = (other for step, other in numbers.items() if step < number)  # the Trainer removes them in time
            _remove_others(files, {f"{name}/{SEAL}", *read_seal(files, name), *older})
            return folder / name
    _remove_others(files, set())
    return None


def read_step(checkpoint: Path) -> int:
    """The step that a checkpoint was saved after."""
    return int(checkpoint.name.rpartition("-")[2])


def read_training_state(checkpoint: Path) -> dict[str, Any]:
    """The state of curves and loss as it was at a checkpoint."""
    state: dict[str, Any] = parse_json(Directory(checkpoint).read(_STATE, _MOST))
    return state


def read_weights(checkpoint: Path, module: Any) -> None:
    """Loads the weights of a checkpoint into the network; raises where one is missing."""
    load_model(module, str(checkpoint / _WEIGHTS), device=str(next(module.parameters()).device))


def _remove_others(files: Directory, kept: set[str], folder: str = "") -> None:
    """Removes all but the files and folders that are kept, and the folders above them."""
    for entry in files.entries(folder):
        if entry.name in kept:
            continue
        if entry.kind == "folder" and any(name.startswith(f"{entry.name}/") for name in kept):
            _remove_others(files, kept, entry.name)
        else:
            files.remove(entry.name)
