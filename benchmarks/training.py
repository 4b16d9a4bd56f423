"""What training costs over a bare PyTorch loop: images a second, JPEG decoding included.

    python benchmarks/training.py [--models ViT MobileNetV2] [--images 256] [--rounds 3] [--device cpu] [--quick]
                                  [--json FILE]

Both train the same network, from the same weights, on the same JPEG files of 500 x 375 pixels, one pass over all of
them: a random crop and flip, AdamW with decay but for biases and norms, a cosine schedule with a warm-up, clipped
gradients. The bare loop is what one writes by hand, without curves, checkpoints or a seed for each view. They take
turns; a ratio is that of the images a second of the same round, in CPU time and in wall time.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from reporting import create_parser, describe_machine, summarize, write_json
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForImageClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    MobileNetV2ImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from xaiaug import Recipe, Sample
from xaiaug.data.decode import Decoder
from xaiaug.data.image_file import ImageFile
from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers.transformers import TransformersClassifier

SIDE, SIZE = 224, (500, 375)
LABELS = ("a", "b")
BATCH, LEARNING_RATE, DECAY, CLIP = 32, 1e-4, 0.05, 1.0
SEED = 0
QUICK_IMAGES = 32


def create_checkpoint(name: str, folder: Path) -> Path:
    """A checkpoint of random weights."""
    torch.manual_seed(SEED)
    size = {"height": SIDE, "width": SIDE}
    network: nn.Module
    if name == "ViT":
        config = ViTConfig(
            hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768, num_labels=len(LABELS)
        )
        network, processor = ViTForImageClassification(config), ViTImageProcessorPil(size=size)
    else:
        network = MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.35, num_labels=len(LABELS)))
        processor = MobileNetV2ImageProcessorPil(size={"shortest_edge": 256}, crop_size=size)
    network.config.id2label = dict(enumerate(LABELS))
    network.config.label2id = {label: index for index, label in enumerate(LABELS)}
    network.save_pretrained(folder / name)
    processor.save_pretrained(folder / name)
    return folder / name


def write_images(count: int, folder: Path) -> list[Path]:
    """JPEG files as large as photographs of cats-vs-dogs."""
    generator, files = np.random.default_rng(SEED), []
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        files.append(folder / f"{number}.jpg")
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(files[-1], quality=90)
    return files


def train_ours(checkpoint: Path, files: list[Path], device: str) -> Callable[[], object]:
    """An arm's training: `fit` of the classifier, from its checkpoint."""
    samples = [
        Sample(id=f"{number:040x}", label=number % 2, opener=ImageFile(str(file), file.name, Decoder()))
        for number, file in enumerate(files)
    ]
    recipe = Recipe(
        steps=len(files) // BATCH, batch_size=BATCH, learning_rate=LEARNING_RATE, weight_decay=DECAY, schedule="cosine"
    )
    classifier = TransformersClassifier(str(checkpoint))
    classifier.prepare(Context(labels=LABELS, device=device))
    return lambda: classifier.fit(samples, (), recipe=recipe, seed=SEED)


def train_bare(checkpoint: Path, files: list[Path], device: str) -> Callable[[], object]:
    """The loop that one writes by hand."""
    network = AutoModelForImageClassification.from_pretrained(checkpoint).to(device)
    steps = len(files) // BATCH

    def train() -> None:
        network.train()
        plain = [each for each in network.parameters() if each.ndim < 2]
        decayed = [each for each in network.parameters() if each.ndim >= 2]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _anneal(step, steps))
        for pixels, targets in _iter_batches(files):
            loss = cross_entropy(network(pixels.to(device)).logits, targets.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            loss.item()
        network.eval()

    return train


def _anneal(step: int, steps: int) -> float:
    warm_up = round(steps / 20)
    if step < warm_up:
        return step / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def _iter_batches(files: list[Path]) -> Iterator[tuple[Tensor, Tensor]]:
    generator = np.random.default_rng(SEED)
    order = generator.permutation(len(files))
    for start in range(0, len(files) // BATCH * BATCH, BATCH):
        chosen = order[start : start + BATCH]
        views = np.stack([_read_view(files[index], generator) for index in chosen])
        pixels = (torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        yield pixels.contiguous(), torch.from_numpy(chosen % 2)


def _read_view(file: Path, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """A random crop, half of the time mirrored."""
    image = Image.open(file).convert("RGB")
    area = image.width * image.height * generator.uniform(0.5, 1)
    ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
    across, down = min(image.width, math.sqrt(area * ratio)), min(image.height, math.sqrt(area / ratio))
    left, top = generator.uniform(0, image.width - across), generator.uniform(0, image.height - down)
    box = (left, top, left + across, top + down)
    view = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
    return view[:, ::-1] if generator.random() < 0.5 else view


def measure(name: str, options: argparse.Namespace, folder: Path, files: list[Path]) -> dict[str, Any]:
    """Both ways in turn, after one round that does not count."""
    checkpoint = create_checkpoint(name, folder)
    ways = {
        "ours": train_ours(checkpoint, files, options.device),
        "bare loop": train_bare(checkpoint, files, options.device),
    }
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    clock: dict[str, list[float]] = {way: [] for way in ways}
    count = len(files) // BATCH * BATCH
    for number in range(options.rounds + 1):
        for way, train in ways.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            train()
            if number:
                cpu[way].append(count / (time.process_time() - cpu_began))
                clock[way].append(count / (time.perf_counter() - began))
    return {
        "model": name,
        "images": count,
        **{f"{way}, images a second": summarize(cpu[way] if options.device == "cpu" else clock[way]) for way in ways},
        "cpu ratio": summarize([a / b for a, b in zip(cpu["ours"], cpu["bare loop"], strict=True)]),
        "clock ratio": summarize([a / b for a, b in zip(clock["ours"], clock["bare loop"], strict=True)]),
    }


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    rows = []
    with tempfile.TemporaryDirectory() as root:
        files = write_images(options.images, Path(root))
        for name in options.models:
            rows.append(measure(name, options, Path(root), files))
            row = rows[-1]
            print(
                f"{name:<14}{row['ours, images a second']['median']:>7.1f} images/s, bare loop "
                f"{row['bare loop, images a second']['median']:.1f}: {row['cpu ratio']['median']:.3f}x by CPU time, "
                f"{row['clock ratio']['median']:.3f}x by clock",
                flush=True,
            )
    print(describe_machine()["summary"])
    if options.json:
        setup = {"device": options.device, "threads": torch.get_num_threads(), "batch": BATCH, "pixels": SIDE}
        write_json(options.json, {**setup, "rows": rows}, seeds=[SEED])


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK_IMAGES} images, one round of the ViT")
    parser.add_argument("--models", nargs="+", choices=("ViT", "MobileNetV2"), default=["ViT", "MobileNetV2"])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    if options.quick:
        options.models, options.images, options.rounds = ["ViT"], QUICK_IMAGES, 1
    return options


if __name__ == "__main__":
    main()
