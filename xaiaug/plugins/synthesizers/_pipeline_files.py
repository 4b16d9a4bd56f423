"""Weight files of a pipeline on this machine: which variant they are, and whether all of them are there and whole."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ..classifiers._hub import can_reach_hub
from ._weights import Weights, unreadable

LARGEST_HEADER = 100_000_000  # bytes of a safetensors header, as the format has it
PICKLED = (".bin", ".ckpt", ".pt", ".pth")
VARIANT = re.compile(r"\.(?P<name>[a-z]\w*)(-\d+-of-\d+)?\.safetensors$")

Shapes = dict[str, tuple[int, ...]]


def read_shapes(file: Path) -> Shapes:
    """The shapes of the tensors in a safetensors file, by name, from its header alone.

    Raises:
        ConfigError: the file is none, or not whole.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LARGEST_HEADER:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is no readable safetensors file: {error}") from error
    if (missing := 8 + length + end - file.stat().st_size) > 0:
        raise ConfigError(f"{file} is cut off: {missing:,} bytes are missing; download or copy it again")
    return shapes


def find_variant(folder: Path) -> str | None:
    """The variant of the weight files, such as "fp16", where a part has files of that variant only; else None."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = _weight_files(part)
        names = [match["name"] for file in files if (match := VARIANT.search(file.name))]
        if files and len(names) == len(files):
            return names[0]
    return None


def check_files(weights: Weights, who: str) -> None:
    """Checks that weights on this machine are there, in whole safetensors files: one, or those of all parts.

    Raises:
        ConfigError: a file is missing, pickled or cut off; or weights would be downloaded, and the hub is out of reach.
    """
    folder = weights.folder
    if folder is None:
        if not can_reach_hub() and not _is_cached(weights):
            raise unreadable(weights, OSError("it is not on this machine, and the model hub cannot be reached."))
        return
    if weights.file is not None:
        if weights.local:
            read_shapes(folder / weights.file)
        return
    if not (folder / "model_index.json").is_file() and (folder / "config.json").is_file():
        _check_part(folder, weights.variant, who)
        return
    for part in _parts(weights.index()):
        if (folder / part / "config.json").is_file():
            _check_part(folder / part, weights.variant, who)
        elif not (folder / part).is_dir():
            raise ConfigError(f"{who}: {folder} lists the part {part!r}, but has no folder of it: copy or download it")


def part_shapes(weights: Weights, part: str) -> Shapes:
    """The shapes of the tensors of a part, by name; empty where its files are not on this machine."""
    folder = weights.folder
    if folder is None or weights.layout is not None or not (folder / part).is_dir():
        return {}
    files = _files_of(folder / part, weights.variant)
    return {name: shape for file in files for name, shape in read_shapes(file).items()}


def _is_cached(weights: Weights) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = (weights.file,) if weights.file else ("config.json", "model_index.json")
    return any(
        isinstance(try_to_load_from_cache(weights.place, name, revision=weights.revision), str) for name in names
    )


def _parts(index: Mapping[str, Any]) -> Iterator[str]:
    for name, part in index.items():
        if isinstance(part, list) and part and part[0] is not None:
            yield name


def _check_part(part: Path, variant: str | None, who: str) -> None:
    if not _weight_files(part) and not _loads_weights(part):
        return
    files = _files_of(part, variant)
    if not files:
        raise ConfigError(f"{who}: {part} {_reason(part, variant)}")
    for file in files:
        read_shapes(file)


def _loads_weights(part: Path) -> bool:
    """Whether a part with a configuration is a model, not a processor or a tokenizer."""
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    return isinstance(config, dict) and ("_class_name" in config or "architectures" in config)


def _reason(part: Path, variant: str | None) -> str:
    others = sorted({match["name"] for file in _weight_files(part) if (match := VARIANT.search(file.name))})
    if others:
        return f"has weights of the variant {', '.join(others)} only: set variant = {others[0]!r}"
    if any(file.suffix in PICKLED for file in part.iterdir()):
        return "has pickled weights only, which may run code when they are read: convert them to safetensors"
    wanted = f" of the variant {variant!r}" if variant else ""
    return f"has no safetensors files{wanted}: copy or download them"


def _weight_files(part: Path) -> list[Path]:
    return sorted(part.glob("*.safetensors"))


def _files_of(part: Path, variant: str | None) -> list[Path]:
    """The files that are loaded: those of the variant where there are any, else those without one.

    Raises:
        ConfigError: an index lists a file that is not there.
    """
    for wanted in (variant, None):
        index = next(iter(sorted(part.glob(f"*.safetensors.index{f'.{wanted}' if wanted else ''}.json"))), None)
        if index is not None:
            return _shards(index)
        files = [file for file in _weight_files(part) if _variant_of(file) == wanted]
        if files:
            return files
    return []


def _variant_of(file: Path) -> str | None:
    match = VARIANT.search(file.name)
    return match["name"] if match else None


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{index} is no index of weight files: {error}") from error
    files = [index.parent / str(name) for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ConfigError(f"{index.parent} lacks {', '.join(missing)}, which its index lists: copy or download it")
    return files
