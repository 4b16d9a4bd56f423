"""Measures speed and memory against what people use today, and writes docs/benchmarks.md: `make bench`.

    python benchmarks/run_all.py [--data SHARED] [--gpu] [--only NAME ...] [--folder FOLDER] [--quick]

One benchmark after another, each in a process of its own, writes its figures, hardware, versions and date to
benchmarks/results/NAME.json; `tables.py` then writes docs/benchmarks.md from these files, and the figures in the
documentation that come from them. On two cores this takes half an hour. What needs SHARED (cats-vs-dogs and weights) is
left out without it. --gpu measures what needs a GPU, and says so where there is none: SDXL's published configuration
with random weights against one image at a time, explanations of ViT-B and ViT-L, trainings; it takes a quarter of an
hour.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tables import RESULTS, write_documents

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Run:
    """A benchmark, and how it is run here.

    Attributes:
        name: of its figures.
        script: that measures them.
        options: of the script.
        data: its --data below SHARED; None where it needs none.
    """

    name: str
    script: str
    options: Sequence[str] = ()
    data: str | None = None


CPU = (
    Run(
        "explainers",
        "explainers",
        ("--models", "ViT-S/16", "--rounds", "5", "--seconds", "75", "--sizes", *("224x1", "224x8", "224x64", "518x1")),
    ),
    Run("training", "training", ("--images", "160")),
    Run("calls", "calls", ("--rounds", "3")),
    Run("loop", "loop", ("--sizes", "1000", "10000", "100000")),
    Run("near_duplicates", "near_duplicates"),
    Run("synthesizers", "synthesizers", ("--small",)),
    Run("data", "data", data="cats-vs-dogs"),
    Run("diagnose", "diagnose", data=""),
)
GPU = (
    Run("synthesizers_gpu", "synthesizers", ("--full",)),
    Run(
        "explainers_gpu",
        "explainers",
        ("--models", "ViT-B/16", "ViT-L/16", "--sizes", "224x8", "224x64", "518x8", "--seconds", "45"),
    ),
    Run("training_gpu", "training", ("--images", "1024")),
)


def main() -> None:
    """Runs, and writes."""
    options = _parse_options()
    if options.gpu and not _has_gpu():
        sys.exit("no GPU is at hand: nothing was measured, and the figures that are there stay as they are")
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for run in GPU if options.gpu else CPU:
        if options.only and run.name not in options.only:
            continue
        command = [sys.executable, str(HERE / f"{run.script}.py"), "--json", str(options.folder / f"{run.name}.json")]
        command += ["--quick"] if options.quick else run.options
        if run.data is not None:
            if options.data is None or not (options.data / run.data).is_dir():
                print(
                    f"== {run.name}: left out, it needs --data with {run.data or 'cats-vs-dogs and weights'}",
                    flush=True,
                )
                continue
            command += ["--data", str(options.data / run.data)]
        print(f"== {run.name}", flush=True)
        began = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        failed += [run.name] if code else []
        print(f"== {run.name}: {time.monotonic() - began:.0f} s", flush=True)
    if options.folder == RESULTS and not options.quick:
        write_documents()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="SHARED", help="a folder with cats-vs-dogs and weights")
    parser.add_argument("--gpu", action="store_true", help="what needs a GPU, and nothing else")
    parser.add_argument("--only", nargs="+", choices=[run.name for run in (*CPU, *GPU)], help="these alone")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the JSON files go")
    parser.add_argument("--quick", action="store_true", help="does it run? Its figures are not for the documentation")
    options = parser.parse_args()
    if options.quick and options.folder == RESULTS:
        parser.error("--quick needs a --folder of its own")
    return options


if __name__ == "__main__":
    main()
