"""What diagnosing a checkpoint costs over its forward passes alone.

    python benchmarks/diagnose.py --data SHARED [--images 1500] [--rounds 2] [--quick] [--json FILE]

SHARED is a folder with cats-vs-dogs and weights/mobilenet-v2-035-cats-dogs. `xaiaug diagnose` runs as a command on so
many photographs, in an empty run folder: start, check, predictions, heatmaps and their test, critiques, report. Beside
it stands a script that imports torch and transformers, opens the checkpoint and the photographs, and predicts them 32
at a time. Both are processes of their own, in turn; figures are their CPU time, and that of the script's predictions.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reporting import create_parser, describe_machine, summarize, write_json

CHECKPOINT = "weights/mobilenet-v2-035-cats-dogs"
CLASSES = ("cat", "dog")
BATCH = 32
SEED = 0
QUICK_IMAGES = 40


def copy_images(data: Path, count: int, folder: Path) -> Path:
    """A folder of class/image with equally many photographs of each class."""
    for name in CLASSES:
        found = sorted(path for path in (data / "cats-vs-dogs").rglob("*.jpg") if name in path.parent.name.lower())
        (folder / name).mkdir(parents=True)
        for path in found[: count // len(CLASSES)]:
            shutil.copy(path, folder / name / path.name)
    return folder


def predict(checkpoint: Path, photos: Path) -> dict[str, float]:
    """The script: predictions in batches of 32; the CPU time that they take, decoding left out."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    network = AutoModelForImageClassification.from_pretrained(checkpoint).eval()
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    files = sorted(photos.rglob("*.jpg"))
    passes = 0.0
    for start in range(0, len(files), BATCH):
        images = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        began = time.process_time()
        with torch.inference_mode():
            network(pixels).logits.softmax(-1)
        passes += time.process_time() - began
    return {"forward passes": passes}


def run_timed(command: list[str], cache: Path) -> tuple[float, float, str]:
    """CPU and wall seconds of a process with its children, and its output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "XAIAUG_CACHE": str(cache)}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, seconds, output


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    checkpoint = options.data / CHECKPOINT
    if options.predict:
        print(json.dumps(predict(checkpoint, options.predict)))
        return
    taken: dict[str, list[float]] = {name: [] for name in ("diagnose", "script", "forward passes", "diagnose clock")}
    with tempfile.TemporaryDirectory() as root:
        photos = copy_images(options.data, options.images, Path(root, "photos").resolve())
        for number in range(options.rounds):
            ours = [sys.executable, "-m", "xaiaug", "diagnose", str(photos), "--checkpoint", str(checkpoint)]
            ours += ["--run-dir", str(Path(root, f"run-{number}"))]
            script = [sys.executable, __file__, "--data", str(options.data), "--predict", str(photos)]
            cpu, clock, _ = run_timed(ours, Path(root, f"cache-{number}"))
            taken["diagnose"].append(cpu)
            taken["diagnose clock"].append(clock)
            cpu, _, output = run_timed(script, Path(root, "cache"))
            taken["script"].append(cpu)
            taken["forward passes"].append(json.loads(output)["forward passes"])
    figures: dict[str, Any] = {name: summarize(values) for name, values in taken.items()}
    for other in ("script", "forward passes"):
        figures[f"over {other}"] = summarize([a / b for a, b in zip(taken["diagnose"], taken[other], strict=True)])
    print(
        f"{options.images} photographs: {figures['diagnose']['median']:.1f} s of CPU time, "
        f"{figures['over script']['median']:.2f}x the script, "
        f"{figures['over forward passes']['median']:.2f}x its forward passes; {describe_machine()['summary']}"
    )
    if options.json:
        write_json(options.json, {"images": options.images, "batch of the script": BATCH, **figures}, seeds=[SEED])


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK_IMAGES} photographs, one round")
    parser.add_argument("--data", type=Path, required=True, metavar="SHARED", help="a folder with data and weights")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--predict", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.images, options.rounds = QUICK_IMAGES, 1
    return options


if __name__ == "__main__":
    main()
