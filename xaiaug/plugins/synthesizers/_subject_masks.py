"""The subject masks of many images, by a user's folder, else by a segmenter; those found last are kept in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...records import Failure
from .._segmentation import Segmenter, judge_mask
from .._superpixels import subject_mask
from ._mask_folder import BadMaskError, MaskFolder

Floats = NDArray[np.float32]

MOST_BYTES = 64 << 20  # of masks in memory, a byte a pixel
# Our own segmentation may be less certain here than where a subject is cut out: it is to be left alone, not shown.
CERTAIN = 0.3


class SubjectMasks:
    """Finds subject masks; an image that is asked for again, by any name, is not segmented again.

    Args:
        segmenter: of images without a mask in the folder; None: our own segmentation.
        folder: of the user; None: there is none.
    """

    def __init__(self, segmenter: Segmenter | None, folder: MaskFolder | None) -> None:
        self._segmenter, self._folder = segmenter, folder
        self._known: OrderedDict[str, NDArray[np.uint8] | Failure] = OrderedDict()
        self._bytes = 0

    def find(self, image_id: str, image: Image.Image) -> Floats | Failure:
        """How much each pixel belongs to the subject: h w of the image's size, 0 to 1.

        A Failure if the user's mask cannot be used ("bad-mask"), or the segmenter finds no clear subject.

        Args:
            image_id: names the mask in the folder.
            image: RGB.
        """
        try:
            mask = self._folder.mask(image_id, image.size) if self._folder else None
        except BadMaskError as error:
            return Failure("bad-mask", str(error))
        return self._segment(image) if mask is None else mask

    def _segment(self, image: Image.Image) -> Floats | Failure:
        key = hashlib.blake2b(f"{image.size} ".encode() + image.tobytes(), digest_size=16).hexdigest()
        if key not in self._known:
            mask = self._segmenter.mask(image) if self._segmenter else judge_mask(subject_mask(image), CERTAIN)
            self._keep(key, mask if isinstance(mask, Failure) else np.round(mask * 255).astype(np.uint8))
        found = self._known[key]
        return found if isinstance(found, Failure) else found.astype(np.float32) / np.float32(255)

    def _keep(self, key: str, found: NDArray[np.uint8] | Failure) -> None:
        self._known[key] = found
        self._bytes += _size(found)
        while self._bytes > MOST_BYTES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(found: NDArray[np.uint8] | Failure) -> int:
    return 0 if isinstance(found, Failure) else found.nbytes
