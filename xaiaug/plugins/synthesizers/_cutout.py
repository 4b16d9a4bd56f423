"""Cuts a subject out of its photo, by a user's mask or by segmentation, with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...imaging.image_stats import rgb_to_lab, to_pixels, typical_colour
from ...records import Failure, SynthesisRequest
from .._segmentation import LARGEST, SMALLEST, Segmenter
from .._superpixels import subject_mask
from ._mask_folder import BadMaskError, MaskFolder, is_hard, resize_mask

Floats = NDArray[np.float32]

CLEAR = 0.3  # least difference of our own mask between inside and outside of the subject
EDGE = 0.7  # pixels over which the hard edge of a mask is softened
CUT = 0.06  # share of an image side that a subject must cover to count as cropped there


@dataclass(frozen=True, eq=False)
class Cutout:
    """A subject, cropped to its box.

    Attributes:
        colour: h w 3, Lab; near the edge without colours of the old backdrop.
        alpha: h w, 0 to 1.
        box: left, top, right, bottom in pixels of the photo.
        cut: the sides at which the photo crops the subject: "left", "top", "right", "bottom".
        main: Lab of the subject's typical colour.
        backdrop: mean Lab of the photo's backdrop.
        found_by: "mask", "segmenter" or "segmentation".
    """

    colour: Floats
    alpha: Floats
    box: tuple[int, int, int, int]
    cut: frozenset[str]
    main: Floats
    backdrop: Floats
    found_by: str

    @property
    def area(self) -> float:
        """Pixels of the photo that the subject covers."""
        return float(self.alpha.sum())


def cut_subject(
    request: SynthesisRequest, photo: Image.Image, masks: MaskFolder | None, segmenter: Segmenter | None = None
) -> Cutout | Failure:
    """The subject of a request's photo: by the user's mask if there is one, else by segmentation.

    A Failure if the mask cannot be used ("bad-mask") or no clear subject is found ("no-subject").

    Args:
        request: with the photo as its source.
        photo: the same at the size of the new image.
        masks: of the user.
        segmenter: None: our own segmentation.
    """
    try:
        mask = masks.mask(request.case_id, photo.size) if masks else None
    except BadMaskError as error:
        return Failure("bad-mask", str(error))
    if mask is not None:
        return cut_by_mask(photo, mask)
    if segmenter is not None:
        found = segmenter.mask(request.source or photo)
        return found if isinstance(found, Failure) else _cut_by_segmenter(photo, resize_mask(found, photo.size))
    return segment(photo) or Failure("no-subject", "no subject stands out clearly from this image's backdrop")


def segment(photo: Image.Image, heatmap: Floats | None = None) -> Cutout | None:
    """The subject of a photo, segmented; None if none is clear."""
    mask = subject_mask(photo, heatmap)
    colours = rgb_to_lab(to_pixels(photo))
    alpha = _matte(colours, _solidify(mask))
    if not SMALLEST <= alpha.mean() <= LARGEST or _contrast(mask, alpha) < CLEAR:
        return None
    return _crop(colours, alpha, typical_colour(colours, mask), "segmentation")


def cut_by_mask(photo: Image.Image, mask: Floats, found_by: str = "mask") -> Cutout:
    """The subject of a photo, by a mask, h w, 0 to 1 and not all zero; hard edges are softened."""
    from scipy.ndimage import gaussian_filter

    colours = rgb_to_lab(to_pixels(photo))
    alpha = gaussian_filter(mask, EDGE) if is_hard(mask) else mask
    main = np.median(colours[mask >= 0.5 * mask.max()], axis=0).astype(np.float32)
    return _crop(colours, alpha, main, found_by)


def _cut_by_segmenter(photo: Image.Image, mask: Floats) -> Cutout | Failure:
    """The subject of a photo, by a segmenter's mask: in one piece, without holes, and opaque inside.

    Two pieces of similar size are mostly a head and a body whose middle the segmenter did not see.
    """
    from scipy.ndimage import gaussian_filter, label

    solid = _solidify(mask)
    if (pieces := label(solid)[1]) != 1:
        return Failure("no-subject", f"the subject found is in {pieces} pieces, and its middle may be missing")
    near = gaussian_filter(solid.astype(np.float32), max(1, max(mask.shape) / 100))
    soft = gaussian_filter(np.where(near > 0.99, 1, mask), EDGE)
    # Steeper than the mask, and slightly inwards: ghosts and a rim of the old backdrop would be visible.
    alpha = np.clip((soft - 0.4) / 0.5, 0, 1) * np.clip(4 * near, 0, 1)
    return cut_by_mask(photo, alpha.astype(np.float32), "segmenter")


def _crop(colours: Floats, alpha: Floats, main: Floats, found_by: str) -> Cutout:
    """The cutout of a subject with opacity `alpha`, h w."""
    rows, columns = np.flatnonzero(alpha.max(axis=1) > 0.02), np.flatnonzero(alpha.max(axis=0) > 0.02)
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    window = np.s_[top:bottom, left:right]
    return Cutout(
        colour=_clean_edges(colours, alpha)[window],
        alpha=alpha[window],
        box=(left, top, right, bottom),
        cut=_cut_sides(alpha),
        main=main,
        backdrop=np.average(colours.reshape(-1, 3), axis=0, weights=1.001 - alpha.ravel()).astype(np.float32),
        found_by=found_by,
    )


def _solidify(mask: Floats) -> NDArray[np.bool_]:
    """The mask as booleans: its largest component and those of similar size, with holes filled."""
    from scipy.ndimage import binary_fill_holes, binary_opening, label

    solid = binary_opening(mask > 0.5, iterations=max(1, max(mask.shape) // 100))
    pieces, count = label(solid)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(sizes >= 0.35 * sizes.max(initial=1)) + 1
    filled: NDArray[np.bool_] = binary_fill_holes(np.isin(pieces, kept))
    return filled


def _matte(colours: Floats, solid: NDArray[np.bool_]) -> Floats:
    """Opacity, h w: near the outline, how much closer the colour of a pixel is to the subject than to the rest.

    If both have similar colours, the softened outline decides.
    """
    from scipy.ndimage import gaussian_filter, minimum_filter

    reach = max(2, max(solid.shape) // 30)
    inner, outer = (minimum_filter(side, 2 * reach + 1, mode="nearest") for side in (solid, ~solid))
    inside, outside = _mean_nearby(colours, inner, reach), _mean_nearby(colours, outer, reach)
    apart = ((inside - outside) ** 2).sum(axis=-1)
    nearness = ((colours - outside) * (inside - outside)).sum(axis=-1) / np.maximum(apart, 1)
    soft = gaussian_filter(solid.astype(np.float32), max(0.7, reach / 6))
    trust = apart / (apart + 20.0**2)
    edge = trust * np.clip(nearness, 0, 1) + (1 - trust) * soft
    raw = gaussian_filter(np.where(inner, 1, np.where(outer, 0, edge)).astype(np.float32), 0.5)
    # Slightly inwards: a rim of the old backdrop is more visible than a missing rim of fur.
    alpha: Floats = np.clip((raw - 0.25) / 0.6, 0, 1)
    return alpha


def _mean_nearby(colours: Floats, where: NDArray[np.bool_], reach: int) -> Floats:
    """The mean colour of the marked pixels near each pixel: h w 3; their overall mean if none is near."""
    from scipy.ndimage import uniform_filter

    if not where.any():
        return np.broadcast_to(colours.mean(axis=(0, 1)), colours.shape)
    known, width = where.astype(np.float32)[..., None], (4 * reach + 1, 4 * reach + 1, 0)
    weight, sums = uniform_filter(known, width), uniform_filter(colours * known, width)
    beside: Floats = (sums + 1e-3 * colours[where].mean(axis=0)) / (weight + 1e-3)
    return beside


def _contrast(mask: Floats, alpha: Floats) -> float:
    """Mean of the mask inside the subject minus its mean outside, -1 to 1."""
    inside, outside = alpha.sum(), (1 - alpha).sum()
    return float((mask * alpha).sum() / max(inside, 1e-6) - (mask * (1 - alpha)).sum() / max(outside, 1e-6))


def _clean_edges(colours: Floats, alpha: Floats) -> Floats:
    """The colours, h w 3; those of translucent pixels come from the opaque ones nearby."""
    inner = _mean_nearby(colours, alpha > 0.97 * alpha.max(), max(2, max(alpha.shape) // 80))
    weight = alpha[..., None] ** 2
    cleaned: Floats = weight * colours + (1 - weight) * inner
    return cleaned


def _cut_sides(alpha: Floats) -> frozenset[str]:
    """The sides at which the photo crops the subject."""
    sides = {"left": alpha[:, 0], "top": alpha[0], "right": alpha[:, -1], "bottom": alpha[-1]}
    return frozenset(name for name, line in sides.items() if (line > 0.5).mean() > CUT)
