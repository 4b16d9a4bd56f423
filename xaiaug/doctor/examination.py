"""Looks at an installation, topic by topic."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from importlib import import_module

from ..registry import available
from .finding import Finding
from .packages import packages, torchvision

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
SWITCHES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HF_HUB_OFFLINE", "XAIAUG_CACHE", "OMP_NUM_THREADS")


def examine(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """What the doctor found, in order.

    Args:
        environment: variables; None: those of this process. Of keys only their presence is told.
    """
    given = os.environ if environment is None else environment
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *packages(),
        *torchvision(),
        device(),
        *plugins(),
        *variables(given),
    ]


def device() -> Finding:
    """What the models will run on."""
    try:
        torch = import_module("torch")
    except Exception as error:  # noqa: BLE001  a broken build raises whatever it likes
        text = f"torch cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        return Finding("device", "wrong", text, "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", f"Apple GPU, torch {torch.__version__}")
    threads = torch.get_num_threads()
    return Finding(
        "device", "ok", f"no GPU: the CPU with {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"
    )


def plugins() -> Iterator[Finding]:
    """How many plugins there are, and those that cannot be used."""
    found = available()
    yield Finding("plugins", "ok", f"{sum(info.error is None for info in found)} can be asked for by name")
    for info in found:
        if info.error is not None:
            todo = f"mend, update or uninstall the package behind {info.origin}"
            yield Finding("plugins", "wrong", f"{info.kind} {info.name} from {info.origin}: {info.error}", todo)


def variables(given: Mapping[str, str]) -> Iterator[Finding]:
    """Which variables are set. A key's value is never told, nor its length."""
    for name in KEYS:
        if given.get(name):
            yield Finding("keys", "ok", f"{name} is set")
        else:
            yield Finding("keys", "missing", f"{name} is not set", "only its paid critic needs it")
    for name in SWITCHES:
        if name in given:
            yield Finding("variables", "ok", f"{name} is set")
