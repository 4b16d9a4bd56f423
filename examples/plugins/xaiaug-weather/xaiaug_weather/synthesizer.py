"""The synthesizer that puts a photograph into other weather."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from xaiaug import Failure, SynthesisRequest, Synthesizer, SyntheticImage
from xaiaug.errors import ConfigError

from . import effects

Floats = NDArray[np.float32]
STEPS = 6  # halvings of the search for a brightness: finer than a grey level


class WeatherSynthesizer(Synthesizer):
    """The failed photograph in fog, dusk, glare or rain; a label that holds in any weather holds here, too.

    A wish for a brightness in the guidance is followed after the weather; its other wishes are not read.

    Args:
        kinds: the weather that is drawn from: of "fog", "dusk", "glare" and "rain".
        strength: most of it, above 0 to 1; each image draws half of it or more.
    """

    version = "1"
    uses = frozenset({"image", "guidance"})

    def __init__(self, kinds: Sequence[str] = tuple(effects.EFFECTS), strength: float = 0.8) -> None:
        self.kinds = kinds
        self.strength = strength

    def prepare(self, context) -> None:
        """Looks at the parameters.

        Raises:
            ConfigError: one is unknown or out of its range.
        """
        unknown = set(self.kinds) - set(effects.EFFECTS)
        if unknown or not self.kinds:
            raise ConfigError(f"weather: kinds must be some of {', '.join(effects.EFFECTS)}, got {list(self.kinds)}")
        if not 0 < self.strength <= 1:
            raise ConfigError(f"weather: strength must lie above 0 and up to 1, got {self.strength}")

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order; a Failure "no-source" where the failed image may not be seen."""
        return [self._one(request) for request in requests]

    def _one(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        if request.source is None:
            return Failure("no-source", "weather starts from the failed image, and this arm may not see it")
        chance = np.random.default_rng(request.seed)
        kind = str(chance.choice(sorted(self.kinds)))
        strength = float(self.strength * chance.uniform(0.5, 1))
        mirrored = bool(chance.random() < 0.5)
        source = request.source.convert("RGB")
        photo = np.asarray(ImageOps.mirror(source) if mirrored else source, np.float32) / 255
        changed = _lit(effects.EFFECTS[kind](photo, strength, chance), request.guidance)
        image = Image.fromarray((np.clip(changed, 0, 1) * 255).round().astype(np.uint8))
        details = {"weather": kind, "strength": round(strength, 3), "mirrored": mirrored}
        return SyntheticImage(image, request.seed, "", details=details)


def _lit(photo: Floats, guidance: Mapping[str, str | float]) -> Floats:
    """The photo with the wished mean lightness, by a gamma that keeps black and white where they are."""
    if "brightness" not in guidance:
        return photo
    wanted, photo = float(guidance["brightness"]), np.clip(photo, 0, 1)
    low, high = -2.0, 2.0  # of the gamma's logarithm
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if (photo ** np.exp(middle)).mean() > wanted else (low, middle)
    lit: Floats = photo ** np.float32(np.exp((low + high) / 2))
    return lit
