"""Finds the subject of an image: by the segmenter that the settings name, else by our own superpixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ConfigError, suggest
from ..imaging.image_stats import digest_image
from ..interfaces import Context, MaskCache
from ..interfaces.source_digest import source_digest
from ..records import JSON, Failure, digest
from ._superpixels import subject_mask

Floats = NDArray[np.float32]
Setting = str | Mapping[str, JSON] | None

SMALLEST, LARGEST = 0.03, 0.9  # share of the image a subject may take
# Least certainty of a mask, see `measure_certainty`: chosen by looking at masks of IS-Net on photographs of cats and
# dogs, and for our own segmentation, whose masks are softer, on pets with true masks.
CERTAIN = 0.7
SUPERPIXELS_CERTAIN = 0.45
KEPT_IN_MEMORY = 64  # masks that a segmenter remembers outside a run


class Segmenter(ABC):
    """Finds the subject of an image; made by `create_segmenter`.

    Attributes:
        name: what details of images call it.
    """

    name: ClassVar[str]

    def check(self) -> None:  # noqa: B027  (only models have files)
        """Raises early what needs no reading of a model.

        Raises:
            ConfigError: a file is missing.
            MissingExtraError: a package is not installed.
        """

    def prepare(self, context: Context) -> None:  # noqa: B027
        """Opens the model, unless it is open, and takes the run's cache of masks.

        Raises:
            ConfigError: the model cannot be used, or does not fit the settings.
            MissingExtraError: a package is not installed.
        """

    @abstractmethod
    def identity(self) -> dict[str, JSON]:
        """What masks depend on besides the image, JSON-plain: settings and a digest of files, not where these are."""

    @abstractmethod
    def masks(self, images: Sequence[Image.Image]) -> list[Floats | Failure]:
        """How much each pixel belongs to the subject, for each image in order: h w of its size, 0 to 1.

        A Failure if the subject is not clear, takes almost nothing or almost all ("no-subject"), or if the model's
        answer is not finite ("bad-mask").
        """

    def mask(self, image: Image.Image) -> Floats | Failure:
        """As `masks`, of one image."""
        (found,) = self.masks([image])
        return found


class Superpixels(Segmenter):
    """Our own segmentation, without weights: right on plain backdrops, and refuses where it is not sure."""

    name = "segmentation"

    def identity(self) -> dict[str, JSON]:
        """Its sources."""
        return {"kind": "superpixels", "source": source_digest(type(self))}

    def masks(self, images: Sequence[Image.Image]) -> list[Floats | Failure]:
        """As in every segmenter."""
        return [judge_mask(subject_mask(image), SUPERPIXELS_CERTAIN) for image in images]


class SegmentationModel(Protocol):
    """A model of a library; raises as `Segmenter` does."""

    def check(self) -> None:
        """Raises early what needs no reading of the model."""

    def open(self, device: str) -> None:
        """Opens the model, unless it is open; the device is "auto" or a name of torch."""

    def identity(self) -> dict[str, JSON]:
        """Settings as they are used, and a digest of the files."""

    def segment(self, image: Image.Image) -> Floats:
        """h w, of the image's size, 0 to 1; NaN where the model's answer is not finite."""


class ModelSegmenter(Segmenter):
    """Masks by a model, rounded to 8 bits and kept by the content of the image: in the run, else in memory.

    Args:
        model: of a library.
    """

    name = "segmenter"

    def __init__(self, model: SegmentationModel) -> None:
        self._model = model
        self._cache: MaskCache = MemoryMasks()

    def check(self) -> None:
        """As in every segmenter."""
        self._model.check()

    def prepare(self, context: Context) -> None:
        """As in every segmenter."""
        self._model.check()
        self._model.open(context.device)
        self._cache = context.masks or self._cache

    def identity(self) -> dict[str, JSON]:
        """As in every segmenter."""
        return {**self._model.identity(), "source": source_digest(type(self._model))}

    def masks(self, images: Sequence[Image.Image]) -> list[Floats | Failure]:
        """As in every segmenter."""
        key = digest(self.identity())
        return [self._mask(key, image.convert("RGB")) for image in images]

    def _mask(self, key: str, image: Image.Image) -> Floats | Failure:
        content = digest_image(image)
        levels = self._cache.read(key, content)
        if levels is None or levels.shape != image.size[::-1]:
            self._model.open("auto")  # does nothing after `prepare`
            mask = self._model.segment(image)
            if not np.isfinite(mask).all():
                return Failure("bad-mask", "the segmenter answers this image with values that are not finite")
            levels = np.round(mask * 255).astype(np.uint8)
            self._cache.write(key, content, levels)
        return judge_mask(levels.astype(np.float32) / np.float32(255))


class MemoryMasks:
    """The masks of the last images, outside a run."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, str], NDArray[np.uint8]] = {}

    def read(self, segmenter: str, image: str) -> NDArray[np.uint8] | None:
        """The mask, if it is among the last."""
        return self._masks.get((segmenter, image))

    def write(self, segmenter: str, image: str, mask: NDArray[np.uint8]) -> None:
        """Keeps the mask, and forgets the oldest if there are too many."""
        self._masks[segmenter, image] = mask
        if len(self._masks) > KEPT_IN_MEMORY:
            del self._masks[next(iter(self._masks))]


