"""What is known of a checkpoint without loading it: its size and its licence, where it is on this machine."""

from __future__ import annotations

import math
from pathlib import Path


def folder_of(checkpoint: str, revision: str | None) -> Path | None:
    """The folder a checkpoint lies in; None where it would have to be downloaded."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(checkpoint, "config.json", revision=revision)
    except HFValidationError:  # a folder that is not there
        return None
    return Path(found).parent if isinstance(found, str) else None


def weights_bytes(folder: Path) -> int:
    """Bytes of the weights as they are saved after a training: float32, whatever the checkpoint holds."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            total += sum(4 * math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def licence(folder: Path) -> str:
    """The licence that the model card names; empty where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    from huggingface_hub import ModelCard

    said = ModelCard.load(card, ignore_metadata_errors=True).data.license
    return ", ".join(said) if isinstance(said, list) else said or ""
