"""The synthesizer for real photographs without a generator: the failed image's subject, on another backdrop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...errors import ConfigError
from ...interfaces import Context, Synthesizer
from ...records import JSON, Failure, Sample, SynthesisRequest, SyntheticImage
from .._image_stats import css_to_lab, lab_to_rgb
from ._backdrop import Backdrop, choose_backdrop, find_backdrops, remove_subject
from ._compositing import Placement, add_shadow, harmonise, limit_sharpness, place_subject, recolour, relight
from ._cutout import Cutout, cut_by_mask, segment
from ._mask_folder import BadMaskError, MaskFolder

Floats = NDArray[np.float32]

INVARIANCES = ("colour", "light", "side", "size", "place")


class RemixSynthesizer(Synthesizer):
    """Cuts the subject out of the failed image and pastes it, changed by the guidance, on another backdrop.

    The subject is where the user's mask says, else where the image itself lets it be seen; a heatmap is weak evidence.

    Args:
        size: the longer side of the new images in pixels; None: that of the failed image.
        invariances: what the label does not depend on, and may therefore be changed: of "colour", "light", "side"
            (left or right), "size" and "place". Leave out "colour" where colour is the label, "side" where side is.
        backdrops: most training images that backdrops are drawn from.
        seed: decides which ones.
        masks: a folder of masks, `ID.png` for the image with that id, white or not zero where its subject is and grey
            where it is half so; None: none. `Splits.link_masks` makes one. Images without a mask are looked at.

    Raises:
        ConfigError: a parameter out of its range, or an unknown invariance; when first used: no folder of masks.
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
        self._train: Sequence[Sample] = ()
        self._plates: list[Backdrop] | None = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and the content of the masks."""
        return {**super().identity(), "masks": MaskFolder(self.masks).digest() if self.masks else None}

    def prepare(self, context: Context) -> None:
        """Takes the training images; backdrops are looked for when the first request comes."""
        train = context.train or ()
        if train is not self._train:  # a loop prepares again for each of its sources, with the same images
            self._train, self._plates = train, None
        if self.masks:
            MaskFolder(self.masks)  # a folder that is not there is told now

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure where there is no source image ("no-source") or no clear subject ("no-subject"), or where the mask
        cannot be used ("bad-mask").
        """
        cutouts: dict[str, Cutout | Failure] = {}  # the requests of one case share its subject
        return [self._make(request, cutouts) for request in requests]

    def _make(self, request: SynthesisRequest, cutouts: dict[str, Cutout | Failure]) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "remix starts from the failed image, and this arm may not see it")
        photo = self._sized(request.source)
        if request.case_id not in cutouts:
            cutouts[request.case_id] = self._cut_out(request, photo)
        cutout = cutouts[request.case_id]
        return cutout if isinstance(cutout, Failure) else self._remixed(request, photo, cutout)

    def _cut_out(self, request: SynthesisRequest, photo: Image.Image) -> Cutout | Failure:
        try:
            mask = self._mask(request.case_id, photo.size)
        except BadMaskError as error:
            return Failure("bad-mask", str(error))
        if mask is not None:
            return cut_by_mask(photo, mask)
        heatmap = request.explanation.heatmap if request.explanation else None
        return segment(photo, heatmap) or Failure(
            "no-subject", "no subject stands out clearly from this image's backdrop"
        )

    def _remixed(self, request: SynthesisRequest, photo: Image.Image, cutout: Cutout) -> SyntheticImage:
        rng = np.random.default_rng(request.seed)
        wishes = _Guidance(request.guidance)
        backdrop, origin = self._backdrop(request.case_id, photo, wishes.colour("backdrop_colour"), rng)
        at = place_subject(
            cutout, photo.size, wishes.number("size"), wishes.word("place"), rng, frozenset(self.invariances)
        )
        colours = cutout.colour
        if "colour" in self.invariances:
            colours = recolour(colours, cutout.main, wishes.colour("subject_colour"), rng)
        image = _paste(harmonise(colours, cutout.backdrop, backdrop.mean(axis=(0, 1))), cutout, backdrop, at)
        if "light" in self.invariances:
            image = relight(image, wishes.number("brightness"), rng)
        if (wanted := wishes.number("sharpness")) is not None:
            image = limit_sharpness(image, wanted)
        flipped = "side" in self.invariances and not wishes.sided and bool(rng.random() < 0.5)
        image = ImageOps.mirror(image) if flipped else image
        details: dict[str, JSON] = {"backdrop": origin, "scale": round(at.scale, 3), "left": at.left, "top": at.top}
        details |= {"flipped": flipped, "subject": cutout.found_by, "cut": sorted(cutout.cut)}
        details["guidance"] = dict(request.guidance)
        return SyntheticImage(image, request.seed, "", details=details)

    def _sized(self, photo: Image.Image) -> Image.Image:
        if self.size is None:
            return photo.convert("RGB")
        return ImageOps.contain(photo.convert("RGB"), (self.size, self.size), Image.Resampling.LANCZOS)

    def _backdrop(
        self, case_id: str, photo: Image.Image, colour: Floats | None, rng: np.random.Generator
    ) -> tuple[Floats, str | None]:
        """An empty backdrop of the photo's size, h w 3 Lab, and the id of its training image; None: the photo's own."""
        if self._plates is None:
            self._plates = find_backdrops(self._train, self.backdrops, self.seed, self._mask)
        if not self._plates:
            return remove_subject(photo, photo.size, self._mask(case_id, photo.size)), None
        sample = choose_backdrop(self._plates, colour, rng).sample
        scene = sample.open()
        return remove_subject(scene, photo.size, self._mask(sample.id, scene.size)), sample.id

    def _mask(self, image_id: str, size: tuple[int, int]) -> Floats | None:
        """The user's mask of an image at `size`; None where there is none, BadMaskError where it is unusable."""
        return MaskFolder(self.masks).mask(image_id, size) if self.masks else None


class _Guidance:
    """The guidance of one request, read by kind."""

    def __init__(self, guidance: Mapping[str, str | float]) -> None:
        self._guidance = guidance
        place = str(guidance.get("place", ""))
        self.sided = "left" in place or "right" in place

    def colour(self, name: str) -> Floats | None:
        """A wished colour, Lab."""
        return css_to_lab(str(self._guidance[name])) if name in self._guidance else None

    def number(self, name: str) -> float | None:
        """A wished number."""
        return float(self._guidance[name]) if name in self._guidance else None

    def word(self, name: str) -> str | None:
        """A wished word."""
        return str(self._guidance[name]) if name in self._guidance else None


def _paste(colours: Floats, cutout: Cutout, backdrop: Floats, at: Placement) -> Image.Image:
    """The subject on the backdrop, with a shadow where it stands on something."""
    height, width = backdrop.shape[:2]
    size = (max(1, round(cutout.alpha.shape[1] * at.scale)), max(1, round(cutout.alpha.shape[0] * at.scale)))
    subject = Image.fromarray(lab_to_rgb(colours)).resize(size, Image.Resampling.LANCZOS)
    stencil = Image.new("L", (width, height))
    alpha = Image.fromarray((cutout.alpha * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    stencil.paste(alpha, (at.left, at.top))
    if "bottom" not in cutout.cut:
        backdrop = add_shadow(backdrop, np.asarray(stencil, np.float32) / np.float32(255))
    image = Image.fromarray(lab_to_rgb(backdrop))
    image.paste(subject, (at.left, at.top), alpha)
    return image
