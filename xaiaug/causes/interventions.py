"""Interventions on an image: one property is changed, the rest is kept. Pure functions, the same for the same input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from ..imaging.image_stats import lab_to_rgb, sharpness, to_pixels
from ..imaging.inpainting import fill_hole, fill_subject
from ..records.cause import Box
from .photo import Photo

Floats = NDArray[np.float32]

REACH = 40.0  # Lab distance from a subject's main colour at which its shift has faded: eyes and noses stay as they are
GAIN = (0.2, 5.0)  # of light
BLUR, SHARPEN = np.geomspace(0.4, 8, 12), (50, 100, 150, 200)  # radii in pixels; percent of an unsharp mask
SCALE = (0.25, 2.5)  # of a subject's side
MOST_HOLE = 0.97  # share of the image
SPILL = 0.02  # share of the image's side around a region that is edited with it: its edge is part of it


def shift_colour(photo: Photo, shift: Floats, weight: Floats, main: Floats) -> Image.Image:
    """The image with the colours near `main` shifted where `weight`, h w, is 1; shading and markings are kept.

    Args:
        photo: the image.
        shift: 3, Lab.
        weight: h w, 0 to 1, such as the subject's mask.
        main: 3, Lab, the typical colour there.
    """
    nearness = np.exp(-((photo.lab - main) ** 2).sum(axis=-1) / (2 * REACH**2))
    moved = photo.lab + (weight * nearness)[..., None] * shift
    moved[..., 0] = np.clip(moved[..., 0], 0, 100)
    return Image.fromarray(lab_to_rgb(moved))


def recolour_subject(photo: Photo, colour: Floats) -> Image.Image:
    """The image with its subject in another typical colour: 3, Lab."""
    return shift_colour(photo, colour - photo.subject, photo.mask, photo.subject)


def recolour_backdrop(photo: Photo, colour: Floats) -> Image.Image:
    """The image with its backdrop in another typical colour: 3, Lab."""
    return shift_colour(photo, colour - photo.backdrop, 1 - photo.mask, photo.backdrop)


def replace_backdrop(photo: Photo, donor: Photo) -> Image.Image:
    """The image's subject on the backdrop of another image, whose own subject is removed."""
    scene = ImageOps.fit(
        Image.fromarray(lab_to_rgb(fill_subject(donor.lab, donor.mask))), photo.image.size, Image.Resampling.LANCZOS
    )
    return Image.composite(photo.image, scene, _stencil(photo.mask))


def relight(photo: Photo, lightness: float) -> Image.Image:
    """The image at another mean lightness, 0 to 1, by a gain on L; dim light has less colour."""
    gain = float(np.clip(lightness / max(photo.lightness, 0.01), *GAIN))
    colours = photo.lab.copy()
    colours[..., 0] = np.clip(colours[..., 0] * gain, 0, 100)
    colours[..., 1:] *= min(gain, 1.0)
    return Image.fromarray(lab_to_rgb(colours))


def change_tint(photo: Photo, shift: Floats) -> Image.Image:
    """The image with all colours shifted: 3, Lab, of which lightness is left alone."""
    return Image.fromarray(lab_to_rgb(photo.lab + np.array([0, shift[1], shift[2]], np.float32)))


def set_sharpness(photo: Photo, wanted: float) -> Image.Image:
    """The image blurred, or sharpened by an unsharp mask, to the sharpness nearest to `wanted`, 0 to 1.

    What a blur removed an unsharp mask does not bring back: the result may stay less sharp than asked for.
    """
    if wanted < photo.sharpness:
        candidates = [photo.image.filter(ImageFilter.GaussianBlur(float(radius))) for radius in BLUR]
    else:
        masks = [ImageFilter.UnsharpMask(radius=2, percent=percent, threshold=0) for percent in SHARPEN]
        candidates = [photo.image.filter(mask) for mask in masks]
    return min(candidates, key=lambda image: abs(sharpness(image) - wanted))


