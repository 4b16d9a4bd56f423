"""A remedy is recommended only if it is shown not to lose more than a margin to the best of the others."""

import numpy as np
import pytest

from xaiaug.metrics import Scorer
from xaiaug.statistics import AllPairs, Condition, best_arm, compare_all
from xaiaug.statistics.interval import DifferenceEstimate, Spread

MARGIN = 0.02


def conditions(correct, metric="accuracy", groups=None):
    """Two classes; `correct` is c s n."""
    labels = np.arange(correct.shape[-1]) % 2
    predicted = np.where(correct, labels, 1 - labels)
    return [Condition(labels, np.eye(2)[one], Scorer(metric), groups) for one in predicted]


def simulate(accuracies, seed_sd, seeds, rng, images=2000, still=0):
    """Whether each training of each condition gets each image right; the first `still` do not vary over the seeds."""
    shift = rng.normal(0, 1, (len(accuracies), seeds, 1)) * np.broadcast_to(seed_sd, len(accuracies))[:, None, None]
    shift[:still] = 0
    thresholds = rng.random(images)  # the same images are hard for all
    own = thresholds + rng.normal(0, 0.05, (len(accuracies), seeds, images))
    own[:still] = own[:still, :1]
    return own < np.array(accuracies)[:, None, None] + shift


@pytest.mark.parametrize("seed_sd", [0.006, 0.01, 0.02])
def test_of_twelve_a_cheapest_that_is_too_much_worse_is_recommended_in_at_most_one_of_twenty(seed_sd):
    rng, wrong, inconclusive = np.random.default_rng(round(1000 * seed_sd)), 0, 0
    for _ in range(60):
        pairs = compare_all(conditions(simulate([0.775] + [0.8] * 11, seed_sd, 5, rng, images=1000)))
        found = pairs.find_sufficient(range(12), MARGIN)
        wrong += found == 0
        inconclusive += found is None
    assert wrong <= 3
    assert (inconclusive >= 50) == (seed_sd == 0.02)  # wide intervals are said to be inconclusive


@pytest.mark.parametrize("count", [2, 3])
def test_unequal_variances_do_not_make_a_bad_condition_look_good(count):
    rng, wrong = np.random.default_rng(count), 0
    for _ in range(200):
        scores = np.array([-0.0205] + [0.0] * (count - 1))[:, None] + rng.normal(0, 1, (count, 5)) * np.array(
            [0.018] + [0.006] * (count - 1)
        ).reshape(-1, 1)
        wrong += pairs_of(scores).find_sufficient(range(count), MARGIN) == 0
    assert wrong <= 20  # 5 % of 200, and twice its standard error


def pairs_of(scores):
    """All pairs from scores by condition and seed, as if the test set were very large."""
    pooled = best_arm._pool(scores)
    pairs = {}
    for i in range(len(scores)):
        for j in range(i + 1, len(scores)):
            change = scores[j] - scores[i]
            spread = Spread(change.var(ddof=1) / len(change), 0.0, len(change), 10**6)
            pairs[i, j] = best_arm._with_pooled(DifferenceEstimate(change.mean(), spread), pooled[2])
    return AllPairs(len(scores), pairs)


def test_the_first_in_order_that_is_good_enough_wins_not_the_best():
    rng = np.random.default_rng(0)
    pairs = compare_all(conditions(simulate([0.7, 0.9, 0.905], 0.002, 5, rng, still=1)))
    assert pairs.find_sufficient([0, 1, 2], MARGIN) == 1 and pairs.find_sufficient([2, 1, 0], MARGIN) == 2
    low, high = pairs.gain(1, 0)
    assert low < pairs.difference(1, 0) < high and low > 0.15
    assert pairs.difference(0, 1) == -pairs.difference(1, 0) and pairs.difference(1, 1) == 0


@pytest.mark.parametrize("shared", [0.0, 0.02])
def test_a_condition_that_does_not_vary_is_compared_with_all_variance_that_the_others_have(shared):
    rng, covered = np.random.default_rng(3), 0
    for _ in range(200):
        seeds = rng.normal(0, shared, 5)
        scores = np.array([0.8] * 6)[:, None] + seeds + rng.normal(0, 0.01, (6, 5))
        one = best_arm._pool(scores)[1]
        change = scores[0] - 0.8
        spread = Spread(change.var(ddof=1) / 5, 0.0, 5, 10**6)
        low, high = best_arm._with_pooled(DifferenceEstimate(change.mean(), spread), one).interval()
        covered += low <= 0 <= high
    assert covered >= 184  # 95 % of 200, less twice its standard error
    assert (one.pooled < 2) == (shared > 0)


def test_where_nothing_is_certain_the_number_of_seeds_that_would_tell_is_said():
    scores = np.array([0.8, 0.801, 0.799])[:, None] + np.random.default_rng(1).normal(0, 0.02, (3, 3))
    pairs = pairs_of(scores)
    assert pairs.find_sufficient(range(3), MARGIN) is None
    seeds = pairs.required_seeds(MARGIN)
    assert 3 < seeds < 200
    level = {pair: one.with_seeds(seeds) for pair, one in pairs.pairs.items()}
    assert AllPairs(3, level).find_sufficient(range(3), MARGIN) is not None


@pytest.mark.parametrize("metric", ["macro-f1", "auroc", "worst-class", "worst-group"])
def test_every_metric_can_be_recommended_by(metric):
    rng = np.random.default_rng(2)
    groups = np.arange(1000) % 4
    pairs = compare_all(conditions(simulate([0.6, 0.9], 0.002, 3, rng, images=1000), metric, groups))
    assert pairs.find_sufficient([0, 1], MARGIN) == 1 and pairs.difference(1, 0) > 0.2
