"""Weights of a diffusion pipeline: location, digest, configuration and licence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, MissingExtraError
from ..classifiers._hub import can_reach_hub
from ._presets import Source, published_licence

SAMPLE = 1 << 16  # bytes read at the start, the middle and the end of a large file


@dataclass(frozen=True)
class Weights:
    """A folder, or a name on the model hub.

    Attributes:
        place: the folder or the name.
        revision: a commit on the hub; None: the newest, or a folder.
        variant: of the weight files, such as "fp16"; None: the default files.
        file: of a single file in the folder or under the name.
        layout: of a single-file checkpoint: the folder with the configurations and tokenizers of its pipeline.
    """

    place: str
    revision: str | None = None
    variant: str | None = None
    file: str | None = None
    layout: str | None = None

    @classmethod
    def of(cls, given: str | None, source: Source | None, revision: str | None, who: str) -> Weights:
        """The weights that the user named, else those of a preset.

        Raises:
            ConfigError: neither names any, or a folder does not exist.
        """
        if given is None and source is None:
            raise ConfigError(f'{who} needs weights = "…": a folder that save_pretrained wrote, or a name on the hub')
        if given is None and source is not None:
            return cls(source.name, revision or source.revision, file=source.file)
        place = Path(str(given)).expanduser()
        if place.is_file():
            return cls(str(place.parent), file=place.name)
        if not place.is_dir() and (place.is_absolute() or str(given).startswith((".", "~")) or _is_deep(place)):
            raise ConfigError(f"{who}: there is no folder {given!r}; give one that save_pretrained wrote")
        return cls(str(place) if place.is_dir() else str(given), revision)

    @property
    def local(self) -> bool:
        """Whether they are in a folder."""
        return Path(self.place).is_dir()

    def with_layout(self, layout: str | None, who: str) -> Weights:
        """The weights with the folder that describes them, if they are a single-file checkpoint; else themselves.

        Raises:
            ConfigError: there is no such folder, or the file is no safetensors file.
        """
        if not self.local or self.file is None:
            if layout is not None:
                raise ConfigError(f"{who}: config goes with a single .safetensors file as weights; leave it out")
            return self
        if not self.file.endswith(".safetensors"):
            raise ConfigError(
                f"{who}: {self.file} is no safetensors file. Other checkpoints may run code when they are read, so they"
                " are not: convert it to .safetensors"
            )
        folder = Path(self.place if layout is None else layout).expanduser()
        if not (folder / "model_index.json").is_file():
            raise ConfigError(
                f"{who}: {self.file} is a single-file checkpoint, which holds no tokenizers and no configuration, and"
                f" none is downloaded: set config to a folder with the model_index.json, the configurations and the"
                f" tokenizers of its pipeline; {'there is none' if layout is None else 'no model_index.json'} in"
                f" {str(folder)!r}"
            )
        return replace(self, layout=str(folder))

    @property
    def description(self) -> str:
        """Where `model_index.json`, configurations and tokenizers are: a folder, or a name on the hub."""
        return self.layout or self.place

    @property
    def folder(self) -> Path | None:
        """The folder of the weights on this machine, among earlier downloads too; None if there is none."""
        if self.local:
            return Path(self.place)
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            index = try_to_load_from_cache(self.place, "model_index.json", revision=self.revision)
        except HFValidationError:
            return None
        return Path(index).parent if isinstance(index, str) else None

    @property
    def name(self) -> str:
        """The name on the hub, or the name of the folder without its parents."""
        return Path(self.place).resolve().name if self.local else self.place

    @property
    def licence(self) -> str:
        """From the model card in the folder, or a preset; empty if unknown."""
        if not self.local:
            return published_licence(self.place)
        card = Path(self.place, "README.md")
        if not card.is_file():
            return ""
        from huggingface_hub import metadata_load
        from yaml import YAMLError

        try:
            metadata = metadata_load(card) or {}
        except (ValueError, YAMLError):  # an unreadable card
            return ""
        return str(metadata.get("license_name") or metadata.get("license") or "")

    def digest(self) -> str | None:
        """20 hexadecimal digits over the folder's files; None for a name on the hub, which has a revision."""
        if not self.local:
            return None
        digest = hashlib.blake2b(digest_size=10)
        root = Path(self.place)
        for file in [root / self.file] if self.file else sorted(root.rglob("*")):
            if file.suffix in (".json", ".safetensors", ".txt", ".model") and file.is_file():
                digest.update(f"{file.relative_to(root)} {file.stat().st_size} ".encode() + _sample_bytes(file))
        if self.layout is not None:
            digest.update((Weights(self.layout).digest() or "").encode())
        return digest.hexdigest()

    def options(self) -> dict[str, Any]:
        """Options of every `from_pretrained`: where to look, and safetensors only."""
        options: dict[str, Any] = {"use_safetensors": True, "local_files_only": self.local or not can_reach_hub()}
        return options | ({} if self.local else {"revision": self.revision})

    def index(self) -> dict[str, Any]:
        """`model_index.json`: the pipeline's class and parts.

        Raises:
            ConfigError: there is none.
        """
        try:
            index = json.loads(replace(self, place=self.description)._fetch("model_index.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise unreadable(self, error) from error
        if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
            raise unreadable(self, ValueError("model_index.json names no pipeline."))
        return index

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of a part on this machine; empty if there is none."""
        return self._read(part, "config.json")

    def scheduler_config(self) -> dict[str, Any]:
        """The configuration of the scheduler, as `config` gives that of other parts."""
        return self._read("scheduler", "scheduler_config.json")

    def single_file(self) -> Path:
        """The weights' only file, downloaded if needed.

        Raises:
            ConfigError: the weights are not one safetensors file, or the download fails.
        """
        if self.file is None or not self.file.endswith(".safetensors"):
            raise ConfigError(f"{self.place!r} must name one .safetensors file, got {self.file or 'a folder'}")
        try:
            return self._fetch(self.file)
        except (OSError, ValueError) as error:
            raise unreadable(self, error) from error

    def _read(self, part: str, name: str) -> dict[str, Any]:
        folder = self.folder if self.layout is None else Path(self.layout)
        try:
            config = {} if folder is None else json.loads((folder / part / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return config if isinstance(config, dict) else {}

    def _fetch(self, file: str) -> Path:
        """A file in the folder, or a downloaded one."""
        from huggingface_hub import hf_hub_download

        if self.local:
            return Path(self.place, file)
        return Path(hf_hub_download(self.place, file, revision=self.revision, local_files_only=not can_reach_hub()))


def diffusers_package() -> Any:
    """The package diffusers, imported when first used.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError(
            f"diffusion synthesizers need {error.name or 'diffusers'}: pip install 'xaiaug[diffusion]'"
        ) from error
    return diffusers


def unreadable(weights: Weights, error: Exception) -> ConfigError:
    """The error for weights that cannot be loaded, with the first line of the cause."""
    place = weights.place if weights.layout is None else str(Path(weights.place, weights.file or ""))
    return ConfigError(
        f"the weights {place!r} cannot be loaded: {first_line(error)} Give a folder that save_pretrained wrote, with"
        " model_index.json and safetensors files, or the name of such a pipeline on the model hub, downloaded in"
        " advance if the hub cannot be reached"
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message, as a sentence."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _is_deep(place: Path) -> bool:
    return len(place.parts) > 2  # names on the hub have one slash


def _sample_bytes(file: Path) -> bytes:
    """A digest of samples of a file: enough to notice another one without reading gigabytes."""
    size, digest = file.stat().st_size, hashlib.blake2b(digest_size=10)
    with file.open("rb") as stream:
        for start in sorted({0, max(0, size // 2), max(0, size - SAMPLE)}):
            stream.seek(start)
            digest.update(stream.read(SAMPLE))
    return digest.digest()
