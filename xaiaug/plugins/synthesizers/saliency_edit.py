"""The synthesizer saliency-edit: takes what a heatmap marks off the subject away, and puts it on another class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...imaging.image_stats import lab_to_rgb, rgb_to_lab
from ...imaging.inpainting import fill_hole
from ...interfaces import Context, Synthesizer
from ...records import JSON, Failure, SynthesisRequest, SyntheticImage
from .._hot_region import Region, RegionOptions, draw_region, find_region
from .._segmentation import create_segmenter, key_by_segmenter
from ._mask_folder import MaskFolder
from ._subject_masks import SubjectMasks

Floats = NDArray[np.float32]

OPERATIONS = {"erase": ("own",), "transplant": ("another",), "both": ("own", "another")}
FILLS = ("surroundings", "blur")
FEATHER = 0.12  # of the shorter side of a region: the width of its soft edge
SUBJECT = 0.5  # pixels that belong more to the subject than this are not changed
LEAST = 0.5  # share of a region that must be off the subject
RIM = 0.1  # a pixel that belongs more to the subject than this gives no colour to what is erased
MOST_UNKNOWN = 0.95  # share of the surroundings that may give none
BLUR = 0.5  # of the shorter side of a region: the standard deviation of the blur


class SaliencyEditSynthesizer(Synthesizer):
    """Edits correctly classified images by their heatmaps: no prompt, no generator, no key.

    The region is the smallest window that holds half of the heat off the subject. `erase` fills it from its
    surroundings: the same class without what the model looked at. `transplant` pastes it, with soft edges, at the same
    place of a training image of another class: what the model looked at, with a subject it is no evidence for. What
    the classes then share cannot tell them apart.

    Relatives: MaskTune (arXiv 2210.00055) erases by the map and keeps the class; SaliencyMix (2006.01791) pastes the
    salient patch and mixes the labels; CAIPI (1805.08578) has a person mark what is irrelevant, and varies it.

    Args:
        operation: "erase", "transplant" or "both".
        heat: share of the heat off the subject that a region should hold, above 0 to 1.
        area: share of the image that a region has at least and at most, between 0 and 1.
        contrast: least ratio of the mean heat in the region to that of the image, at least 1: lower ones edit images
            that the map says little about.
        fill: of an erased region: "surroundings", colour and grain from around it, or "blur".
        covered: most of the other image's subject that a transplanted region may cover, 0 to 1.
        masks: a folder of masks, `ID.png`, as in `remix`; other images are segmented.
        segmenter: as in `remix`; None: our own segmentation.

    Raises:
        ConfigError: a parameter out of its range; on first use: no folder of masks.
    """

    uses = frozenset({"image", "map"})
    needs = frozenset({"image"})
    per_case = OPERATIONS["both"]

    def __init__(
        self,
        operation: str = "both",
        *,
        heat: float = 0.5,
        area: tuple[float, float] = (0.06, 0.1),
        contrast: float = 2.0,
        fill: str = "surroundings",
        covered: float = 0.5,
        masks: str | None = None,
        segmenter: str | dict[str, JSON] | None = None,
    ) -> None:
        _check_choice("operation", operation, tuple(OPERATIONS))
        _check_choice("fill", fill, FILLS)
        _check(0 < heat <= 1, "heat must lie above 0, and be at most 1", heat)
        smallest, largest = area
        _check(0 < smallest <= largest < 1, "area must be two numbers between 0 and 1, in order", list(area))
        _check(contrast >= 1, "contrast must be at least 1", contrast)
        _check(0 <= covered <= 1, "covered must lie between 0 and 1", covered)
        self.operation = operation
        self.heat = heat
        self.area = area
        self.contrast = contrast
        self.fill = fill
        self.covered = covered
        self.masks = masks
        self.segmenter = segmenter
        self.per_case = OPERATIONS[operation]
        self._options = RegionOptions(heat, (smallest, largest), contrast)
        self._segmenter = None if segmenter is None else create_segmenter(segmenter, type(self).__name__)
        self._subjects: SubjectMasks | None = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and digests of the masks and of the segmenter's files."""
        identity = key_by_segmenter(super().identity(), self._segmenter)
        folder = self._mask_folder()
        return {**identity, "masks": folder.digest() if folder else None}

    def check(self) -> None:
        """Raises ConfigError if the segmenter's file is missing, MissingExtraError if its package is."""
        if self._segmenter is not None:
            self._segmenter.check()

    def prepare(self, context: Context) -> None:
        """Opens the segmenter."""
        if self._segmenter is not None:
            self._segmenter.prepare(context)
        self._mask_folder()  # reports a missing folder early

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order: its source without the region, or its base with it.

        Without an explanation the region is drawn at random off the subject. A Failure if there is no source
        ("no-source"), no clear subject ("no-subject"), no usable mask ("bad-mask"), no hot region off the subject
        ("flat-map", "map-on-subject"), or if the region would cover the subject of the base ("covers-subject").
        """
        return [self._make(request) for request in requests]

    def _make(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "saliency-edit edits images, and this arm does not use them")
        source = request.source.convert("RGB")
        subject = self._subject(request.case_id, source)
        if isinstance(subject, Failure):
            return subject
        region = self._find_region(request, subject)
        if isinstance(region, Failure):
            return region
        if request.base is None:
            image, operation = _erase(source, subject, region, self.fill), "erase"
        else:
            base = request.base.convert("RGB")
            pasted = self._transplant(source, subject, region, base, request.base_id)
            if isinstance(pasted, Failure):
                return pasted
            image, operation = pasted, "transplant"
        return SyntheticImage(image, request.seed, "", details=_details(request, region, operation))

    def _find_region(self, request: SynthesisRequest, subject: Floats) -> Region | Failure:
        if request.explanation is None:
            region: Region | Failure = draw_region(subject, self._options, request.seed)
        else:
            region = find_region(request.explanation, subject, self._options)
        if isinstance(region, Failure):
            return region
        left, top, right, bottom = region.box(subject.shape[::-1])
        off = float((subject[top:bottom, left:right] < SUBJECT).mean())
        if off < LEAST:
            return Failure("map-on-subject", f"only {off:.0%} of the hot region lies off the subject")
        return region

    def _transplant(
        self, source: Image.Image, subject: Floats, region: Region, base: Image.Image, base_id: str
    ) -> Image.Image | Failure:
        below = self._subject(base_id, base)
        if isinstance(below, Failure):
            return Failure(below.kind, f"the image that the region would be put on: {below.message}")
        alpha = _paste_alpha(subject, region, base.size)
        share = float((alpha * below).sum() / max(float(below.sum()), 1e-6))
        if share > self.covered:
            return Failure("covers-subject", f"the region would cover {share:.0%} of the other image's subject")
        left, top, right, bottom = region.box(base.size)
        patch = source.crop(region.box(source.size)).resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        image = base.copy()
        image.paste(patch, (left, top), Image.fromarray((alpha[top:bottom, left:right] * 255).astype(np.uint8)))
        return image

    def _subject(self, image_id: str, image: Image.Image) -> Floats | Failure:
        if self._subjects is None:
            self._subjects = SubjectMasks(self._segmenter, self._mask_folder())
        return self._subjects.find(image_id, image)

    def _mask_folder(self) -> MaskFolder | None:
        return MaskFolder(self.masks, type(self).__name__) if self.masks else None


def _erase(source: Image.Image, subject: Floats, region: Region, fill: str) -> Image.Image:
    """The source with the region filled; pixels of the subject stay as they are."""
    from scipy.ndimage import gaussian_filter

    left, top, right, bottom = region.box(source.size)
    margin = max(right - left, bottom - top)  # what is farther away does not matter
    part = np.s_[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    hole = np.zeros(subject.shape, bool)
    hole[top:bottom, left:right] = subject[top:bottom, left:right] < SUBJECT
    pixels = np.array(source)
    if fill == "blur":
        radius = BLUR * min(right - left, bottom - top)
        blurred = gaussian_filter(pixels.astype(np.float32), (radius, radius, 0))
        soft = gaussian_filter(hole.astype(np.float32), 1.0)[..., None]
        pixels = np.round(soft * blurred + (1 - soft) * pixels).astype(np.uint8)
    else:
        pixels[part] = _fill_from_backdrop(pixels[part], hole[part], subject[part])
    return Image.fromarray(pixels)


def _fill_from_backdrop(pixels: NDArray[np.uint8], hole: NDArray[np.bool_], subject: Floats) -> NDArray[np.uint8]:
    """The pixels, h w 3, with the hole filled from its surroundings but the subject, whose colours would smear into it.

    Where hardly any backdrop is left, all surroundings count.
    """
    unknown = hole | (subject > RIM)
    if unknown.mean() > MOST_UNKNOWN:
        unknown = hole
    filled = lab_to_rgb(fill_hole(rgb_to_lab(pixels), unknown))
    return np.where(hole[..., None], filled, pixels)


def _paste_alpha(subject: Floats, region: Region, size: tuple[int, int]) -> Floats:
    """Opacity of a pasted region, h w of the other image: soft at its edges, and without the subject it came with."""
    from scipy.ndimage import distance_transform_edt

    left, top, right, bottom = region.box(size)
    fitted = np.asarray(Image.fromarray(subject).resize(size, Image.Resampling.BILINEAR))
    window = np.zeros(fitted.shape, bool)
    window[top:bottom, left:right] = fitted[top:bottom, left:right] < SUBJECT
    # At the border of the image there is nothing to fade into.
    inside = distance_transform_edt(np.pad(window, 1, mode="edge"))[1:-1, 1:-1]
    alpha: Floats = np.clip(inside / max(1.0, FEATHER * min(right - left, bottom - top)), 0, 1).astype(np.float32)
    return alpha


def _details(request: SynthesisRequest, region: Region, operation: str) -> dict[str, JSON]:
    sides = (region.left, region.top, region.right, region.bottom)
    found: dict[str, JSON] = {"operation": operation, "region": [round(side, 4) for side in sides]}
    if region.heat is not None and region.contrast is not None:
        found |= {"heat": round(region.heat, 4), "contrast": round(region.contrast, 3)}
    if request.base is not None:
        found |= {"base": request.base_id, "source_label": request.source_label}
    return found


def _check(holds: bool, law: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"SaliencyEditSynthesizer: {law}, got {value}")


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    _check(value in known, f"{name} must be one of {', '.join(known)}", repr(value))
