"""Options that every benchmark has, and its figures as JSON: with hardware, versions and seeds."""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CORE = ("xaiaug", "torch", "transformers", "numpy", "pillow", "scikit-image", "scikit-learn")
EXTRAS = ("anthropic", "captum", "diffusers", "openai", "peft")
atexit.register(gc.freeze)  # else the last collection walks over all of torch and transformers, after the last line


def create_parser(doc: str | None, *, quick: str, small: str | None = None) -> argparse.ArgumentParser:
    """A parser with --quick, --json and, where a benchmark has a size in between, --small.

    Args:
        doc: the docstring of the script, shown as help.
        quick: what --quick does; it must take at most 15 seconds on two cores.
        small: what --small does; None leaves it out.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help=f"{quick}: does it run?")
    if small is not None:
        sizes.add_argument("--small", action="store_true", help=small)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures, hardware, versions and seeds here")
    return parser


def create_quick_folder() -> Path:
    """A run folder for --quick: empty, so that nothing is resumed, and removed at exit."""
    folder = tempfile.TemporaryDirectory(prefix="xaiaug-quick-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def describe_machine() -> dict[str, Any]:
    """Hardware and versions, with a one-line summary."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version(), **{name: version(name) for name in CORE}, **_installed(EXTRAS)}
    summary = f"{cores} cores, {_processor()}, {platform.system()}, torch {versions['torch']}"
    return {"summary": summary, "cores": cores, "processor": _processor(), "gpu": _gpu(), "versions": versions}


def peak_megabytes() -> float:
    """Peak memory of this process so far."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def summarize(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles of repeated measurements, and their number."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return {"median": median, "low": low, "high": high, "rounds": len(values)}


def write_json(path: Path, figures: dict[str, Any], *, seeds: Sequence[int]) -> None:
    """Writes figures with the command, date, hardware, versions and seeds."""
    context = {
        "command": [Path(sys.argv[0]).name, *(_hide_path(word) for word in sys.argv[1:])],
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        "seeds": list(seeds),
    }
    text = json.dumps(_without_nan({**context, **figures}), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"figures: {path}")


def _hide_path(word: str) -> str:
    """A word of the command line; of a path only its name, since figures are published."""
    return Path(word).name if Path(word).is_absolute() else word


def _without_nan(value: Any) -> Any:
    """The value with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _installed(packages: Sequence[str]) -> dict[str, str]:
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return versions


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        if models:
            return models[0]
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    """Name of the GPU; None where there is none, or where the benchmark has no use for torch."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
