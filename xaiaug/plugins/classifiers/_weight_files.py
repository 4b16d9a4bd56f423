"""Whether a checkpoint's files hold the weights of its network: pointers, cut files, weights that are not there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import ConfigError, name_some
from ._head import find_head_names

_POINTER = b"version https://git-lfs"
# Counters, what pre-training alone uses, and indices that the network computes itself.
_INDEX = "model.safetensors.index.json"
# Types of numbers in a file that mean nothing without a scale.
_SCALED = ("I", "U", "F8_", "F6_", "F4")
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
        ConfigError: a file is a pointer to a large one, is cut off, is missing, has another name or lies in another
            folder, or cannot be read without running code.
    """
    from safetensors import SafetensorError, safe_open

    _check_config(who, checkpoint, folder)
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
    _check_names(who, checkpoint, folder)
    pickled = [path.name for path in folder.glob("*.bin")]
    if pickled and not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{who}: the weights of {checkpoint!r} are in {name_some(pickled)}, pickles that could run"
            " code and are not read; load them once with transformers and save_pretrained, which writes"
            " model.safetensors"
        )


def _check_config(who: str, checkpoint: str, folder: Path) -> None:
    """Refuses a folder of checkpoints, and settings whose labels are no table."""
    path = folder / "config.json"
    if not path.exists():
        below = sorted(each.parent.name for each in folder.glob("*/config.json"))
        if below and not (folder / "adapter_config.json").exists():
            raise ConfigError(
                f"{who}: {checkpoint!r} holds no config.json, but its folders {name_some(below)} do; give one of them"
            )
        return
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # the loader's own words are as good
    names = settings.get("id2label", {}) if isinstance(settings, dict) else settings
    if not isinstance(names, dict | None):
        where = "id2label in config.json" if isinstance(settings, dict) else "config.json"
        raise ConfigError(
            f"{who}: {where} of {checkpoint!r} is a {type(names).__name__}, not a table such as"
            ' {"0": "cat", "1": "dog"}; write it as save_pretrained does'
        )


def _check_names(who: str, checkpoint: str, folder: Path) -> None:
    """Refuses weights in parts that are not all there, under another name, or in a folder below."""
    if (folder / "model.safetensors").exists() or (folder / "adapter_model.safetensors").exists():
        return
    if (folder / _INDEX).exists():
        parts = set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        if gone := sorted(name for name in parts if not (folder / name).exists()):
            raise ConfigError(
                f"{who}: {checkpoint!r} is in {len(parts)} parts, and {name_some(gone)} is missing; copy or download"
                " the checkpoint again"
            )
        return
    found = sorted(str(path.relative_to(folder)) for path in folder.glob("**/*.safetensors"))
    if found:
        raise ConfigError(
            f"{who}: {checkpoint!r} holds no model.safetensors, but {name_some(found)}; if that is it, rename it or"
            " move it beside config.json"
        )


def check_number_types(checkpoint: str, folder: Path) -> None:
    """Refuses weights as whole numbers or 8-bit floats, which the loader would take as they are.

    Raises:
        ConfigError: there are some.
    """
    from safetensors import safe_open

    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        names = [name for name, kind in kinds.items() if kind.startswith(_SCALED) and name.endswith(("weight", "bias"))]
        if names:
            raise ConfigError(
                f"TransformersClassifier: {path.name} of {checkpoint!r} holds {name_some(names)} as {kinds[names[0]]}:"
                " quantised weights, whose scale the loader does not know; give the checkpoint as it was before"
                " quantisation"
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
            f" or a checkpoint of another model.{held} {_advise_on_names(loaded)}"
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


def _advise_on_names(loaded: Loaded) -> str:
    first = {name.partition(".")[0] for name in loaded.unexpected}
    if len(first) == 1 and not hasattr(loaded.module, *first):
        return (
            f"All of its names begin with {f'{first.pop()}.'!r}, as those of a network inside another do (DataParallel,"
            " torch.compile, Lightning): call save_pretrained on the one inside."
        )
    return "Save or download it again."


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
