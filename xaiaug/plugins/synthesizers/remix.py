"""The synthesizer remix: the subject of the misclassified image on another backdrop, without a generative model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...errors import ConfigError
from ...imaging.image_stats import css_to_lab, lab_to_rgb
from ...interfaces import Context, Synthesizer
from ...records import JSON, Failure, Sample, SynthesisRequest, SyntheticImage
from .._segmentation import create_segmenter, key_by_segmenter
from ._backdrop import Backdrop, choose_backdrop, find_backdrops, remove_subject
from ._compositing import Placement, add_shadow, harmonise, limit_sharpness, place_subject, recolour, relight
from ._cutout import Cutout, cut_subject
from ._mask_folder import BadMaskError, MaskFolder, resize_mask

Floats = NDArray[np.float32]

INVARIANCES = ("colour", "light", "side", "size", "place")


class RemixSynthesizer(Synthesizer):
    """Cuts the subject out of the misclassified image and pastes it, changed by the guidance, on another backdrop.

    The subject comes from the user's mask, else from segmentation; heatmaps do not count.

    Args:
        size: longer side of the new images in pixels; None: that of the misclassified image.
        invariances: what the label does not depend on, and may therefore change: of "colour", "light", "side" (left or
            right), "size" and "place". Leave out "colour" if colour defines the label, "side" if the side does.
        backdrops: most training images to choose backdrops from.
        seed: of this choice.
        masks: a folder of masks, `ID.png` for the image with that id: white or nonzero on the subject, grey on its soft
            edge; None: none. `Splits.link_masks` creates one. Images without a mask are segmented.
        segmenter: a local ONNX file, a folder of a `transformers` checkpoint for semantic segmentation, or a table with
            one of them and its settings, as docs/remix.md describes; None: our own segmentation.

    Raises:
        ConfigError: a parameter out of its range, or an unknown invariance; on first use: no folder of masks.
    """

    version = "2"
    uses = frozenset({"guidance", "image"})

    def __init__(
        self,
        size: int | None = None,
        invariances: Sequence[str] = INVARIANCES,
        backdrops: int = 120,
        seed: int = 0,
        masks: str | None = None,
        segmenter: str | dict[str, JSON] | None = None,
    ) -> None:
        if size is not None and size < 16:
            raise ConfigError(f"RemixSynthesizer: size must be at least 16 pixels, got {size}")
        if unknown := sorted(set(invariances) - set(INVARIANCES)):
            raise ConfigError(
                f"RemixSynthesizer: invariances knows {', '.join(INVARIANCES)}, got {', '.join(map(str, unknown))}"
            )
        if backdrops < 1:
            raise ConfigError(f"RemixSynthesizer: backdrops must be at least 1, got {backdrops}")
        self.size = size
        self.invariances = invariances
        self.backdrops = backdrops
        self.seed = seed
        self.masks = masks
        self.segmenter = segmenter
        self._segmenter = None if segmenter is None else create_segmenter(segmenter, type(self).__name__)
        self._train: Sequence[Sample] = ()
        self._backdrops: list[Backdrop] | None = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and digests of the masks and of the segmenter's files."""
        identity = key_by_segmenter(super().identity(), self._segmenter)
        return {**identity, "masks": MaskFolder(self.masks).digest() if self.masks else None}

    def check(self) -> None:
        """Raises ConfigError if the segmenter's file is missing, MissingExtraError if its package is."""
        if self._segmenter is not None:
            self._segmenter.check()

    def prepare(self, context: Context) -> None:
        """Stores the training images, and opens the segmenter; backdrops are found on the first request."""
        train = context.train or ()
        if train is not self._train:  # a loop calls this again for each of its sources, with the same images
            self._train, self._backdrops = train, None
        if self.masks:
            MaskFolder(self.masks)  # reports a missing folder early
        if self._segmenter is not None:
            self._segmenter.prepare(context)

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure if there is no source image ("no-source"), no clear subject ("no-subject") or no usable mask
        ("bad-mask").
        """
        cutouts: dict[str, Cutout | Failure] = {}  # the requests of one case share its subject
        return [self._make(request, cutouts) for request in requests]

    def _make(self, request: SynthesisRequest, cutouts: dict[str, Cutout | Failure]) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "remix needs the misclassified image, and this arm does not use it")
        photo = self._resize(request.source)
        if request.case_id not in cutouts:
            cutouts[request.case_id] = cut_subject(request, photo, self._mask_folder(), self._segmenter)
        cutout = cutouts[request.case_id]
        return cutout if isinstance(cutout, Failure) else self._compose(request, photo, cutout)

    def _compose(self, request: SynthesisRequest, photo: Image.Image, cutout: Cutout) -> SyntheticImage:
        rng = np.random.default_rng(request.seed)
        guidance = _Guidance(request.guidance)
        backdrop, origin = self._backdrop(request, photo, guidance.colour("backdrop_colour"), rng)
        placement = place_subject(
            cutout, photo.size, guidance.number("size"), guidance.word("place"), rng, frozenset(self.invariances)
        )
        colours = cutout.colour
        if "colour" in self.invariances:
            colours = recolour(colours, cutout.main, guidance.colour("subject_colour"), rng)
        image = _paste(harmonise(colours, cutout.backdrop, backdrop.mean(axis=(0, 1))), cutout, backdrop, placement)
        if "light" in self.invariances:
            image = relight(image, guidance.number("brightness"), rng)
        if (wanted := guidance.number("sharpness")) is not None:
            image = limit_sharpness(image, wanted)
        flipped = "side" in self.invariances and not guidance.sided and bool(rng.random() < 0.5)
        image = ImageOps.mirror(image) if flipped else image
        details: dict[str, JSON] = {
            "backdrop": origin,
            "scale": round(placement.scale, 3),
            "left": placement.left,
            "top": placement.top,
        }
        details |= {"flipped": flipped, "subject": cutout.found_by, "cut": sorted(cutout.cut)}
        details["guidance"] = dict(request.guidance)
        return SyntheticImage(image, request.seed, "", details=details)

    def _resize(self, photo: Image.Image) -> Image.Image:
        if self.size is None:
            return photo.convert("RGB")
        return ImageOps.contain(photo.convert("RGB"), (self.size, self.size), Image.Resampling.LANCZOS)

    def _backdrop(
        self, request: SynthesisRequest, photo: Image.Image, colour: Floats | None, rng: np.random.Generator
    ) -> tuple[Floats, str | None]:
        """A backdrop of the photo's size, h w 3 Lab, and the id of its training image; None: the photo's own."""
        if self._backdrops is None:
            self._backdrops = find_backdrops(self._train, self.backdrops, self.seed, self._mask)
        if not self._backdrops:
            own = Sample(id=request.case_id, label=0, opener=lambda: request.source or photo)
            return remove_subject(photo, photo.size, self._mask(own, photo.size)), None
        sample = choose_backdrop(self._backdrops, colour, rng).sample
        scene = sample.open()
        return remove_subject(scene, photo.size, self._mask(sample, scene.size)), sample.id

    def _mask(self, sample: Sample, size: tuple[int, int]) -> Floats | None:
        """The mask of an image at `size`, the user's or the segmenter's; None if there is neither.

        Raises:
            BadMaskError: it is unusable, or the segmenter finds no clear subject.
        """
        masks = self._mask_folder()
        mask = masks.mask(sample.id, size) if masks else None
        if mask is not None or self._segmenter is None:
            return mask
        found = self._segmenter.mask(sample.open())
        if isinstance(found, Failure):
            raise BadMaskError(found.message)
        return resize_mask(found, size)

    def _mask_folder(self) -> MaskFolder | None:
        return MaskFolder(self.masks) if self.masks else None


class _Guidance:
    """The guidance of one request, by type of value."""

    def __init__(self, guidance: Mapping[str, str | float]) -> None:
        self._guidance = guidance
        place = str(guidance.get("place", ""))
        self.sided = "left" in place or "right" in place

    def colour(self, name: str) -> Floats | None:
        """A requested colour, Lab."""
        return css_to_lab(str(self._guidance[name])) if name in self._guidance else None

    def number(self, name: str) -> float | None:
        """A requested number."""
        return float(self._guidance[name]) if name in self._guidance else None

    def word(self, name: str) -> str | None:
        """A requested word."""
        return str(self._guidance[name]) if name in self._guidance else None


def _paste(colours: Floats, cutout: Cutout, backdrop: Floats, placement: Placement) -> Image.Image:
    """The subject on the backdrop, with a shadow unless the photo crops it at the bottom."""
    height, width = backdrop.shape[:2]
    size = (
        max(1, round(cutout.alpha.shape[1] * placement.scale)),
        max(1, round(cutout.alpha.shape[0] * placement.scale)),
    )
    subject = Image.fromarray(lab_to_rgb(colours)).resize(size, Image.Resampling.LANCZOS)
    stencil = Image.new("L", (width, height))
    alpha = Image.fromarray((cutout.alpha * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    stencil.paste(alpha, (placement.left, placement.top))
    if "bottom" not in cutout.cut:
        backdrop = add_shadow(backdrop, np.asarray(stencil, np.float32) / np.float32(255))
    image = Image.fromarray(lab_to_rgb(backdrop))
    image.paste(subject, (placement.left, placement.top), alpha)
    return image
