"""Trackers of a training: those that the recipe's `report_to` names, and none that it does not."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, TensorBoardCallback

from ...errors import ConfigError, MissingExtraError, suggest
from ...records import JSON

_ANY = "all"  # those that are installed
_PLACE = "TENSORBOARD_LOGGING_DIR"  # the Trainer's own variable
_LOGS = 100  # about so many logs of a training


def list_trackers(trainer: Mapping[str, JSON]) -> tuple[str, ...]:
    """The trackers that a recipe names.

    Args:
        trainer: arguments of the recipe for the Trainer.

    Raises:
        ConfigError: the Trainer knows no such tracker.
        MissingExtraError: events for TensorBoard are wanted, and no package writes them.
    """
    given = trainer.get("report_to")
    names = [str(one) for one in (given if isinstance(given, list | tuple) else [given]) if one not in (None, "none")]
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK and name != _ANY:
            raise ConfigError(
                f"Recipe: trainer = {{report_to = {name!r}}}: the Trainer knows no such tracker. "
                f"{suggest(name, INTEGRATION_TO_CALLBACK)}"
            )
    if "tensorboard" in names and not any(map(importlib.util.find_spec, ("tensorboard", "tensorboardX"))):
        raise MissingExtraError(
            "Recipe: trainer = {report_to = 'tensorboard'} needs a package that writes events: "
            "pip install tensorboard (58 MB, with the page that shows them), or tensorboardX (less than 1 MB)"
        )
    return tuple(names)


def make_log_arguments(trainer: Mapping[str, JSON], steps: int) -> dict[str, Any]:
    """The Trainer's arguments for logs: none without a tracker, else about a hundred; what the recipe sets wins."""
    if not list_trackers(trainer):
        return {"report_to": "none", "logging_strategy": "no"}
    return {"logging_strategy": "steps", "logging_steps": max(1, round(steps / _LOGS)), "logging_first_step": True}


def drop_others(arguments: TrainingArguments, trainer: Mapping[str, JSON]) -> TrainingArguments:
    """The arguments without trackers that the Trainer adds where the environment names their server."""
    names = list_trackers(trainer)
    if _ANY not in names:
        arguments.report_to = list(names)
    return arguments


def place_events(trainer: Trainer, logs: Path | None) -> None:
    """Lets TensorBoard's events be written to a folder that is kept, unless the user named one."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and logs is not None and not os.environ.get(_PLACE):
            callback.logging_dir = str(logs)
