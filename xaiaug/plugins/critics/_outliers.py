"""Finds what is unusual about an image, compared with the images of its class and of the predicted class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...imaging.image_stats import colour_name
from ...statistics import holm_adjust
from ._measurements import Measurements

Floats = NDArray[np.float32]

LEAST = 8  # reference values; fewer allow no comparison


@dataclass(frozen=True)
class Rarity:
    """How far a value is from those of a class.

    Attributes:
        distance: to the k-th nearest reference value, in the attribute's units.
        usual: typical distance (median) among the reference values themselves.
        score: robust z-score of the logarithm of the distance; above 0 is rarer than usual.
        p: probability of such a high score for a value of the class, not corrected.
    """

    distance: float
    usual: float
    score: float
    p: float


class Reference:
    """The values of one attribute in one class.

    The nonconformity of a value is its distance to the k-th nearest reference value, so that a few outliers in the
    reference hide nothing. Plain conformal p-values cannot fall below the share of outliers; the logarithm of the
    distance is therefore scored by its median and upper spread, which are robust to a few outliers.

    Args:
        values: n d, at least `LEAST` of them.
        share: k as a share of n: small for values with many modes, such as coat colours; a half for one broad mode.
        resolution: values closer than this count as equal.
    """

    def __init__(self, values: Floats, share: float, resolution: float) -> None:
        self.values = values
        self.resolution = resolution
        self.neighbours = min(max(2, int(np.ceil(share * len(values)))), len(values) - 1)
        distances = np.sort(np.linalg.norm(values[:, None] - values[None], axis=-1), axis=1)
        logs = np.log(distances[:, self.neighbours] + resolution)  # column 0 is the value itself
        self.median = float(np.median(logs))
        deviation = 1.4826 * float(np.median(np.abs(logs - self.median)))
        # Distances are skewed: the 84th percentile is one deviation up. At least 0.1 (a factor of 1.1), since
        # any other value would be infinitely rare among equal ones.
        self.spread = max(float(np.quantile(logs, 0.84)) - self.median, deviation, 0.1)

    def rarity(self, value: Floats) -> Rarity:
        """The rarity of `value`, d, among the reference values."""
        from scipy.special import stdtr  # scipy.stats would take 50 MB more

        distances: NDArray[Any] = np.linalg.norm(self.values - value, axis=-1)
        distance = float(np.partition(distances, self.neighbours - 1)[self.neighbours - 1])
        score = float((np.log(distance + self.resolution) - self.median) / self.spread)
        return Rarity(distance, float(np.exp(self.median)), score, float(stdtr(len(self.values) - 1, -score)))


# Neighbours as a share of the class, and the resolution. The colours of coats and backdrops have many modes, so k is
# small for them; the other attributes have one.
SCALES = {
    "subject colour": (0.03, 2.0),
    "backdrop colour": (0.03, 2.0),
    "light": (0.25, 1.0),
    "sharpness": (0.1, 0.02),
    "size": (0.5, 0.01),
    "place": (0.5, 0.01),
}
COLOURS = ("subject colour", "backdrop colour")


class ClassReference:
    """The measurements of the reference images of one class.

    Args:
        measurements: one entry an image; fewer than `LEAST` allow no comparison.
    """

    def __init__(self, measurements: Sequence[Measurements]) -> None:
        self.count = len(measurements)
        self.enough = self.count >= LEAST
        vectors = [one.vectors() for one in measurements]
        self.values = {name: np.stack([vector[name] for vector in vectors]) for name in SCALES} if self.enough else {}
        self.attributes = {name: Reference(values, *SCALES[name]) for name, values in self.values.items()}

    def median(self, attribute: str) -> Floats:
        """The median of an attribute over the class, d."""
        median: Floats = np.median(self.values[attribute], axis=0)
        return median

    def common_colours(self, attribute: str) -> list[str]:
        """Everyday names of the class's most common colours, at most three, most common first."""
        names = Counter(colour_name(colour) for colour in self.values[attribute])
        return [name for name, count in names.most_common(3) if count >= 0.1 * self.count]


@dataclass(frozen=True)
class Finding:
    """An attribute of an image that is unusual for its class.

    Attributes:
        attribute: its name, a key of `SCALES`.
        p: corrected for the number of attributes.
        rarity: among the images of its class.
        elsewhere: rarity among the images of the predicted class; None without such, or if the prediction is right.
    """

    attribute: str
    p: float
    rarity: Rarity
    elsewhere: Rarity | None

    @property
    def misleading(self) -> bool:
        """Whether the value is typical of the predicted class, and much closer to it than to its own class."""
        other = self.elsewhere
        return other is not None and other.score < 1.3 and other.score < self.rarity.score - 1

    @property
    def strength(self) -> float:
        """How well it explains the mistake: rare in its class, and not in the predicted one."""
        return self.rarity.score - (max(self.elsewhere.score, 0.0) if self.elsewhere else 0.0)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing one image.

    Attributes:
        findings: the unusual attributes.
        lowest: the attribute with the lowest corrected p, and that p.
        highest_elsewhere: the highest score among the predicted class, -inf without one.
    """

    findings: tuple[Finding, ...]
    lowest: tuple[str, float]
    highest_elsewhere: float


def compare(
    measurements: Measurements, label: ClassReference, predicted: ClassReference | None, level: float
) -> Comparison:
    """Compares every attribute of one image; a finding is one with a corrected p-value of at most `level`.

    In unusual light, colours are compared as they would look in the class's typical light (a dim photo of a white cat
    is not a photo of a grey one), and count only if they then look like the predicted class: the correction for light
    is too rough for more.
    """
    rarities = _rarities(measurements, label)
    corrected = _correct(rarities)
    unusual_light = corrected["light"] <= level
    if unusual_light:
        measurements = measurements.with_light(label.median("light"))
        relit = _rarities(measurements, label)
        rarities |= {name: relit[name] for name in COLOURS}
        corrected = _correct(rarities)
    elsewhere = _rarities(measurements, predicted) if predicted and predicted.enough else {}
    findings = [
        Finding(name, corrected[name], rarity, elsewhere.get(name))
        for name, rarity in rarities.items()
        if corrected[name] <= level
    ]
    least = min(corrected, key=corrected.__getitem__)
    return Comparison(
        findings=tuple(one for one in findings if one.misleading or not (unusual_light and one.attribute in COLOURS)),
        lowest=(least, corrected[least]),
        highest_elsewhere=max((rarity.score for rarity in elsewhere.values()), default=-np.inf),
    )


def _rarities(measurements: Measurements, reference: ClassReference) -> dict[str, Rarity]:
    vectors = measurements.vectors()
    return {name: attribute.rarity(vectors[name]) for name, attribute in reference.attributes.items()}


def _correct(rarities: Mapping[str, Rarity]) -> dict[str, float]:
    """The p-values of all attributes, corrected for their number; the smallest first, also among equal ones."""
    names = sorted(rarities, key=lambda name: rarities[name].p)
    contrasts = holm_adjust([rarities[name].p for name in names])
    return {name: contrast.p for name, contrast in zip(names, contrasts, strict=True)}
