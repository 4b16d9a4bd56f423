"""What it costs to spread the work of a run: time to start, overhead of a chunk, and what a second worker gains.

    python benchmarks/engines.py [--quick] [--json FILE] [--mistakes 1000 100000] [--folder DIR]

Parts one to three are for the engine `local` with one worker, which is this process, and with two, and for `ray` with
one and two, where Ray is installed. *Start* is the time from asking for workers until the first chunk is done, imports
included. *Overhead* is the time of a chunk that is nothing but a number, with workers that run already. *Stage* is the
explaining of a run (RISE on images of 64 pixels, a classifier without torch), one thread a worker. Part four are runs
over many mistakes up to their critiques, by the fakes of benchmarks/loop.py, in this process and with two workers of
Ray: time, and CPU seconds and peak memory of the driver. Part five is the demo: CPU seconds of one core by stage, for
each item. Everything runs in a process of its own, with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loop import LABELS, Fluent, Gradient, Unchecked, Wrong, create_sample
from reporting import create_parser, describe_machine, write_json

from xaiaug import Explainer, FeedbackLoop, Recipe, Splits, load
from xaiaug.calls import Calls
from xaiaug.demo import demo
from xaiaug.engines import EngineOptions, make_engine
from xaiaug.loop.run import prepare_run, run_stages
from xaiaug.records import Progress
from xaiaug.stages import Lazy, StageRuntime
from xaiaug.store import CallLedger, Store
from xaiaug.store.schema import SPEEDS
from xaiaug.testing.fakes import NearestColour
from xaiaug.testing.small import small_splits

ENGINES = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))
CHUNKS, EACH, MASKS, MISTAKES = 2_000, 60, 400, (1_000, 100_000)
QUICK_CHUNKS, QUICK_EACH, QUICK_MASKS, QUICK_MISTAKES = 100, 4, 20, (200,)
SEED = 0
# One thread each; Ray gives its workers the lowest priority, which on a busy machine would be what is measured.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAY_worker_niceness": "0"}


class Echo:
    """Work that is none."""

    def open(self) -> None:
        """Nothing to open."""

    def __call__(self, number: int) -> int:
        """The number."""
        return number


def time_chunks(name: str, workers: int, chunks: int) -> dict[str, float]:
    """Start and overhead of an engine."""
    engine = make_engine(name, EngineOptions(workers=workers))
    began = time.perf_counter()
    list(engine.map(Echo(), range(workers)))
    started, cpu = time.perf_counter(), time.process_time()
    list(engine.map(Echo(), range(chunks)))
    ended, cpu_ended = time.perf_counter(), time.process_time()
    engine.close()
    return {
        "start_s": started - began,
        "chunk_ms": 1000 * (ended - started) / chunks,
        "driver_cpu_ms": 1000 * (cpu_ended - cpu) / chunks,
        "stop_s": time.perf_counter() - ended,
    }


def time_stage(name: str, workers: int, each: int, masks: int) -> dict[str, float]:
    """Seconds of the stage that explains mistakes, with workers that run already."""
    splits = small_splits({"train": 4, "guide": each, "validation": 2, "test": 2}, side=64)
    explainer = load("explainer", "rise", masks=masks)
    with tempfile.TemporaryDirectory() as folder:
        seconds = _explain(splits, explainer, Path(folder, "run"), name, workers)
    return {"stage_s": seconds, "images": 2 * each}


def _explain(splits: Splits, explainer: Explainer, folder: Path, name: str, workers: int) -> float:
    """Wall seconds of the stage: what is kept as its speed are those of all workers together."""
    settings = {
        "engine": {"name": name, "workers": workers},
        "mistakes": {"max": "all", "faithfulness": 0},
    }
    loop = FeedbackLoop(NearestColour(), explainer, Fluent(), recipe=Recipe(steps=2, batch_size=4), settings=settings)
    loop.run(splits, folder, until="explain")
    with Store(folder) as store:
        _, seconds = (store.ledger.get_fact(SPEEDS) or {})["explain"]
    return seconds / workers


def time_run(name: str, workers: int, mistakes: int, folder: Path) -> dict[str, float]:
    """A run over so many mistakes up to its critiques; its report is not written."""
    splits = Unchecked(LABELS, train=(create_sample(0), create_sample(1)), guide=Lazy(mistakes, create_sample))
    settings = {
        "engine": {"name": name, "workers": workers},
        "mistakes": {"max": "all", "faithfulness": 0},
        "experiment": {"fit_baseline": False},
    }
    loop = FeedbackLoop(Wrong(), Gradient(), Fluent(), seeds=(SEED,), settings=settings)
    list(loop.engine.map(Echo(), range(workers)))  # the start is measured by itself
    began, cpu = time.perf_counter(), time.process_time()
    with Store(folder) as store:
        calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=None)
        runtime = StageRuntime(store, loop.engine, lambda _: None)
        run_stages(prepare_run(loop.settings, loop.plugins, loop.arms, runtime, splits, calls, until="critique"))
        store.finish()
    figures = {
        "mistakes": mistakes,
        "seconds": time.perf_counter() - began,
        "driver_cpu_s": time.process_time() - cpu,
        "driver_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    loop.engine.close()
    return figures


class CpuByStage:
    """CPU seconds of this process and items by stage, by the titles of its progress."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.items: Counter[str] = Counter()
        self._stage, self._since, self._done = "", time.process_time(), 0

    def watch(self, progress: Progress) -> None:
        """Counts what was spent since the last progress for the stage that it was of."""
        now = time.process_time()
        self.seconds[self._stage] += now - self._since
        title = progress.stage.partition(" ")[0] if progress.stage.startswith(("train", "predict")) else progress.stage
        if (title, progress.done) != (self._stage, self._done):
            self.items[title] += max(0, progress.done - (self._done if title == self._stage else 0))
        self._stage, self._since, self._done = title, now, progress.done


