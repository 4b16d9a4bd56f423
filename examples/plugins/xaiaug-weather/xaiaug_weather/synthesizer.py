"""A synthesizer that renders a photograph in other weather."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from xaiaug import Failure, SynthesisRequest, Synthesizer, SyntheticImage
from xaiaug.errors import ConfigError

from . import effects

Floats = NDArray[np.float32]
STEPS = 6  # of the bisection for a brightness


class WeatherSynthesizer(Synthesizer):
    """The failed photograph in fog, dusk, glare or rain, for labels that do not depend on the weather.

    After the weather, the brightness in the guidance is applied; the rest of the guidance is not read.

    Args:
        kinds: the weather to choose from: some of "fog", "dusk", "glare" and "rain".
        strength: its maximum, above 0 and up to 1; each image has between half of it and all of it.
    """

    version = "1"
    uses = frozenset({"image", "guidance"})

    def __init__(self, kinds: Sequence[str] = tuple(effects.EFFECTS), strength: float = 0.8) -> None:
        self.kinds = kinds
        self.strength = strength

    def prepare(self, context) -> None:
        """Checks the parameters.

        Raises:
            ConfigError: one is unknown or out of range.
        """
        unknown = set(self.kinds) - set(effects.EFFECTS)
        if unknown or not self.kinds:
            raise ConfigError(f"weather: kinds must be some of {', '.join(effects.EFFECTS)}, got {list(self.kinds)}")
        if not 0 < self.strength <= 1:
            raise ConfigError(f"weather: strength must be above 0 and up to 1, got {self.strength}")

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order; a Failure "no-source" if the request has no failed image."""
        return [self._synthesize(request) for request in requests]

    def _synthesize(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "weather starts from the failed image, which this arm does not provide")
        rng = np.random.default_rng(request.seed)
        kind = str(rng.choice(sorted(self.kinds)))
        strength = float(self.strength * rng.uniform(0.5, 1))
        mirrored = bool(rng.random() < 0.5)
        source = request.source.convert("RGB")
        photo = np.asarray(ImageOps.mirror(source) if mirrored else source, np.float32) / 255
        changed = _adjust_brightness(effects.EFFECTS[kind](photo, strength, rng), request.guidance)
        image = Image.fromarray((np.clip(changed, 0, 1) * 255).round().astype(np.uint8))
        details = {"weather": kind, "strength": round(strength, 3), "mirrored": mirrored}
        return SyntheticImage(image, request.seed, "", details=details)


def _adjust_brightness(photo: Floats, guidance: Mapping[str, str | float]) -> Floats:
    """The photo with the requested mean brightness, by a gamma that leaves black and white unchanged."""
    if "brightness" not in guidance:
        return photo
    target, photo = float(guidance["brightness"]), np.clip(photo, 0, 1)
    low, high = -2.0, 2.0  # of the gamma's logarithm
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if (photo ** np.exp(middle)).mean() > target else (low, middle)
    adjusted: Floats = photo ** np.float32(np.exp((low + high) / 2))
    return adjusted
