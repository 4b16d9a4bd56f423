"""The synthesizer saliency-mask: the image without the pixels that its heatmap marks most, as MaskTune trains on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Synthesizer
from ...records import JSON, Explanation, Failure, SynthesisRequest, SyntheticImage


class SaliencyMaskSynthesizer(Synthesizer):
    """Blackens the pixels of the greatest heat, on the subject or off it (MaskTune, arXiv 2210.00055).

    Args:
        deviations: a pixel is blackened where its heat exceeds the mean of all positive heat by so many standard
            deviations; ≥ 0.

    Raises:
        ConfigError: a negative number.
    """

    uses = frozenset({"image", "map"})
    needs = frozenset({"image"})
    per_case = ("own",)

    def __init__(self, deviations: float = 2.0) -> None:
        if deviations < 0:
            raise ConfigError(f"SaliencyMaskSynthesizer: deviations must be at least 0, got {deviations}")
        self.deviations = deviations

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order.

        A Failure if there is no source ("no-source"), no heatmap ("no-map"), or nothing above the threshold
        ("flat-map").
        """
        return [self._make(request) for request in requests]

    def _make(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "saliency-mask masks images, and this arm does not use them")
        if request.explanation is None:
            return Failure("no-map", "saliency-mask needs a heatmap, and this arm shows none")
        hot = _find_hot(request.explanation, self.deviations)
        if not hot.any():
            return Failure("flat-map", f"no pixel exceeds the mean heat by {self.deviations:g} standard deviations")
        pixels = np.array(request.source.convert("RGB"))
        pixels[hot] = 0
        details: dict[str, JSON] = {"masked": round(float(hot.mean()), 4)}
        return SyntheticImage(Image.fromarray(pixels), request.seed, "", details=details)


def _find_hot(explanation: Explanation, deviations: float) -> NDArray[np.bool_]:
    """Where the heat is greatest: h w; nowhere in a constant map."""
    heat = np.nan_to_num(explanation.heatmap, nan=-np.inf)
    positive = heat[np.isfinite(heat) & (heat > 0)]
    if explanation.degenerate or positive.size == 0:
        return np.zeros(heat.shape, bool)
    hot: NDArray[np.bool_] = heat > positive.mean() + deviations * positive.std()
    return hot
