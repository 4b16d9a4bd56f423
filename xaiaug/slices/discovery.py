"""Finds slices on one half of the images: components of mixtures, in which the classifier fails more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..statistics import fisher_test
from .error_mixture import ErrorMixture, choose_mixture
from .looks import RADIUS, Look, measure_presence
from .views import GuideImage, Population, Scale, View, list_views

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 8  # mistakes of a population on the half that slices are found on
SMALLEST = 5  # mistakes of a slice there
LEVEL = 0.01  # p-value on the half that it was found on; the other half decides
MARKED = 0.5  # difference between the shares of members and of others that have a mark
MOST_SLICES = 5  # of a population
SEVERAL = ("measurements", "features")  # kinds of views that are not one property


@dataclass(frozen=True, eq=False)
class Membership:
    """Which images belong to a found slice, and how typical they are.

    Attributes:
        population: that it was found in.
        view: that it was found in.
        scale: of the view's values.
        mixture: of the view's values.
        component: of the mixture.
    """

    population: Population
    view: View
    scale: Scale
    mixture: ErrorMixture
    component: int

    def score(self, images: Sequence[GuideImage]) -> Array:
        """n: the log-odds of belonging to it, whether the image is classified correctly or not."""
        if not images:
            return np.zeros(0)
        return _log_odds(self.mixture.log_posteriors(self.scale(self.view.read(images))), self.component)


def find_memberships(images: Sequence[GuideImage], kinds: Collection[str], seed: int) -> list[Membership]:
    """The slices of the images that they are found on, by population, the clearest first in each."""
    views = list_views(images, kinds)
    found: list[Membership] = []
    for population in _list_populations(images):
        candidates = [one for view in views for one in _list_candidates(population, view, seed)]
        found += _select(population, candidates)
    return found


def _list_populations(images: Sequence[GuideImage]) -> Iterator[Population]:
    """Each confused pair with enough mistakes, the commonest first; and all images where there are other pairs."""
    pairs = Counter((one.label, one.predicted) for one in images if one.wrong)
    enough = [pair for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0])) if count >= FEWEST]
    for label, predicted in enough:
        chosen = [one for one in images if one.label == label and one.predicted in (label, predicted)]
        yield Population(chosen, label, predicted)
    if len(enough) < len(pairs) and sum(pairs.values()) >= FEWEST:
        yield Population(images, None, None)


def _list_candidates(population: Population, view: View, seed: int) -> Iterator[tuple[Membership, Array]]:
    """The components of the mixture of one view, with the log-odds of the population's images."""
    values = view.read(population.images)
    scale = Scale(values)
    features = scale(values)
    if float(features.std(axis=0).max()) < 1e-6:
        return
    mixture = choose_mixture(features, population.wrong, seed)
    posteriors = mixture.log_posteriors(features)
    for component in range(mixture.size):
        odds = _log_odds(posteriors, component)
        if view.look is None or _is_marked(view.look, population.images, odds >= 0):
            yield Membership(population, view, scale, mixture, component), odds


def _is_marked(look: Look, images: Sequence[GuideImage], members: Bools) -> bool:
    """Whether most members have a mark that most others lack, or lack one that most others have."""
    if members.all() or not members.any():
        return False
    near = np.array([measure_presence(look, one.traits.windows)[0] <= RADIUS for one in images])
    return abs(float(near[members].mean()) - float(near[~members].mean())) >= MARKED


def _select(population: Population, candidates: Sequence[tuple[Membership, Array]]) -> list[Membership]:
    """The clearest candidate, then the clearest among the images that are left, and so on.

    Those found by one property come first: several properties together, or the embedding, easily join two causes in one
    slice, and have no name of their own.
    """
    left = np.ones(len(population.images), bool)
    chosen: list[Membership] = []
    for several in (False, True):
        group = [(one, odds >= 0) for one, odds in candidates if (one.view.kind in SEVERAL) == several]
        while group and len(chosen) < MOST_SLICES:
            clearness = [_clearness(population.wrong[left], inside[left]) for _, inside in group]
            best = int(np.argmax(clearness))
            if clearness[best] < -np.log(LEVEL):
                break
            chosen.append(group[best][0])
            left &= ~group[best][1]
    return chosen


def _clearness(wrong: Bools, members: Bools) -> float:
    """Minus the logarithm of the p-value; 0 where there are too few mistakes."""
    inside, everything, size = int(wrong[members].sum()), int(wrong.sum()), int(members.sum())
    if inside < SMALLEST or members.all():
        return 0.0
    p = fisher_test(inside, size, everything - inside, len(wrong) - size, greater=True)
    return float(-np.log(max(p, 1e-300)))


def _log_odds(posteriors: Array, component: int) -> Array:
    if posteriors.shape[1] == 1:
        return np.full(len(posteriors), np.inf)
    own = posteriors[:, component]
    others = np.delete(posteriors, component, axis=1)
    odds: Array = own - np.logaddexp.reduce(others, axis=1)
    return odds
