"""Where a checkpoint is, in a folder, in the cache or on a model hub; its size and licence."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, snapshot_download

from ...errors import ConfigError

_TIMEOUT = 5.0  # seconds
_FOLDER = "a folder that save_pretrained wrote, with config.json, model.safetensors and preprocessor_config.json"


def locate(checkpoint: str, revision: str | None, who: str = "TransformersClassifier") -> str:
    """The folder of a checkpoint, or its name where it has to be downloaded from the model hub.

    Raises:
        ConfigError: the folder does not exist, or the hub cannot be reached and the checkpoint was never downloaded.
    """
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        return str(path)
    if path.is_absolute() or checkpoint.startswith((".", "~")) or checkpoint.count("/") > 1:
        raise ConfigError(f"{who}: there is no folder {checkpoint!r}; give {_FOLDER}")
    if can_reach_hub():
        return checkpoint
    try:
        return snapshot_download(checkpoint, revision=revision, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{who}: there is no folder {checkpoint!r}, it was never downloaded, and the model hub"
            f" {constants.ENDPOINT} cannot be reached; give {_FOLDER}"
        ) from error


def can_reach_hub() -> bool:
    """Whether the model hub accepts connections; tested here, as the hub's client retries for a minute.

    Behind a proxy that cannot be tested, and is assumed.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = urlsplit(constants.ENDPOINT)
    if endpoint.scheme in getproxies() or endpoint.hostname is None:
        return True
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname, port), _TIMEOUT).close()
    except OSError:
        return False
    return True


def find_local_folder(checkpoint: str, revision: str | None) -> Path | None:
    """The folder of a checkpoint on this machine; None where it would have to be downloaded."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(checkpoint, "config.json", revision=revision)
    except HFValidationError:  # a folder that does not exist
        return None
    return Path(path).parent if isinstance(path, str) else None


def count_weight_bytes(folder: Path) -> int:
    """Bytes of the weights as a training saves them: float32, whatever the checkpoint holds."""
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            total += sum(4 * math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def read_licence(folder: Path) -> str:
    """The licence that the model card names; empty without one."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    from huggingface_hub import ModelCard

    licence = ModelCard.load(card, ignore_metadata_errors=True).data.license
    return ", ".join(licence) if isinstance(licence, list) else licence or ""
