"""Where a checkpoint is, in a folder, in the cache or on a model hub; its size and licence."""

from __future__ import annotations

import json
import math
import re
import socket
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, snapshot_download

from ...errors import ConfigError
from ...records import JSON
from ._saved_state import digest_folder

_TIMEOUT = 5.0  # seconds
_METADATA = re.compile(r"\s*---[ \t]*\n.*?\n---[ \t]*(\n|$)", re.DOTALL)
ADAPTER_SETTINGS = "adapter_config.json"
_FOLDER = "a folder that save_pretrained wrote, with config.json, model.safetensors and preprocessor_config.json"


def locate(checkpoint: str, revision: str | None, who: str = "TransformersClassifier") -> str:
    """The folder of a checkpoint, or its name where it has to be downloaded from the model hub.

    Raises:
        ConfigError: the folder does not exist, or the hub cannot be reached and the checkpoint was never downloaded.
    """
    folder = find_folder(checkpoint)
    if folder is not None:
        return str(folder)
    if Path(checkpoint).is_absolute() or checkpoint.startswith((".", "~")) or checkpoint.count("/") > 1:
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


def find_folder(checkpoint: str) -> Path | None:
    """The folder that a checkpoint is, `~` and relative paths expanded; None where it is a name on the model hub."""
    try:
        folder = Path(checkpoint).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a null character
        return None


def key_by_content(identity: dict[str, JSON], checkpoint: str) -> dict[str, JSON]:
    """The identity of a classifier, its checkpoint by content where it is a folder, wherever that lies.

    Args:
        identity: as `Plugin.identity` gives it.
        checkpoint: as the user named it.
    """
    folder = find_folder(checkpoint)
    if folder is None:
        return {**identity, "weights": None}
    parameters = cast(dict[str, JSON], identity["parameters"])
    return {**identity, "parameters": {**parameters, "checkpoint": None}, "weights": digest_checkpoint(folder)}


def digest_checkpoint(folder: Path) -> str:
    """A digest of the settings and weights in a folder, and of those that its adapters belong to."""
    base = find_base_folder(folder) if is_adapter(folder) else None
    return digest_folder(folder) if base is None else f"{digest_folder(folder)} on {digest_folder(base)}"


def is_adapter(folder: Path) -> bool:
    """Whether peft's `save_pretrained` wrote a folder, which holds adapters alone."""
    return (folder / ADAPTER_SETTINGS).is_file() and not (folder / "model.safetensors").is_file()


def find_base_folder(folder: Path) -> Path | None:
    """The folder of the network that adapters belong to; None where it has a name on the model hub."""
    named = str(read_adapter_settings(folder).get("base_model_name_or_path") or "")
    if not named:
        return None
    places = (Path(named).expanduser(), folder / named)
    return next((place for place in places if (place / "config.json").is_file()), None)


def read_adapter_settings(folder: Path) -> dict[str, Any]:
    """The settings that peft wrote with adapters.

    Raises:
        ConfigError: they are damaged.
    """
    path = folder / ADAPTER_SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"TransformersClassifier: {str(path)!r} is damaged: {error}; download it again") from error
    return settings if isinstance(settings, dict) else {}


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
    folder = find_folder(checkpoint)
    if folder is not None:
        return folder
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
    if not card.is_file() or not _METADATA.match(card.read_text(encoding="utf-8", errors="replace")):
        return ""  # of a card without metadata the hub's client would print a warning, at each look
    from huggingface_hub import ModelCard

    licence = ModelCard.load(card, ignore_metadata_errors=True).data.license
    return ", ".join(licence) if isinstance(licence, list) else licence or ""
