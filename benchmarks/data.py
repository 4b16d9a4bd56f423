"""What it costs to read a folder of photographs and to look for leaks in it: time, and memory.

    python benchmarks/data.py --data FOLDER [--quick] [--json FILE]

Each row is measured in a process of its own, with a cache of fingerprints that is empty at first. Memory is the
greatest the process ever held, over that of a process that read 200 images.
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

from reporting import machine, write_json

from xaiaug import Splits
from xaiaug.data import SPLITS
from xaiaug.data.decode import Decoder
from xaiaug.data.image_file import ImageFile

FEW, LARGE = 200, 12
QUICK = 1000


def read_few(splits: Splits) -> dict[str, Any]:
    """Opens 200 images."""
    return read_all(_thinned(splits, FEW))


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
    found = splits.check()
    return {"images": len(found.images), "near": len(found.allowed), "dropped": len(found.dropped)}


def read_large(splits: Splits) -> dict[str, Any]:
    """Opens photographs of 12 megapixels: whole, reduced to a side of 512, and by their reduced copies."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, sample in enumerate(_thinned(splits, LARGE).train[:LARGE]):
            files.append(Path(folder) / f"{number}.jpg")
            sample.open().resize((4000, 3000)).save(files[-1], quality=90)
        times = {}
        for name, side in (("whole", None), ("reduced", 512), ("copy", 512)):
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
    options = _options()
    if options.job:
        print(json.dumps(_measured(options)))
        return
    with tempfile.TemporaryDirectory() as cache:
        rows = {job: _in_own_process(job, options, Path(cache) / job.split()[0]) for job in JOBS}
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
    print(f"nearly equal images in two splits: {rows['check cold']['near']}; {machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "milliseconds at 12 megapixels": large})


def _in_own_process(job: str, options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--data", str(options.data), "--job", job]
    command += ["--quick"] if options.quick else []
    done = subprocess.run(
        command, env={**os.environ, "XAIAUG_CACHE": str(cache)}, check=True, capture_output=True, text=True
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    import resource

    started = time.perf_counter()
    splits = Splits.from_folder(options.data, on_near_duplicate="allow")
    found = time.perf_counter()
    told = JOBS[options.job][0](_thinned(splits, QUICK) if options.quick else splits)
    ended = time.perf_counter()
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**told, "find_seconds": found - started, "seconds": ended - found, "megabytes": kilobytes / 1024}


def _thinned(splits: Splits, count: int) -> Splits:
    """About that many images, every so many-th of each split."""
    step = max(1, sum(len(splits[name]) for name in splits.distinct) // count)
    return replace(splits, **{name: tuple(splits[name][::step]) for name in SPLITS})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of images, as Splits.from_folder takes it")
    parser.add_argument("--quick", action="store_true", help=f"about {QUICK} images")
    parser.add_argument("--json", type=Path, help="write the figures, with hardware and versions, to this file")
    parser.add_argument("--job", choices=list(JOBS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
