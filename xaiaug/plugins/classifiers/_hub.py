"""Where a checkpoint lies: in a folder, in the cache, or on a model hub that can be reached."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, snapshot_download

from ...errors import ConfigError

_PATIENCE = 5.0  # seconds


_NEEDS = "a folder that save_pretrained wrote, with config.json, model.safetensors and preprocessor_config.json"


def locate(checkpoint: str, revision: str | None, who: str = "TransformersClassifier") -> str:
    """The folder of a checkpoint, or its name where the model hub has to be asked.

    Raises:
        ConfigError: it names a folder that is not there, or the hub does not answer and it was never downloaded.
    """
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        return str(path)
    if path.is_absolute() or checkpoint.startswith((".", "~")) or checkpoint.count("/") > 1:
        raise ConfigError(f"{who}: there is no folder {checkpoint!r}; give {_NEEDS}")
    if hub_answers():
        return checkpoint
    try:
        return snapshot_download(checkpoint, revision=revision, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{who}: there is no folder {checkpoint!r}, it was never downloaded, and the model hub"
            f" {constants.ENDPOINT} cannot be reached; give {_NEEDS}"
        ) from error


def hub_answers() -> bool:
    """Whether something listens where the model hub should be; asked once, as the hub's client retries for a minute.

    Behind a proxy it cannot be told, and is taken for granted.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = urlsplit(constants.ENDPOINT)
    if endpoint.scheme in getproxies() or endpoint.hostname is None:
        return True
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname, port), _PATIENCE).close()
    except OSError:
        return False
    return True


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
