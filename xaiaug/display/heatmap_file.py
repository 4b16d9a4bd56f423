"""A heatmap as a picture or a file: what `Explanation.overlay` and `Explanation.save` do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DataError, name_some
from ..panel.colormap import Heat, Scale, check_scale
from ..panel.overlays import draw_heatmap as draw_heat
from ..panel.overlays import overlay_heatmap
from ..records import Explanation

VALUES = ".npy"  # raw values; any other file is a picture
STRETCHED = 0.02  # difference of heights, at one width, beyond which a map is not one of this image


def draw_heatmap(explanation: Explanation, image: Image.Image | None, scale: Scale | None = None) -> Image.Image:
    """The heatmap over an image, or alone, as panels and reports colour it.

    Args:
        explanation: raw values.
        image: that was explained, of any size; None: the map alone, of its own size.
        scale: raw values of the coldest and the hottest colour; None takes them from this map.

    Raises:
        DataError: the image has other proportions than the map, or the scale no extent.
    """
    check_scale(scale)
    height, width = explanation.heatmap.shape
    if image is None:
        blank = Image.new("RGB", (width, height))
        return draw_heat(blank, Heat.of(explanation, blank.size, scale))
    if not isinstance(image, Image.Image):
        raise DataError(f"overlay: image must be a PIL image, got {type(image).__name__}")
    expected = image.width * height / width
    if abs(expected - image.height) > max(1, STRETCHED * image.height):
        raise DataError(
            f"overlay: the heatmap is of an image of {width} x {height} pixels, the image has {image.width} x "
            f"{image.height}: give the one that was explained"
        )
    return overlay_heatmap(image.convert("RGB"), explanation, scale)


def save_heatmap(explanation: Explanation, path: str | Path, image: Image.Image | None = None) -> Path:
    """Writes the raw values to a file .npy, or the picture of `draw_heatmap` to one of another kind.

    Args:
        explanation: raw values.
        path: of the file; its suffix says the format.
        image: that was explained; None: the map alone.

    Raises:
        DataError: there is no format with that suffix.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() == VALUES:
        if image is not None:
            raise DataError(f"save: {target.name} keeps raw values, not a picture: leave the image out, or name a .png")
        np.save(target, np.asarray(explanation.heatmap, np.float32), allow_pickle=False)
        return target
    formats = Image.registered_extensions()
    if formats.get(target.suffix.lower()) not in Image.SAVE:
        raise DataError(
            f"save: {target.name!r} ends with no known format. Known: {VALUES} for raw values, and "
            f"{name_some(['.png', '.jpg', '.webp', '.tiff'])} for pictures"
        )
    draw_heatmap(explanation, image).save(target)
    return target
