"""What the loop itself costs: time a mistake, memory, and how long a finished run takes to open.

    python benchmarks/loop.py [--quick] [--json FILE] [--sizes 1000 10000 100000] [--folder DIR]

The plugins are fakes that do next to nothing on pictures of 16 pixels, and every guide image is a mistake; what is left
is cutting chunks, digests, panels, blobs synced to disk, and commits. Own overhead is the time of a run up to its
critiques, less the time the fakes take for themselves, over the mistakes. Each size runs in a process of its own, so
that its peak memory is its own. The exponent is the slope of log time over log mistakes. Reading photographs is
measured by benchmarks/data.py, and the page, which holds every mistake, is not part of it; what opening a finished run
for its report takes is told beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import machine, write_json

from xaiaug import Classifier, Critic, Critique, Explainer, Explanation, FeedbackLoop, History, Sample, Splits, open_run
from xaiaug.calls import Calls
from xaiaug.data import DataCheck
from xaiaug.loop.run import Run
from xaiaug.stages import Lazy, StageRuntime
from xaiaug.store import CallLedger, Store

LABELS = ("left", "right")
SIDE = 16
SIZES, QUICK = (1_000, 10_000, 100_000), (200, 1_000)


class Clock:
    """The seconds that fakes take for themselves."""

    seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


CLOCK = Clock()


class Wrong(Classifier):
    """Reads the label from the picture, and says the other one."""

    labels = LABELS

    def fit(self, *_: Any, **__: Any) -> History:
        """Nothing to learn."""
        return History()

    def predict_proba(self, images: Sequence[Image.Image]) -> Any:
        """Always the wrong class."""
        with CLOCK:
            return np.array([[0, 1] if image.getpixel((0, 0))[2] < 128 else [1, 0] for image in images], np.float32)

    def save(self, folder: Any) -> None:
        """One small file."""
        Path(folder, "wrong.txt").write_text("wrong")

    @classmethod
    def load(cls, _: Any) -> Wrong:
        """Another one."""
        return cls()

    def fork(self) -> Wrong:
        """Another one."""
        return type(self)()


class Blank(Explainer):
    """A heatmap of a few cells, a little different for every picture."""

    batch_size = 64

    def explain(self, _: Any, images: Any, targets: Any) -> Any:
        """One map an image."""
        with CLOCK:
            base = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
            return [
                Explanation(np.roll(base, image.getpixel((0, 0))[0] % SIDE, 0), "blank", target, False)
                for image, target in zip(images, targets, strict=True)
            ]


class Terse(Critic):
    """Says the same of every mistake."""

    batch_size = 64

    def critique(self, cases: Any) -> Any:
        """One critique a case."""
        with CLOCK:
            return [
                Critique(cause=f"it looks like a {case.predicted}", prompt=f"a {case.label}", attended="other")
                for case in cases
            ]


@dataclass(frozen=True, repr=False)
class Given(Splits):
    """Splits whose images need no check: none lies on disk."""

    def check(self, _: Sequence[str] = ()) -> DataCheck:
        """Nothing to find."""
        return DataCheck(counts={}, skipped=(), dropped=(), allowed=(), warnings=(), splits=self, images=())


def picture(number: int) -> Image.Image:
    """The number in its colours; blue tells the label."""
    blue = number // 65_536 + 128 * (number % 2)
    return Image.new("RGB", (SIDE, SIDE), (number % 256, number // 256 % 256, blue))


def sample(number: int) -> Sample:
    """One image, made when it is asked for."""
    return Sample(id=f"{number:040x}", label=number % 2, opener=partial(picture, number))


def one(size: int, folder: Path) -> dict[str, float]:
    """A run over so many mistakes, in this process."""
    splits = Given(LABELS, train=(sample(0), sample(1)), guide=Lazy(size, sample))
    tables = {"mistakes": {"max": "all"}, "experiment": {"fit_baseline": False}}
    loop = FeedbackLoop(Wrong(), Blank(), Terse(), settings=tables)
    CLOCK.seconds, began = 0.0, time.perf_counter()
    with Store(folder) as store:
        calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=None)
        runtime = StageRuntime(store, loop.engine, lambda _: None)
        Run(loop.settings, loop.plugins, loop.arms, runtime, splits, calls).conduct("critique")
        store.finish()
    took = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "mistakes": size,
        "seconds": took,
        "own_ms_a_mistake": 1000 * (took - CLOCK.seconds) / size,
        "memory_mb": memory / 1e6,
    }


def opened(folder: Path) -> float:
    """Seconds to open a finished run for its report, in this process."""
    began = time.perf_counter()
    if not open_run(folder).report.complete:
        raise SystemExit("the run is not finished")
    return time.perf_counter() - began


def apart(command: str, *arguments: object) -> Any:
    """What a function of this script gives, called in a process of its own."""
    line = [sys.executable, __file__, "--do", command, *map(str, arguments)]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    options = _options()
    if options.do:
        command, *arguments = options.do
        result = one(int(arguments[0]), Path(arguments[1])) if command == "one" else opened(Path(arguments[0]))
        print(json.dumps(result))
        return
    sizes = QUICK if options.quick else options.sizes
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = []
        for size in sizes:
            row = apart("one", size, Path(folder, str(size)))
            if size <= 10_000:
                row["open_s"] = apart("open", Path(folder, str(size)))
            rows.append(row)
            print(
                f"{size:>8,} mistakes: {row['own_ms_a_mistake']:.2f} ms own overhead a mistake, "
                f"{row['memory_mb']:.0f} MB" + (f", opens in {row['open_s']:.2f} s" if "open_s" in row else ""),
                flush=True,
            )
    first, last = rows[0], rows[-1]
    exponent = math.log(last["seconds"] / first["seconds"]) / math.log(last["mistakes"] / first["mistakes"])
    memory = last["memory_mb"] / first["memory_mb"]
    print(f"exponent {exponent:.2f}, memory x {memory:.2f}; {machine()['summary']}")
    if options.json:
        write_json(options.json, {"rows": rows, "exponent": exponent, "memory_ratio": memory})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", help="where the run folders are made; the temporary folder by default")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
