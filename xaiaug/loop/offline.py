"""Keeps the libraries that plugins use from asking the model hub and from sending telemetry."""

from __future__ import annotations

import os
import sys
import warnings

from ..errors import OfflineError

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
# Each holds a copy of HF_HUB_OFFLINE, taken when it was imported; offline, neither sends telemetry.
_COPIES = ("huggingface_hub.constants", "datasets.config")
_switched: list[str] = []


def go_offline() -> None:
    """Sets the offline switches of this process and of those it starts, for good.

    The hub's client reads its switches when it is imported, so this has to come first.

    Raises:
        OfflineError: the client was imported before, without them; nothing is changed.
    """
    for module in _COPIES:
        if module in sys.modules and not getattr(sys.modules[module], "HF_HUB_OFFLINE", True):
            raise OfflineError(
                f"[privacy] offline is true, but {module.partition('.')[0]} was imported in this process without "
                "HF_HUB_OFFLINE, and reads it only then: set HF_HUB_OFFLINE=1 in the environment and restart "
                "Python, or create the offline loop before transformers, diffusers, datasets or another loop is used"
            )
    if os.environ.get("HF_HUB_OFFLINE") != "1":
        _switched.append("HF_HUB_OFFLINE")
    os.environ.update(SWITCHES)


def warn_if_offline() -> None:
    """Warns where an earlier loop has set the switches: a loop that is not offline cannot ask the hub either."""
    if _switched:
        warnings.warn(
            "an earlier loop of this process has offline = true, so the model hub stays off: this loop finds only "
            "checkpoints that are on this machine. Start a new process to download others",
            stacklevel=3,
        )
