"""Subject masks by a segmentation model in an ONNX file, such as U²-Net or IS-Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ConfigError, suggest
from ..records import JSON
from ._onnx_model import OnnxModel, check_model_file, digest_files, find_data_files, list_outputs
from ._pixel_settings import PixelSettings, read_pixel_settings

Floats = NDArray[np.float32]

# How the published models of a layout read pixels (U²-Net: 2005.09007, IS-Net: 2203.03041); both answer from 0 to 1.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "u2net": {"size": 320, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "isnet": {"size": 1024, "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]},
}
OUTPUTS = ("probabilities", "logits")
TOLERANCE = 0.01  # by which quantised models may leave the range from 0 to 1


class OnnxSegmenter:
    """One subject mask an image, by onnxruntime; nothing is downloaded.

    Args:
        who: for messages.
        file: the model, with its external data beside it; reads n c h w or n h w c, answers n 1 h w, n h w 1 or n h w.
        preset: "u2net" or "isnet": size, mean and std of that layout; None: the one with which the file's name begins,
            if any. What is given beside it counts first.
        size: height and width to which images are stretched, or one number for both; None: from the file, else the
            preset's.
        mean: of each channel, red first, or one number for all; after `scale`.
        std: likewise.
        scale: factor for the values 0 to 255, applied first; None: 1 / 255.
        output: name or number of the output with the mask; both layouts have it first.
        outputs: "probabilities", from 0 to 1, or "logits".

    Raises:
        ConfigError: a value out of its range; in `open`: the file does not fit the settings, or they do not determine
            how pixels are normalised.
    """

    def __init__(  # noqa: PLR0913, PLR0917  the settings of a model that tells little about itself
        self,
        who: str,
        file: str,
        preset: str | None = None,
        size: int | Sequence[int] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        scale: float | None = None,
        output: str | int = 0,
        outputs: str = "probabilities",
    ) -> None:
        if preset is not None and preset not in PRESETS:
            raise ConfigError(f"{who} has no preset {preset!r}. {suggest(str(preset), PRESETS)}")
        if outputs not in OUTPUTS:
            raise ConfigError(f"{who}: outputs must be 'probabilities' or 'logits', got {outputs!r}")
        self._who = who
        self._file = Path(file).expanduser()
        layout = PRESETS.get(preset or _preset_named(self._file), {})
        self._size = layout.get("size") if size is None else size
        self._size_given = size is not None
        self._mean = layout.get("mean") if mean is None else mean
        self._std = layout.get("std") if std is None else std
        self._scale = scale
        self._output, self._outputs = output, outputs
        self._opened: _Opened | None = None

    def check(self) -> None:
        """Raises ConfigError if there is no such file, MissingExtraError if onnxruntime is not installed."""
        check_model_file(self._who, self._file)

    def identity(self) -> dict[str, JSON]:
        """Settings as they are used, and a digest of the files."""
        settings: dict[str, Any] = {"size": self._size, "mean": self._mean, "std": self._std, "scale": self._scale}
        settings |= {"output": self._output, "outputs": self._outputs}
        there = self._file.is_file()
        content = digest_files([self._file, *find_data_files(self._file)]) if there else None
        return {"kind": "onnx", "content": content, **settings}

    def open(self, device: str) -> None:
        """Opens the file, unless it is open, and checks that its input and output fit the settings."""
        self._open(device)

    def _open(self, device: str) -> _Opened:
        if self._opened is None:
            model = OnnxModel(self._file, device, self._who)
            self._opened = _Opened(model, self._read_pixels(model), self._choose_output(model))
        return self._opened

    def segment(self, image: Image.Image) -> Floats:
        """h w, of the image's size, 0 to 1; NaN where the model's answer is not finite.

        Raises:
            ConfigError: the answer is no mask with values from 0 to 1.
            PluginError: the model fails.
        """
        opened = self._open("auto")
        answer = opened.model.run(opened.output, opened.pixels.normalize([opened.pixels.make_frame(image)]))
        mask = self._to_mask(answer, opened)
        return np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.BILINEAR))

    def _to_mask(self, answer: NDArray[np.float64], opened: _Opened) -> Floats:
        if not (answer.ndim == 3 or (answer.ndim == 4 and 1 in (answer.shape[1], answer.shape[3]))):
            raise ConfigError(
                f"{self._who}: {self._file.name} must answer with one mask an image, n 1 h w, got shape {answer.shape}"
                f" from {opened.output!r}; it has {list_outputs(opened.model.outputs)}; name another with output="
            )
        values = answer[0] if answer.ndim == 3 else answer[0, 0] if answer.shape[1] == 1 else answer[0, :, :, 0]
        if not np.isfinite(values).all():
            return np.full(values.shape, np.nan, np.float32)
        if self._outputs == "logits":
            values = 1 / (1 + np.exp(-values.clip(-50, 50)))
        if values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE:
            raise ConfigError(
                f"{self._who}: {self._file.name} must answer with values from 0 to 1, got {values.min():.3g} to"
                f" {values.max():.3g}; set outputs = 'logits', or name another output with output="
            )
        return values.clip(0, 1).astype(np.float32)

    def _read_pixels(self, model: OnnxModel) -> PixelSettings:
        name, depth = f"{self._who}: {self._file.name}", model.input.depth
        raw = model.input.dtype is np.uint8
        mean, std = (None if raw else _spread(value, depth) for value in (self._mean, self._std))
        if not raw and (mean is None or std is None):
            raise ConfigError(
                f"{name}: nothing says how its pixels are normalised; give preset = {' or '.join(map(repr, PRESETS))},"
                " or mean and std, such as mean = [0.485, 0.456, 0.406] and std = [0.229, 0.224, 0.225]"
            )
        return read_pixel_settings(
            name,
            size=self._find_size(model),
            depth=depth,
            raw=raw,
            mean=mean,
            std=std,
            scale=None if raw else self._scale,
            resize="stretch",
            crop=None,
            interpolation=None,
            channels=None,
        )

    def _find_size(self, model: OnnxModel) -> tuple[int, int]:
        """Height and width: what is given, else the file's, else the preset's."""
        given = (self._size, self._size) if isinstance(self._size, int) else tuple(self._size or (None, None))
        if len(given) != 2 or not all(side is None or (isinstance(side, int) and side > 0) for side in given):
            raise ConfigError(f"{self._who}: size must be height and width, or one number for both, got {given!r:.80}")
        fixed = model.input.size
        if self._size_given and any(own not in (None, side) for own, side in zip(fixed, given, strict=True)):
            raise ConfigError(
                f"{self._who}: {self._file.name} reads {fixed[0]} x {fixed[1]} pixels (h w), and size gives"
                f" {given[0]} x {given[1]}; leave size out"
            )
        height, width = (own or side for own, side in zip(fixed, given, strict=True))
        if height is None or width is None:
            raise ConfigError(f"{self._who}: {self._file.name} takes images of any size; give size=, such as 320")
        return height, width

    def _choose_output(self, model: OnnxModel) -> str:
        names = list(model.outputs)
        if isinstance(self._output, int) and 0 <= self._output < len(names):
            return names[self._output]
        if self._output in names:
            return str(self._output)
        raise ConfigError(
            f"{self._who}: {self._file.name} has no output {self._output!r}; it has {list_outputs(model.outputs)}"
        )


@dataclass(frozen=True)
class _Opened:
    """An open file, how images become its input, and the name of the output with the mask."""

    model: OnnxModel
    pixels: PixelSettings
    output: str


def _preset_named(file: Path) -> str:
    """The preset with which a file's name begins, such as "isnet" for isnet-general-use.onnx; empty if none."""
    return next((name for name in PRESETS if file.name.lower().startswith(name)), "")


def _spread(value: float | Sequence[float] | None, depth: int) -> Sequence[float] | None:
    return [value] * depth if isinstance(value, int | float) else value
