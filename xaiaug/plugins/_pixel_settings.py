"""Resizes, crops and normalises images as settings say, for models that come without an image processor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ConfigError, suggest
from ._pixels import to_rgb

RESIZE = ("crop", "stretch")
CHANNELS = ("rgb", "bgr")
INTERPOLATION = {name.name.lower(): name for name in Image.Resampling}
CROP = 0.875  # torchvision's: 224 of 256


@dataclass(frozen=True)
class PixelSettings:
    """How an image becomes the input of a model.

    Attributes:
        size: height and width of the input.
        depth: 3 channels, or 1 for a grey image.
        mean: of each channel after `scale`; empty where values are passed on as they are.
        std: likewise.
        scale: factor for the values 0 to 255, applied first.
        resize: "crop" keeps the proportions and takes the centre, "stretch" stretches the image.
        crop: share of each side that the centre keeps.
        interpolation: of the resize, as Pillow names it.
        channels: "rgb" or "bgr".
    """

    size: tuple[int, int]
    depth: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    resize: str
    crop: float
    interpolation: str
    channels: str

    def make_frame(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image resized and cropped: h w c, uint8."""
        image = to_rgb(image).convert("RGB" if self.depth == 3 else "L")
        size, (left, top) = self._find_geometry(image.size)
        if size != image.size:
            image = image.resize(size, INTERPOLATION[self.interpolation])
        frame = np.asarray(image.crop((left, top, left + self.size[1], top + self.size[0])))
        frame = frame.reshape(*self.size, self.depth)
        return frame[..., ::-1] if self.channels == "bgr" else frame

    def find_box(self, image: Image.Image) -> tuple[float, float, float, float]:
        """What the model sees of the image: x0 y0 x1 y1 in pixels of the original."""
        size, (left, top) = self._find_geometry(image.size)
        across, down = image.width / size[0], image.height / size[1]
        return left * across, top * down, (left + self.size[1]) * across, (top + self.size[0]) * down

    def normalize(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        """The frames as the model reads them: n h w c, float32, or uint8 where they are passed on as they are."""
        stack = np.stack(frames)
        if not self.mean:
            return stack
        order = slice(None, None, -1) if self.channels == "bgr" else slice(None)
        mean, std = (np.array(values, np.float32)[order] for values in (self.mean, self.std))
        normalized: NDArray[np.float32] = (stack.astype(np.float32) * np.float32(self.scale) - mean) / std
        return normalized

    def _find_geometry(self, original: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Width and height after resizing, and left and top of the centre."""
        height, width = (math.floor(side / self.crop) for side in self.size)
        if self.resize == "crop":
            width, height = _cover(original, (width, height))
        return (width, height), (round((width - self.size[1]) / 2), round((height - self.size[0]) / 2))


def _cover(original: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """The smallest size with the proportions of the original that covers another; one side is met exactly."""
    (width, height), (least_width, least_height) = original, least
    if width * least_height <= height * least_width:
        return least_width, max(least_height, int(least_width * height / width))
    return max(least_width, int(least_height * width / height)), least_height


def read_pixel_settings(  # noqa: PLR0913  the settings of a user
    who: str,
    *,
    size: tuple[int, int],
    depth: int,
    raw: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    scale: float | None,
    resize: str | None,
    crop: float | None,
    interpolation: str | None,
    channels: str | None,
) -> PixelSettings:
    """Checked settings; what is not given has the commonest value, where there is one.

    Args:
        who: for messages.
        size: height and width of the model's input.
        depth: its channels, 1 or 3.
        raw: whether it reads values from 0 to 255 as whole numbers.
        mean: of each channel; there is no default.
        std: likewise.
        scale: 1 / 255.
        resize: "crop".
        crop: 0.875 of each side where proportions are kept, else 1.
        interpolation: "bilinear".
        channels: "rgb".

    Raises:
        ConfigError: one is unknown, out of range, or missing.
    """
    resize, channels, interpolation = resize or "crop", channels or "rgb", interpolation or "bilinear"
    for name, value, known in (
        ("resize", resize, RESIZE),
        ("channels", channels, CHANNELS),
        ("interpolation", interpolation, tuple(INTERPOLATION)),
    ):
        if value not in known:
            raise ConfigError(f"{who}: {name} = {value!r} is not known. {suggest(str(value), known)}")
    if crop is None:
        crop = CROP if resize == "crop" else 1.0
    if not 0 < crop <= 1:
        raise ConfigError(f"{who}: crop must be above 0 and at most 1, got {crop}")
    if scale is not None and not scale > 0:
        raise ConfigError(f"{who}: scale must be above 0, got {scale}")
    means, deviations = _read_normalization(who, depth, raw, mean, std, scale)
    scale = 1 / 255 if scale is None else scale
    return PixelSettings(size, depth, means, deviations, scale, resize, crop, interpolation, channels)


def _read_normalization(
    who: str, depth: int, raw: bool, mean: Sequence[float] | None, std: Sequence[float] | None, scale: float | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if raw:
        given = [name for name, value in (("mean", mean), ("std", std), ("scale", scale)) if value is not None]
        if given:
            raise ConfigError(f"{who}: the model reads whole numbers from 0 to 255; leave out {', '.join(given)}")
        return (), ()
    if mean is None or std is None:
        raise ConfigError(
            f"{who}: nothing says how its pixels are normalised; give mean= and std=, such as mean = [0.485, 0.456,"
            " 0.406] and std = [0.229, 0.224, 0.225] for torchvision's, or mean = [0, 0, 0] and std = [1, 1, 1] for"
            " values from 0 to 1 (scale = 1 for values from 0 to 255)"
        )
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != depth or not np.isfinite(values).all():
            raise ConfigError(f"{who}: {name} must hold a number for each of the {depth} channels, got {values!r:.80}")
    if min(std) <= 0:
        raise ConfigError(f"{who}: std must be above 0, got {list(std)!r:.80}")
    return tuple(map(float, mean)), tuple(map(float, std))
