"""A folder that peft wrote: its adapters are merged into the network they were trained on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, MissingExtraError, name_some
from ._head import find_head_names, replace_head
from ._hub import ADAPTER_SETTINGS, find_base_folder, locate, read_adapter_settings
from ._weight_files import Loaded, check_weight_files

_WEIGHTS = "adapter_model.safetensors"


def open_adapter(checkpoint: str, folder: Path, load: Callable[[str, str, str | None], Loaded]) -> tuple[Loaded, str]:
    """The base with the adapters merged into it, and where its image processor is.

    Args:
        checkpoint: as the user named it.
        folder: that peft wrote.
        load: loads the base: called with its name, its place and its revision.

    Raises:
        ConfigError: the base is not there, or the adapters do not fit it.
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise MissingExtraError(
            f"TransformersClassifier: {checkpoint!r} holds adapters, which need peft: pip install 'xaiaug[lora]'; or"
            " merge them with merge_and_unload() and save_pretrained"
        ) from error
    base, place, revision = _find_base(checkpoint, folder)
    check_weight_files("TransformersClassifier", base, Path(place))
    loaded = load(base, place, revision)
    held = _read_shapes(folder)
    names = {name: _find_entry(name, held) for name in find_head_names(loaded.module)}
    counts = {held[entry][0] for entry in names.values() if entry}
    if counts and counts != {loaded.module.config.num_labels}:
        labels = [f"LABEL_{index}" for index in range(next(iter(counts)))]
        loaded = replace(loaded, module=replace_head(loaded.module, labels, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers about each other; what is missing is read below
        adapted = PeftModel(loaded.module, PeftConfig.from_pretrained(str(folder)))
        result = adapted.load_adapter(str(folder), "default")
    if result.missing_keys or result.unexpected_keys:
        raise ConfigError(
            f"TransformersClassifier: the adapters in {checkpoint!r} do not fit {base!r}: missing are"
            f" {name_some(sorted(result.missing_keys)) or 'none'}, unexpected are"
            f" {name_some(sorted(result.unexpected_keys)) or 'none'}; give the base they were trained on"
        )
    module: Any = adapted.merge_and_unload()
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    new = {name for name, entry in names.items() if entry}
    mismatched = {name: shapes for name, shapes in loaded.mismatched.items() if name not in new}
    loaded = replace(loaded, module=module, missing=loaded.missing - new, mismatched=mismatched)
    return loaded, str(folder) if (folder / "preprocessor_config.json").is_file() else place


def _find_base(checkpoint: str, folder: Path) -> tuple[str, str, str | None]:
    """Name, place and revision of the base."""
    settings = read_adapter_settings(folder)
    named, place = str(settings.get("base_model_name_or_path") or ""), find_base_folder(folder)
    revision = settings.get("revision")
    if place is not None:
        return named, str(place), revision
    try:
        return named, locate(named or "./", revision), revision
    except ConfigError as error:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} holds adapters alone, and the network they belong to, {named!r} in"
            f" its {ADAPTER_SETTINGS}, was not found; name its folder there, or merge the adapters with"
            " merge_and_unload() and save_pretrained"
        ) from error


def _read_shapes(folder: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    with safe_open(folder / _WEIGHTS, framework="numpy") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def _find_entry(name: str, held: dict[str, list[int]]) -> str | None:
    """The entry of the adapters' file that replaces a weight of the base as a whole; None without one."""
    layer, _, last = name.rpartition(".")
    ends = (f".{name}", f".{layer}.modules_to_save.{last}", f".{layer}.modules_to_save.default.{last}")
    return next((entry for entry in held if entry.endswith(ends)), None)
