"""Whether a checkpoint's files hold the weights of its network: pointers, cut files, weights that are not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, name_some
from ._head import find_head_names

_POINTER = b"version https://git-lfs"
# Counters, what pre-training alone uses, and indices that the network computes itself.
_UNNEEDED = ("num_batches_tracked", "mask_token", "position_ids", "relative_position_index")


@dataclass(frozen=True)
class Loaded:
    """A network, and what its loader says of the file.

    Attributes:
        module: the network.
        missing: names of its parameters and buffers that the file does not hold.
        unexpected: names in the file that the network does not have.
        mismatched: names with another shape in the file: that shape, and the network's.
    """

    module: Any
    missing: frozenset[str]
    unexpected: frozenset[str]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def check_weight_files(who: str, checkpoint: str, folder: Path) -> None:
    """Refuses files that were never downloaded, or not completely.

    Args:
        who: the classifier that reads them.
        checkpoint: as the user named it.
        folder: of the checkpoint.

    Raises:
        ConfigError: a file is a pointer to a large one, is cut off, or cannot be read without running code.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted((*folder.glob("*.safetensors"), *folder.glob("*.json"))):
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ConfigError(
                    f"{who}: {path.name} of {checkpoint!r} is a Git LFS pointer, not the file itself;"
                    " run git lfs pull in that folder, or download the file"
                )
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError as error:
            raise ConfigError(
                f"{who}: {path.name} of {checkpoint!r} is cut off or damaged ({path.stat().st_size}"
                " bytes); copy or download it again"
            ) from error
    pickled = [path.name for path in folder.glob("*.bin")]
    if pickled and not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{who}: the weights of {checkpoint!r} are in {name_some(pickled)}, pickles that could run"
            " code and are not read; load them once with transformers and save_pretrained, which writes"
            " model.safetensors"
        )


def judge_weights(checkpoint: str, loaded: Loaded) -> str:
    """Why the checkpoint has no trained head; empty where it has one.

    Only a head may be new: the layers whose shape depends on the number of classes, and what is outside the backbone
    or in its pooler.

    Raises:
        ConfigError: it lacks something else, or holds layers that the network does not have.
    """
    kind, last = type(loaded.module).__name__, find_head_names(loaded.module)
    absent = {name for name in loaded.missing | set(loaded.mismatched) if not name.endswith(_UNNEEDED)}
    lost = sorted(name for name in absent - last if not _is_in_head(loaded.module, name))
    if lost:
        held = f" Instead it holds {name_some(sorted(loaded.unexpected))}." if loaded.unexpected else ""
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} does not hold {_describe_all(lost, loaded)} of {kind}; it is cut,"
            f" or a checkpoint of another model.{held} Save or download it again."
        )
    surplus = sorted(loaded.unexpected & _name_siblings(loaded))
    if surplus:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} holds {name_some(surplus)}, for which {kind} has no place by its"
            " config.json; mend the numbers of layers there"
        )
    if absent and not last <= absent:
        raise ConfigError(
            f"TransformersClassifier: the head of {checkpoint!r} is incomplete: it does not hold"
            f" {_describe_all(sorted(absent), loaded)}; save or download it again"
        )
    if not absent:
        return ""
    shapes = [loaded.mismatched[name] for name in sorted(last & set(loaded.mismatched))]
    if shapes:
        return (
            f"the head of {checkpoint!r} is of shape {shapes[0][0]} in the file and {shapes[0][1]} by config.json (its"
            " labels there are not those it was trained with)"
        )
    return f"{checkpoint!r} has no trained head"


def _is_in_head(module: Any, name: str) -> bool:
    backbone = module.base_model_prefix
    return ".pooler." in name or (hasattr(module, backbone) and not name.startswith(f"{backbone}."))


def _describe_all(names: list[str], loaded: Loaded) -> str:
    count = f"{len(names)} weights: " if len(names) > 1 else ""
    return count + name_some(
        f"{name} (shape {loaded.mismatched[name][0]} instead of {loaded.mismatched[name][1]})"
        if name in loaded.mismatched
        else name
        for name in names
    )


def _name_siblings(loaded: Loaded) -> set[str]:
    """The unexpected names that differ from a name of the network in numbers alone: layers too many."""
    known = {re.sub(r"\d+", "#", name) for name in loaded.module.state_dict()}
    return {name for name in loaded.unexpected if re.search(r"\d", name) and re.sub(r"\d+", "#", name) in known}