def measure_costs(folder: Path) -> dict[str, Any]:
    """What the stages of the demo cost: CPU seconds and items of each."""
    clock = CpuByStage()
    demo(folder, watch=clock.watch)
    clock.watch(Progress("end", 0, 1))
    return {"stages": {name: [clock.seconds[name], clock.items[name]] for name in clock.items if clock.items[name]}}


def run_in_process(command: str, *arguments: object) -> dict[str, Any]:
    """The result of a function of this script, called in its own process; as a module, so that workers find it."""
    line = [sys.executable, "-c", "from engines import main; main()", "--do", command, *map(str, arguments)]
    place = {"cwd": Path(__file__).parent, "env": {**os.environ, **ENVIRONMENT}}
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, **place)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def do(command: str, name: str, workers: int, *numbers: str) -> dict[str, Any]:
    """One measurement, in this process."""
    if command == "costs":
        return measure_costs(Path(numbers[0]))
    if command == "chunks":
        return time_chunks(name, workers, int(numbers[0]))
    if command == "stage":
        return time_stage(name, workers, int(numbers[0]), int(numbers[1]))
    return time_run(name, workers, int(numbers[0]), Path(numbers[1]))


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    if options.do:
        command, name, workers, *numbers = options.do
        print(json.dumps(do(command, name, int(workers), *numbers)))
        return
    quick = options.quick
    engines = [one for one in ENGINES if one[0] == "local" or find_spec("ray")]
    if quick:  # every kind of engine once
        engines = [one for one in engines if one in (("local", 1), ("local", 2))]
    chunks, each, masks = (QUICK_CHUNKS, QUICK_EACH, QUICK_MASKS) if quick else (CHUNKS, EACH, MASKS)
    rows: list[dict[str, Any]] = []
    for name, workers in engines:
        figures = run_in_process("chunks", name, workers, chunks)
        figures |= run_in_process("stage", name, workers, each, masks)
        rows.append({"engine": name, "workers": workers, **figures})
        print(_describe_engine(rows[-1], rows[0]), flush=True)
    runs = []
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        for name, workers in (engines[0], engines[-1]):
            for mistakes in QUICK_MISTAKES if quick else options.mistakes:
                folder = Path(root, f"{name}-{mistakes}")
                runs.append(
                    {"engine": name, "workers": workers, **run_in_process("run", name, workers, mistakes, folder)}
                )
                print(_describe_run(runs[-1]), flush=True)
        costs = {} if quick else run_in_process("costs", "local", 1, Path(root, "demo"))
    for stage, (seconds, items) in costs.get("stages", {}).items():
        print(f"{stage:>28}: {seconds:7.1f} s of one core for {items:,} items, {1000 * seconds / items:.1f} ms each")
    print(describe_machine()["summary"])
    if options.json:
        write_json(options.json, {"engines": rows, "runs": runs, "costs": costs}, seeds=[SEED])


def _describe_engine(row: dict[str, Any], first: dict[str, Any]) -> str:
    gain = first["stage_s"] / row["stage_s"]
    return (
        f"{row['engine']:>5}, {row['workers']} workers: first chunk after {row['start_s']:.2f} s, stopped in "
        f"{row['stop_s']:.2f} s, a chunk {row['chunk_ms']:.2f} ms ({row['driver_cpu_ms']:.2f} ms CPU of the driver), "
        f"stage of {row['images']:.0f} images {row['stage_s']:.1f} s, x {gain:.2f}"
    )


def _describe_run(row: dict[str, Any]) -> str:
    return (
        f"{row['mistakes']:>8,} mistakes, {row['engine']}, {row['workers']} workers: {row['seconds']:.0f} s, driver "
        f"{row['driver_cpu_s']:.0f} s CPU ({1000 * row['driver_cpu_s'] / row['mistakes']:.2f} ms a mistake), "
        f"{row['driver_memory_mb']:.0f} MB"
    )


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="local alone, tiny sizes")
    parser.add_argument("--mistakes", type=int, nargs="+", default=list(MISTAKES), help="sizes of the long runs")
    parser.add_argument("--folder", metavar="DIR", help="parent of the run folders; the temporary folder by default")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
