"""Checkpoints of a tiny ViT in a folder, and ways to break or bend them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from xaiaug.interfaces import Context
from xaiaug.plugins.classifiers.transformers import TransformersClassifier


def noise(width: int = 40, height: int = 36, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def ready(folder: Path, classes: tuple[str, ...] = (), **parameters: object) -> TransformersClassifier:
    classifier = TransformersClassifier(str(folder), **parameters)
    classifier.prepare(Context(labels=classes, device="cpu"))
    return classifier


def build(folder: Path, names: list[str], **options: object) -> Path:
    """A ViT with these labels."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(
        **sizes, image_size=32, patch_size=16, initializer_range=0.3, id2label=dict(enumerate(names)), **options
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def without(*parts: str) -> Callable[[Path], None]:
    return lambda folder: edit_weights(
        folder, lambda held: {name: value for name, value in held.items() if not any(part in name for part in parts)}
    )


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def point(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def edit_processor(folder: Path, **values: object) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def split(folder: Path) -> list[Path]:
    """The weights in parts of a few kilobytes, as `save_pretrained` splits large ones."""
    model = transformers.ViTForImageClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="3KB")
    return sorted(folder.glob("model-*.safetensors"))
