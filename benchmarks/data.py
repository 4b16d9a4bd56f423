"""What it costs to read a folder of photographs and to check it for leaks: time and memory.

    python benchmarks/data.py --data FOLDER [--quick] [--json FILE]

FOLDER is a folder of images as `Splits.from_folder` takes it. Each row runs in its own process, with a cache of
fingerprints that is empty at first. Memory is the peak of the process, less that of one that read 200 images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from reporting import create_parser, describe_machine, write_json

from xaiaug import Splits
from xaiaug.data import SPLITS
from xaiaug.data.decode import Decoder
from xaiaug.data.image_file import ImageFile

FEW, QUICK = 200, 600  # images
LARGE = 6  # photographs of 12 megapixels
SEED = 0  # of the split, where the folder holds classes alone


def read_few(splits: Splits) -> dict[str, Any]:
    """Opens 200 images."""
    return read_all(_sample_evenly(splits, FEW))


def read_all(splits: Splits) -> dict[str, Any]:
    """Opens every image once, one after another."""
    count = 0
    for name in splits.distinct:
        for sample in splits[name]:
            sample.open()
            count += 1
    return {"images": count}


def check(splits: Splits) -> dict[str, Any]:
    """Decodes, fingerprints and compares every image, or takes its fingerprint from the cache."""
    report = splits.check()
    return {"images": len(report.images), "near": len(report.allowed), "dropped": len(report.dropped)}


def read_large(splits: Splits) -> dict[str, Any]:
    """Opens photographs of 12 megapixels: at full size, reduced to a side of 512, and from their reduced copies."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, sample in enumerate(splits.train[:: max(1, len(splits.train) // LARGE)][:LARGE]):
            files.append(Path(folder) / f"{number}.jpg")
            sample.open().resize((4000, 3000)).save(files[-1], quality=90)
        times = {}
        for name, side in (("full", None), ("reduced", 512), ("copy", 512)):
            started = time.perf_counter()
            for file in files:
                ImageFile(str(file), file.name, Decoder(side=side))()
            times[name] = 1000 * (time.perf_counter() - started) / len(files)
    return {"images": 3 * len(files), "ms": times}


JOBS: dict[str, tuple[Callable[[Splits], dict[str, Any]], str]] = {
    "read few": (read_few, "open 200 images"),
    "read all": (read_all, "open all images"),
    "large": (read_large, "open 12 megapixels"),
    "check cold": (check, "leak check, nothing cached"),
    "check warm": (check, "leak check again"),
}


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    if options.job:
        print(json.dumps(_measure(options)))
        return
    with tempfile.TemporaryDirectory() as cache:
        rows = {job: _run_in_process(job, options, Path(cache) / job.split()[0]) for job in JOBS}
    few = rows["read few"]["megabytes"]
    print(f"{'':<28}{'images':>8}{'find s':>9}{'do s':>9}{'ms each':>9}{'MB over few':>13}")
    large = rows.pop("large")["ms"]
    for job, row in rows.items():
        each = 1000 * row["seconds"] / row["images"]
        print(
            f"{JOBS[job][1]:<28}{row['images']:>8}{row['find_seconds']:>9.2f}{row['seconds']:>9.2f}"
            f"{each:>9.3f}{row['megabytes'] - few:>13.0f}"
        )
    print("a photograph of 12 megapixels: " + ", ".join(f"{name} {each:.1f} ms" for name, each in large.items()))
    print(f"near-duplicates in two splits: {rows['check cold']['near']}; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "milliseconds at 12 megapixels": large}, seeds=[SEED])


def _run_in_process(job: str, options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--data", str(options.data), "--job", job]
    command += ["--quick"] if options.quick else []
    process = subprocess.run(
        command, env={**os.environ, "XAIAUG_CACHE": str(cache)}, check=True, stdout=subprocess.PIPE, text=True
    )
    row: dict[str, Any] = json.loads(process.stdout)
    return row


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    import resource

    started = time.perf_counter()
    splits = Splits.from_folder(options.data, seed=SEED, on_near_duplicate="allow")
    listed = time.perf_counter()
    row = JOBS[options.job][0](_sample_evenly(splits, QUICK) if options.quick else splits)
    ended = time.perf_counter()
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**row, "find_seconds": listed - started, "seconds": ended - listed, "megabytes": kilobytes / 1024}


def _sample_evenly(splits: Splits, count: int) -> Splits:
    """About `count` images, evenly spaced over each split."""
    step = max(1, sum(len(splits[name]) for name in splits.distinct) // count)
    return replace(splits, **{name: tuple(splits[name][::step]) for name in SPLITS})


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"about {QUICK} images")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="a folder of images")
    parser.add_argument("--job", choices=list(JOBS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
