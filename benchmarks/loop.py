"""What the loop itself costs: time per mistake, memory, and how long a finished run takes to open.

    python benchmarks/loop.py [--quick] [--json FILE] [--sizes 1000 20000 100000] [--folder DIR]

The plugins are fakes that do next to nothing on images of 16 pixels, and every guide image is a mistake. What is left
is cutting chunks, digests, blobs synced to disk, and commits. Overhead is the time of a run up to its critiques, less
the time spent inside the fakes, divided by the mistakes. Each size runs in its own process, so that peak memory is its
own. The exponent is the slope of log time over log mistakes. Not included: reading photographs (benchmarks/data.py),
the faithfulness of heatmaps, and the report, which holds every mistake: opening a finished run, and writing report.json
and the page, are measured separately, in a process of their own. Resuming is the same command again: nothing is left to
do. Beside it stands a script that writes each image, heatmap and critique to files, without syncing, checksums or a way
to resume.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reporting import create_parser, describe_machine, peak_megabytes, write_json

from xaiaug import (
    Case,
    Classifier,
    Critic,
    Critique,
    Explainer,
    Explanation,
    FeedbackLoop,
    History,
    Sample,
    Splits,
    open_run,
)
from xaiaug.calls import Calls
from xaiaug.data import DataCheck
from xaiaug.loop.run import prepare_run, run_stages
from xaiaug.stages import Lazy, StageRuntime
from xaiaug.store import CallLedger, Store

LABELS = ("left", "right")
SIDE = 16
SIZES, QUICK = (1_000, 20_000, 100_000), (200, 1_000)
SEED = 0  # the loop's only seed; nothing here is random


class Clock:
    """Seconds spent inside the fakes."""

    seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


CLOCK = Clock()


class Wrong(Classifier):
    """Reads the label from the image and predicts the other one."""

    labels = LABELS

    def fit(self, *_: Any, **__: Any) -> History:
        """Learns nothing."""
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
        """A new one."""
        return cls()

    def fork(self) -> Wrong:
        """A new one."""
        return type(self)()


class Gradient(Explainer):
    """A heatmap that is shifted a little from image to image."""

    batch_size = 64

    def explain(self, _: Any, images: Any, targets: Any) -> Any:
        """One heatmap an image."""
        with CLOCK:
            base = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
            return [
                Explanation(np.roll(base, image.getpixel((0, 0))[0] % SIDE, 0), "gradient", target, False)
                for image, target in zip(images, targets, strict=True)
            ]


class Fluent(Critic):
    """Gives every mistake the same critique, as long as those of real critics."""

    batch_size = 64

    def critique(self, cases: Any) -> Any:
        """One critique a case."""
        with CLOCK:
            return [
                Critique(
                    cause=f"The model looked at the {case.predicted} part of the image, and not at what it shows. " * 2,
                    prompt=f"a {case.label} shape on a plain wall, seen from the side in soft light, centred, " * 2,
                    attended="other",
                    evidence=(f"most of the heat lies {case.predicted} of the middle", "the contour is cold") * 2,
                    guidance={"backdrop_colour": "#808080", "brightness": 0.5},
                )
                for case in cases
            ]


@dataclass(frozen=True, repr=False)
class Unchecked(Splits):
    """Splits whose images need no check: none is on disk."""

    def check(self, *_: object, **__: object) -> DataCheck:
        """Nothing to report."""
        return DataCheck(counts={}, skipped=(), dropped=(), allowed=(), warnings=(), splits=self, images=())


def create_image(number: int) -> Image.Image:
    """An image whose colours encode the number, and whose blue gives the label."""
    blue = number // 65_536 + 128 * (number % 2)
    return Image.new("RGB", (SIDE, SIDE), (number % 256, number // 256 % 256, blue))


def create_sample(number: int) -> Sample:
    """A sample whose image is created when it is opened."""
    return Sample(id=f"{number:040x}", label=number % 2, opener=partial(create_image, number))


def time_run(size: int, folder: Path) -> dict[str, float]:
    """A run over `size` mistakes, in this process."""
    splits = Unchecked(LABELS, train=(create_sample(0), create_sample(1)), guide=Lazy(size, create_sample))
    settings = {"mistakes": {"max": "all", "faithfulness": 0}, "experiment": {"fit_baseline": False}}
    loop = FeedbackLoop(Wrong(), Gradient(), Fluent(), seeds=(SEED,), settings=settings)
    CLOCK.seconds, began, cpu_began = 0.0, time.perf_counter(), time.process_time()
    with Store(folder) as store:  # not `loop.run`, which writes the report page as well
        calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=None)
        runtime = StageRuntime(store, loop.engine, lambda _: None)
        run = prepare_run(loop.settings, loop.plugins, loop.arms, runtime, splits, calls, until="critique")
        run_stages(run)
        store.finish()
    seconds = time.perf_counter() - began
    return {
        "mistakes": size,
        "seconds": seconds,
        "own_ms_a_mistake": 1000 * (seconds - CLOCK.seconds) / size,
        "cpu_ms_a_mistake": 1000 * (time.process_time() - cpu_began) / size,  # the fakes' own time included
        "cpu_s": time.process_time(),
        "memory_mb": peak_megabytes(),
    }


def time_resume(size: int, folder: Path) -> dict[str, float]:
    """The same run again, in this process."""
    return {"resume_s": time_run(size, folder)["seconds"]}


def time_script(size: int, folder: Path) -> dict[str, float]:
    """What a script does that keeps the same things, in this process."""
    folder.mkdir()
    classifier, explainer, critic = Wrong(), Gradient(), Fluent()
    CLOCK.seconds, began, cpu_began = 0.0, time.perf_counter(), time.process_time()
    with (folder / "critiques.jsonl").open("w") as lines:
        for start in range(0, size, Gradient.batch_size):
            numbers = range(start, min(size, start + Gradient.batch_size))
            samples = [create_sample(number) for number in numbers]
            images = [sample.open() for sample in samples]
            predicted = classifier.predict_proba(images).argmax(1).tolist()
            maps = explainer.explain(classifier, images, predicted)
            cases = [
                Case(
                    sample.id,
                    image,
                    image,
                    LABELS[sample.label],
                    LABELS[label],
                    np.eye(2, dtype=np.float32)[label],
                    one,
                )
                for sample, image, label, one in zip(samples, images, predicted, maps, strict=True)
            ]
            for case, one, critique in zip(cases, maps, critic.critique(cases), strict=True):
                case.image.save(folder / f"{case.id}.png")
                np.save(folder / f"{case.id}.npy", one.heatmap)
                lines.write(json.dumps({"id": case.id, **asdict(critique)}) + "\n")
    return {
        "script_ms_a_mistake": 1000 * (time.perf_counter() - began - CLOCK.seconds) / size,
        "script_cpu_ms_a_mistake": 1000 * (time.process_time() - cpu_began) / size,
    }


def time_report(folder: Path) -> dict[str, float]:
    """What it takes to open a finished run and to write its report, in this process."""
    began = time.perf_counter()
    result = open_run(folder)
    if not result.report.complete:
        raise SystemExit("the run is not finished")
    opened = time.perf_counter()
    result.write_report()
    return {
        "report_cpu_s": time.process_time(),  # of this whole process, imports included
        "open_s": opened - began,
        "write_s": time.perf_counter() - opened,
        "report_memory_mb": peak_megabytes(),
        "report_json_mb": (folder / "report.json").stat().st_size / 1e6,
        "report_html_mb": (folder / "report.html").stat().st_size / 1e6,
    }


def run_in_process(command: str, *arguments: object) -> Any:
    """The result of a function of this script, called in its own process."""
    line = [sys.executable, __file__, "--do", command, *map(str, arguments)]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    if options.do:
        command, *arguments = options.do
        folder = Path(arguments[-1])
        sized = {"run": time_run, "resume": time_resume, "script": time_script}
        print(json.dumps(time_report(folder) if command == "report" else sized[command](int(arguments[0]), folder)))
        return
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        for size in QUICK if options.quick else options.sizes:
            row = run_in_process("script", size, Path(root, f"script-{size}"))
            row |= run_in_process("run", size, Path(root, str(size)))
            row |= run_in_process("resume", size, Path(root, str(size)))
            row |= run_in_process("report", Path(root, str(size)))
            rows.append(row)
            print(_describe(row), flush=True)
    figures: dict[str, Any] = {"rows": rows}
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        exponent = math.log(last["seconds"] / first["seconds"]) / math.log(last["mistakes"] / first["mistakes"])
        figures |= {"exponent": exponent, "memory_ratio": last["memory_mb"] / first["memory_mb"]}
        print(f"exponent {exponent:.2f}, memory x {figures['memory_ratio']:.2f}")
    print(describe_machine()["summary"])
    if options.json:
        write_json(options.json, figures, seeds=[SEED])


def _describe(row: dict[str, float]) -> str:
    overhead = f"{row['own_ms_a_mistake']:.2f} ms overhead, {row['cpu_ms_a_mistake']:.2f} of CPU time"
    script = f"{row['script_ms_a_mistake']:.2f} and {row['script_cpu_ms_a_mistake']:.2f} by a script"
    run = f"{overhead} ({script}), {row['cpu_s']:.0f} s of one core, {row['memory_mb']:.0f} MB"
    report = f"opened in {row['open_s']:.1f} s and written in {row['write_s']:.1f} s"
    costs = f"{row['report_cpu_s']:.1f} s of one core, {row['report_memory_mb']:.0f} MB"
    return f"{row['mistakes']:>8,} mistakes: {run}; {report} ({costs}), report.json {row['report_json_mb']:.1f} MB"


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"sizes {QUICK[0]} and {QUICK[1]:,}")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of mistakes")
    parser.add_argument("--folder", metavar="DIR", help="parent of the run folders; the temporary folder by default")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
