"""One image compared with the training images of its class and of the predicted one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...statistics.holm import holm_adjust
from .._image_stats import name_of
from ._measurements import Measures

Floats = NDArray[np.float32]

LEAST = 8  # fewer reference values than this say nothing


@dataclass(frozen=True)
class Rarity:
    """How one value lies among those of a class.

    Attributes:
        distance: to the k-th nearest reference value, in the attribute's units.
        usual: the median of that distance among the reference values themselves.
        score: robust standard score of the distance's logarithm; above 0 is rarer than usual.
        p: probability of so high a score for a value of the class, before correction.
    """

    distance: float
    usual: float
    score: float
    p: float


class Reference:
    """The values one class shows of one attribute.

    The nonconformity of a value is its distance to the k-th nearest reference value, so that a few odd images among
    the reference hide nothing. Plain conformal p-values cannot fall below the share of such images; the logarithm of
    the distance is therefore scored by its median and upper spread, which a few odd ones cannot move.

    Args:
        values: n d, at least `LEAST` of them.
        share: k as a share of n: small for values with many modes, such as coats; a half for one broad mode.
        resolution: the distance below which two values count as the same.
    """

    def __init__(self, values: Floats, share: float, resolution: float) -> None:
        self.values = values
        self.resolution = resolution
        self.neighbours = min(max(2, int(np.ceil(share * len(values)))), len(values) - 1)
        distances = np.sort(np.linalg.norm(values[:, None] - values[None], axis=-1), axis=1)
        logs = np.log(distances[:, self.neighbours] + resolution)  # column 0 is the value itself
        self.middle = float(np.median(logs))
        deviation = 1.4826 * float(np.median(np.abs(logs - self.middle)))
        # Distances are skewed: the 84th percentile is one deviation up. At least a tenth (a factor of 1.1), for
        # among values that are all alike any other one would be infinitely rare.
        self.spread = max(float(np.quantile(logs, 0.84)) - self.middle, deviation, 0.1)

    def rarity(self, value: Floats) -> Rarity:
        """How rare `value`, d, is among the reference values."""
        from scipy.stats import t

        distances: NDArray[Any] = np.linalg.norm(self.values - value, axis=-1)
        distance = float(np.partition(distances, self.neighbours - 1)[self.neighbours - 1])
        score = float((np.log(distance + self.resolution) - self.middle) / self.spread)
        return Rarity(distance, float(np.exp(self.middle)), score, float(t.sf(score, df=len(self.values) - 1)))


# Neighbours as a share of the class, and the distance below which values are the same. Coats and backdrops come in
# kinds, so a few neighbours must do; the others spread about one middle.
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
    """The training images of one class, as measured.

    Args:
        measures: one entry an image; fewer than `LEAST` say nothing.
    """

    def __init__(self, measures: Sequence[Measures]) -> None:
        self.count = len(measures)
        self.enough = self.count >= LEAST
        vectors = [one.vectors() for one in measures]
        self.values = {name: np.stack([one[name] for one in vectors]) for name in SCALES} if self.enough else {}
        self.references = {name: Reference(values, *SCALES[name]) for name, values in self.values.items()}

    def middle(self, attribute: str) -> Floats:
        """The median of an attribute over the class, d."""
        median: Floats = np.median(self.values[attribute], axis=0)
        return median

    def common_colours(self, attribute: str) -> list[str]:
        """Everyday names of the class's commonest colours, at most three, commonest first."""
        names = Counter(name_of(colour) for colour in self.values[attribute])
        return [name for name, count in names.most_common(3) if count >= 0.1 * self.count]


@dataclass(frozen=True)
class Finding:
    """An attribute in which an image is unusual for its class.

    Attributes:
        attribute: its name, a key of `SCALES`.
        p: corrected for the number of attributes looked at.
        rarity: how rare the image is among the training images of its class.
        elsewhere: the same among those of the predicted class; None without such, or when the prediction is right.
    """

    attribute: str
    p: float
    rarity: Rarity
    elsewhere: Rarity | None

    @property
    def misleading(self) -> bool:
        """Whether what is unusual for the class is usual for the predicted one, and much nearer to it."""
        other = self.elsewhere
        return other is not None and other.score < 1.3 and other.score < self.rarity.score - 1

    @property
    def strength(self) -> float:
        """How well it explains the mistake: rare in the class, and not in the predicted one."""
        return self.rarity.score - (max(self.elsewhere.score, 0.0) if self.elsewhere else 0.0)


@dataclass(frozen=True)
class Comparison:
    """All that came of comparing one image.

    Attributes:
        findings: what is unusual.
        lowest: the attribute with the lowest corrected p, and that p.
        highest_elsewhere: the highest score among the predicted class, -inf without one.
    """

    findings: tuple[Finding, ...]
    lowest: tuple[str, float]
    highest_elsewhere: float


def compare(measures: Measures, own: ClassReference, predicted: ClassReference | None, level: float) -> Comparison:
    """Looks at every attribute of one image; what is unusual at `level`, corrected, is a finding.

    When the light is unusual, colours are judged as they would look in the class's usual light (a dim photo of a white
    cat is not a photo of a grey one), and count only where they then look like the predicted class: the light that
    was taken out is known too roughly for more.
    """
    seen = measures
    rarities, corrected = _rarities(seen, own)
    dazzled = corrected["light"] <= level
    if dazzled:
        seen = measures.relit(own.middle("light"))
        relit, _ = _rarities(seen, own)
        rarities, corrected = _corrected(rarities | {name: relit[name] for name in COLOURS})
    elsewhere = _rarities(seen, predicted)[0] if predicted and predicted.enough else {}
    findings = [
        Finding(name, corrected[name], rarity, elsewhere.get(name))
        for name, rarity in rarities.items()
        if corrected[name] <= level
    ]
    least = min(corrected, key=corrected.__getitem__)
    return Comparison(
        findings=tuple(one for one in findings if one.misleading or not (dazzled and one.attribute in COLOURS)),
        lowest=(least, corrected[least]),
        highest_elsewhere=max((rarity.score for rarity in elsewhere.values()), default=-np.inf),
    )


def _rarities(measures: Measures, reference: ClassReference) -> tuple[dict[str, Rarity], dict[str, float]]:
    vectors = measures.vectors()
    return _corrected({name: one.rarity(vectors[name]) for name, one in reference.references.items()})


def _corrected(rarities: dict[str, Rarity]) -> tuple[dict[str, Rarity], dict[str, float]]:
    """The rarities, and their p-values adjusted by Holm's method, the smallest first."""
    names = sorted(rarities, key=lambda name: rarities[name].p)
    contrasts = holm_adjust([rarities[name].p for name in names])
    return rarities, {name: contrast.p for name, contrast in zip(names, contrasts, strict=True)}