def create_segmenter(setting: Setting, who: str) -> Segmenter:
    """The segmenter that a setting names; reads nothing yet.

    Args:
        setting: None: our own superpixels. The path of an ONNX file, or a table with `file` (see `OnnxSegmenter` for
            its other keys). The folder of a `transformers` checkpoint, or a table with `checkpoint` and
            `subject_labels`. Relative paths are relative to the working directory; in a settings file, to that file.
        who: name of the plugin, for messages.

    Raises:
        ConfigError: the setting has an unknown or missing key, or a value out of its range.
    """
    if setting is None:
        return Superpixels()
    who = f"{who}: segmenter"
    table = _to_table(setting, who)
    if ("file" in table) == ("checkpoint" in table):
        raise ConfigError(
            f"{who} must name one model: file, an ONNX file, or checkpoint, a folder of transformers; got"
            f" {dict(table)!r:.120}"
        )
    if "file" in table:
        from ._onnx_segmenter import OnnxSegmenter as Model
    else:
        from ._transformers_segmenter import TransformersSegmenter as Model  # type: ignore[assignment]
    _check_keys(who, Model, table)
    return ModelSegmenter(Model(who, **table))  # type: ignore[arg-type]


def key_by_segmenter(identity: dict[str, JSON], segmenter: Segmenter | None) -> dict[str, JSON]:
    """The identity of a plugin with a parameter `segmenter`, the segmenter by its content, wherever its files are."""
    parameters = cast(dict[str, JSON], identity["parameters"])
    content = None if segmenter is None else segmenter.identity()
    return {**identity, "parameters": {**parameters, "segmenter": content}}


def judge_mask(mask: Floats, least: float = CERTAIN) -> Floats | Failure:
    """The mask, h w, 0 to 1, if its subject is clear, takes more than almost nothing and less than almost all.

    Args:
        mask: of one image.
        least: certainty.
    """
    inside = mask > 0.5
    share = float(inside.mean())
    if share < SMALLEST:
        return Failure("no-subject", f"the subject found takes {share:.1%} of the image, less than {SMALLEST:.0%}")
    if share > LARGEST:
        return Failure("no-subject", f"the subject found takes {share:.1%} of the image, more than {LARGEST:.0%}")
    certainty = measure_certainty(mask)
    if certainty < least:
        return Failure("no-subject", f"no subject stands out clearly (certainty {certainty:.2f}, least {least})")
    return mask


def measure_certainty(mask: Floats) -> float:
    """How certain a mask, h w, 0 to 1, is of its subject: its mean where it is above 0.5, less its mean elsewhere.

    1 where each pixel is 0 or 1, 0 for a mask of nothing or everything.
    """
    inside = mask > 0.5
    return float(mask[inside].mean() - mask[~inside].mean()) if 0 < inside.mean() < 1 else 0.0


def _to_table(setting: str | Mapping[str, JSON], who: str) -> Mapping[str, JSON]:
    if isinstance(setting, Mapping):
        return setting
    if not isinstance(setting, str) or not setting:
        raise ConfigError(f"{who} must be a path or a table, got {setting!r:.80}")
    return {"checkpoint" if Path(setting).expanduser().is_dir() else "file": setting}


def _check_keys(who: str, model: type, table: Mapping[str, JSON]) -> None:
    """Raises ConfigError where a key is unknown, or its value not of the type that the model's `__init__` says."""
    from pydantic import TypeAdapter, ValidationError

    types = get_type_hints(model.__init__)  # type: ignore[misc]
    known = [name for name in types if name not in ("who", "return")]
    for name, value in table.items():
        if name not in known:
            raise ConfigError(f"{who} has no key {name!r}. {suggest(name, known)}")
        try:
            TypeAdapter(types[name]).validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"{who}: {name} is invalid: {error.errors()[0]['msg']}, got {value!r:.80}") from None