def place_subject(photo: Photo, scale: float, middle: Floats | None = None) -> Image.Image:
    """The image with its subject scaled, and moved, over its own backdrop, which is filled in behind it.

    Args:
        photo: the image.
        scale: of the subject's side; clipped to 0.25 to 2.5.
        middle: x y of the subject's centroid, 0 to 1; None: it stays.
    """
    scale = float(np.clip(scale, *SCALE))
    width, height = photo.image.size
    target = photo.place if middle is None else middle
    # Maps a pixel of the result to one of the photo: the centroid goes to `target`.
    left, top = (float(photo.place[i] - target[i] / scale) * side for i, side in enumerate((width, height)))
    inverse = (1 / scale, 0, left, 0, 1 / scale, top)
    subject = photo.image.transform((width, height), Image.Transform.AFFINE, inverse, Image.Resampling.BICUBIC)
    stencil = _stencil(photo.mask).transform(
        (width, height), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR
    )
    return Image.composite(subject, Image.fromarray(lab_to_rgb(fill_subject(photo.lab, photo.mask))), stencil)


def erase_region(photo: Photo, box: Box, source: Box | None) -> Image.Image:
    """The image with a region covered by another part of the same image, with soft edges.

    Args:
        photo: the image.
        box: of the region.
        source: of the part that covers it, of the same size; None: it is filled in from around, by push-pull and grain.
    """
    if source is not None:
        return _paste(photo.image, photo.image.crop(to_pixel_box(source, photo.image.size)), box, soft=True)
    left, top, right, bottom = to_pixel_box(box, photo.image.size, SPILL)
    hole = np.zeros(photo.lab.shape[:2], bool)
    hole[top:bottom, left:right] = True
    if hole.mean() > MOST_HOLE:  # nothing is left to fill it from
        mean = to_pixels(photo.image).mean(axis=(0, 1)).astype(np.uint8)
        return Image.fromarray(np.broadcast_to(mean, photo.lab.shape).copy())
    return Image.fromarray(lab_to_rgb(fill_hole(photo.lab, hole)))


def transplant_region(photo: Photo, donor: Photo, box: Box, place: Box | None = None) -> Image.Image:
    """The image with a region of another image pasted in, with hard edges.

    Args:
        photo: the image.
        donor: where the region is taken from.
        box: of the region in the donor.
        place: where it goes; None: the same place.
    """
    return _paste(photo.image, donor.image.crop(to_pixel_box(box, donor.image.size, SPILL)), place or box, soft=False)


def _paste(image: Image.Image, patch: Image.Image, box: Box, *, soft: bool) -> Image.Image:
    """The image with a patch, scaled, over a region and what spills around it."""
    left, top, right, bottom = to_pixel_box(box, image.size, SPILL)
    size = (right - left, bottom - top)
    stencil = Image.new("L", size, 255)
    if soft:
        edge = max(1, round(0.06 * min(size)))
        inside = (left > 0, top > 0, right < image.width, bottom < image.height)  # no edge where the image ends
        ends = [edge * one for one in inside]
        stencil = Image.new("L", size, 0)
        stencil.paste(255, (ends[0], ends[1], max(ends[0] + 1, size[0] - ends[2]), max(ends[1] + 1, size[1] - ends[3])))
        stencil = stencil.filter(ImageFilter.GaussianBlur(edge / 2))
    result = image.copy()
    result.paste(patch.resize(size, Image.Resampling.LANCZOS), (left, top), stencil)
    return result


def to_pixel_box(box: Box, size: tuple[int, int], spill: float = 0.0) -> tuple[int, int, int, int]:
    """A box in shares of width and height as pixels, at least one wide and high, widened by `spill` of each side."""
    width, height = size
    left, right = (
        int(np.clip(round((edge + way * spill) * width), 0, width)) for edge, way in ((box[0], -1), (box[2], 1))
    )
    top, bottom = (
        int(np.clip(round((edge + way * spill) * height), 0, height)) for edge, way in ((box[1], -1), (box[3], 1))
    )
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def region_colour(photo: Photo, box: Box) -> Floats:
    """Median colour of a region: 3, Lab."""
    left, top, right, bottom = to_pixel_box(box, photo.image.size)
    median: Floats = np.median(photo.lab[top:bottom, left:right], axis=(0, 1)).astype(np.float32)
    return median


def _stencil(mask: Floats) -> Image.Image:
    """Opacity of the subject: a mask is unsure near its edge, and what is half there would look like a ghost."""
    return Image.fromarray((np.clip((mask - 0.25) / 0.5, 0, 1) * 255).astype(np.uint8))
