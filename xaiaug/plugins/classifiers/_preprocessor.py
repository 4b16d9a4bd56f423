"""Resizes, crops and normalises images as a checkpoint was trained to see them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...errors import ConfigError, DataError
from .._pixels import to_rgb
from ._seen_box import Box, find_seen_box

Frame = NDArray[np.uint8]
# Width and height, in input sizes: both ways long, far from square, and smaller than the input.
_PROPORTIONS = ((1.27, 1.04), (0.81, 1.9), (3.3, 1.1), (1.2, 6.1), (0.43, 0.61), (2.2, 2.2))


class Preprocessor:
    """Resizes, crops and normalises images as a checkpoint's own image processor does, many at a time.

    The processor's settings are applied here with Pillow and one pass over the batch. Whether that gives what the
    processor gives is checked once, on random images of many proportions; where it does not, the processor itself is
    used, and asked what part of an image it keeps.

    Attributes:
        processor: the checkpoint's image processor.
        exact: whether its settings describe it completely.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.exact = True
        self.exact = all(self._matches_processor(proportion) for proportion in _PROPORTIONS)
        self._boxes: dict[tuple[int, int], Box] = {}
        if not self.exact:
            self._process(_draw_noise((64, 48)))  # refuses what gives no pixels, before it is needed

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input; where that depends on the image, of the nearest square."""
        size, crop = _read_sizes(self.processor)
        chosen = crop or size
        if chosen.get("height") and chosen.get("width"):
            return chosen["height"], chosen["width"]
        edge = chosen.get("shortest_edge") or 224
        return edge, edge

    def make_frame(self, image: Image.Image) -> Frame:
        """The image resized and cropped, not yet normalised: h w c, uint8.

        Raises:
            DataError: the image has more than 8 bits per channel.
        """
        image = to_rgb(image)
        if not self.exact:
            return np.asarray(image)
        size, crop = _find_geometry(self.processor, image.size)
        if size != image.size:
            image = image.resize(size, resample=self.processor.resample)
        left, top, right, bottom = crop
        if crop != (0, 0, *size):
            image = image.crop((left, top, right, bottom))
        return np.asarray(image)

    def find_box(self, image: Image.Image) -> Box:
        """What the network sees of the image: x0 y0 x1 y1 in pixels of the original; padding lies outside it."""
        if not self.exact:
            if image.size not in self._boxes:
                self._boxes[image.size] = find_seen_box(self._process, image.size)
            return self._boxes[image.size]
        size, crop = _find_geometry(self.processor, image.size)
        across, down = image.width / size[0], image.height / size[1]
        return crop[0] * across, crop[1] * down, crop[2] * across, crop[3] * down

    def iter_batches(self, frames: Iterable[Frame], most: int) -> Iterator[Tensor]:
        """The pixels of frames in order, n c h w: batches of one size after resizing, at most so many images each."""
        parts: Iterator[Any] = iter(frames) if self.exact else map(self._process, frames)
        for _, same_size in groupby(parts, key=lambda part: tuple(part.shape)):
            while batch := list(islice(same_size, most)):
                yield self.normalize(batch) if self.exact else torch.cat(batch)

    def normalize(self, frames: Sequence[Frame]) -> Tensor:
        """The pixels of frames of one size, normalised: n c h w, float32.

        Raises:
            DataError: the processor gives them different sizes.
        """
        if not self.exact:
            parts = [self._process(frame) for frame in frames]
            if len({part.shape for part in parts}) > 1:
                raise DataError(
                    f"{type(self.processor).__name__} keeps the proportions of images, so that views of one batch"
                    " differ in size; train with batch_size = 1, or set a fixed size in preprocessor_config.json"
                )
            return torch.cat(parts)
        stack = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        values = stack.to(torch.float32, memory_format=torch.contiguous_format)
        if self.processor.do_rescale:
            values.mul_(self.processor.rescale_factor)
        if self.processor.do_normalize:
            values.sub_(_per_channel(self.processor.image_mean)).div_(_per_channel(self.processor.image_std))
        return values

    def _process(self, frame: Frame) -> Tensor:
        """What the processor itself makes of an image: 1 c h w, float32.

        Raises:
            ConfigError: that is no picture.
        """
        # Else three rows could be taken for channels; timm's wrapper takes PIL images and no such option.
        options = {"input_data_format": "channels_last"} if _takes_data_format(self.processor) else {}
        found = self.processor(images=[Image.fromarray(frame)], return_tensors="pt", **options)
        pixels = found.get("pixel_values")
        if pixels is None or torch.as_tensor(pixels).ndim != 4:
            got = ", ".join(found) if pixels is None else f"pixel_values of shape {tuple(pixels.shape)}"
            raise ConfigError(
                f"{type(self.processor).__name__} gives {got}, not pixels n c h w: it cuts images into patches or"
                " tokens; pass the network to TorchClassifier, with a preprocess that returns n c h w in multiples of"
                " its patch size"
            )
        return torch.as_tensor(pixels, dtype=torch.float32)

    def _matches_processor(self, proportion: tuple[float, float]) -> bool:
        height, width = self.input_size
        frame = _draw_noise((round(width * proportion[0]), round(height * proportion[1])))
        try:
            pixels = self.normalize([self.make_frame(Image.fromarray(frame))])
            expected = self._process(frame)
        except Exception:  # noqa: BLE001  the processor itself is asked then, and its error shown
            return False
        return pixels.shape == expected.shape and torch.allclose(pixels, expected, atol=1e-5)


def _takes_data_format(processor: Any) -> bool:
    taken = inspect.signature(processor.preprocess).parameters.values()
    return any(each.name == "input_data_format" or each.kind is inspect.Parameter.VAR_KEYWORD for each in taken)


def _draw_noise(size: tuple[int, int]) -> Frame:
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def _per_channel(values: float | Sequence[float]) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _read_sizes(processor: Any) -> tuple[dict[str, int], dict[str, int]]:
    """The processor's sizes for resizing and for the centre crop; empty where it does not do that."""
    size = _to_dict(processor.size) if getattr(processor, "do_resize", False) else {}
    crop = _to_dict(processor.crop_size) if getattr(processor, "do_center_crop", False) else {}
    edge = size.get("shortest_edge")
    if edge and not crop and getattr(processor, "crop_pct", None):
        crop = {"height": edge, "width": edge}
        # ConvNeXt crops small inputs from a larger image, and warps from 384 pixels on.
        size = {"shortest_edge": int(edge / processor.crop_pct)} if edge < 384 else crop
    return size, crop


def _to_dict(size: Any) -> dict[str, int]:
    names = ("height", "width", "shortest_edge", "longest_edge")
    values = {name: size.get(name) if isinstance(size, dict) else getattr(size, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _find_geometry(processor: Any, original: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Size after resizing, width first, and the box cropped from it."""
    size, crop = _read_sizes(processor)
    width, height = _scale(size, original)
    if not crop:
        return (width, height), (0, 0, width, height)
    left, top = (width - crop["width"]) // 2, (height - crop["height"]) // 2
    return (width, height), (left, top, left + crop["width"], top + crop["height"])


def _scale(size: dict[str, int], original: tuple[int, int]) -> tuple[int, int]:
    if "height" in size and "width" in size:
        return size["width"], size["height"]
    if "shortest_edge" not in size:
        return original
    width, height = original
    edge = size["shortest_edge"]
    return (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)
