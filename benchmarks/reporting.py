"""What every benchmark says about where it ran, and how it writes its figures."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("xaiaug", "torch", "transformers", "numpy", "pillow", "scikit-image", "scikit-learn")


def machine() -> dict[str, Any]:
    """Hardware and versions, with a one-line summary."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    summary = f"{cores} cores, {_processor()}, {platform.system()}, torch {versions['torch']}"
    return {"summary": summary, "cores": cores, "processor": _processor(), "versions": versions}


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Writes figures with hardware, versions and the date."""
    told = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), **figures}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {path}")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
