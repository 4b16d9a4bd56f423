"""Where a checkpoint lies: in a folder, in the cache, or on a model hub that can be reached."""

from __future__ import annotations

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
