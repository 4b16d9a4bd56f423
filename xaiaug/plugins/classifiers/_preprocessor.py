"""Resizes, crops and normalises images as a checkpoint was trained to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Frame = NDArray[np.uint8]
Box = tuple[float, float, float, float]


class Preprocessor:
    """Resizes, crops and normalises images as a checkpoint's own image processor does, many at a time.

    The processor's settings are applied here with Pillow and one pass over the batch. Whether that gives what the
    processor gives is checked once, on a random image; where it does not, the processor itself is used.

    Attributes:
        processor: the checkpoint's image processor.
        exact: whether its settings describe it completely.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.exact = True
        self.exact = self._matches_processor()

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
        """The image resized and cropped, not yet normalised: h w c, uint8."""
        image = image.convert("RGB")
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
        size, crop = _find_geometry(self.processor, image.size)
        across, down = image.width / size[0], image.height / size[1]
        return crop[0] * across, crop[1] * down, crop[2] * across, crop[3] * down

    def normalize(self, frames: Sequence[Frame]) -> Tensor:
        """The pixels of frames of one size, normalised: n c h w, float32."""
        if not self.exact:
            batch = self.processor(images=list(frames), return_tensors="pt", input_data_format="channels_last")
            return torch.as_tensor(batch["pixel_values"], dtype=torch.float32)
        stack = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        values = stack.to(torch.float32, memory_format=torch.contiguous_format)
        if self.processor.do_rescale:
            values.mul_(self.processor.rescale_factor)
        if self.processor.do_normalize:
            values.sub_(_per_channel(self.processor.image_mean)).div_(_per_channel(self.processor.image_std))
        return values

    def _matches_processor(self) -> bool:
        generator = np.random.default_rng(0)
        edge = max(self.input_size)
        image = Image.fromarray(generator.integers(0, 256, (edge + 7, edge * 5 // 4 + 3, 3), dtype=np.uint8))
        try:
            pixels = self.normalize([self.make_frame(image)])
        except (AttributeError, TypeError, ValueError, KeyError):
            return False
        expected = torch.as_tensor(self.processor(images=[image], return_tensors="pt")["pixel_values"])
        return pixels.shape == expected.shape and torch.allclose(pixels, expected.float(), atol=1e-5)


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
