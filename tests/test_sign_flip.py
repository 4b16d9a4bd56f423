"""The sign-flip test: exact for few pairs, an estimate for many, and no more false alarms than it says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug.errors import DataError
from xaiaug.statistics import holm_adjust, least_p, mean_interval, sign_flip_test

FINITE = st.floats(-5, 5).map(lambda value: round(value, 3))


@given(st.lists(FINITE, min_size=1, max_size=8))
@settings(deadline=None)
def test_the_exact_p_value_counts_all_signs(values):
    total = sum(values)
    sums = [
        sum(sign * value for sign, value in zip(signs, values, strict=True))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    expected = np.mean([one >= total - 1e-9 * (max(map(abs, values)) or 1) for one in sums])
    assert sign_flip_test(values) == pytest.approx(expected)


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=10))
@settings(deadline=None)
def test_differences_that_are_all_above_zero_give_the_least_p(values):
    assert sign_flip_test(values) == least_p(len(values))
    assert sign_flip_test([-value for value in values]) == 1


@given(st.lists(FINITE, min_size=1, max_size=40), st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_scale_and_order_do_not_matter(values, factor):
    p = sign_flip_test(values)
    assert 0 < p <= 1
    if len(values) <= 14:
        assert sign_flip_test([factor * value for value in values[::-1]]) == pytest.approx(p, abs=1e-6)


def test_many_pairs_agree_with_few():
    values = np.random.default_rng(0).normal(0.4, 1, 14)
    exact = sign_flip_test(values)
    drawn = sign_flip_test([*values, 0.0])  # a zero changes no sum, and makes it draw
    assert drawn == pytest.approx(exact, abs=0.01)
    assert sign_flip_test([*values, 0.0], seed=0) == drawn


@pytest.mark.parametrize("pairs", [5, 11])
def test_exchangeable_pairs_are_rejected_as_often_as_the_level_says(pairs):
    rng = np.random.default_rng(pairs)
    p_values = []
    for _ in range(400):
        first, second = rng.exponential(1, (2, pairs)) ** 2 + rng.exponential(1, pairs)  # skewed, and dependent
        p_values.append(sign_flip_test(first - second))
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_holm_keeps_the_error_rate_over_slices():
    rng = np.random.default_rng(1)
    families = [
        any(one.p <= 0.05 for one in holm_adjust([sign_flip_test(rng.normal(0, 1, 9)) for _ in range(6)]))
        for _ in range(300)
    ]
    assert np.mean(families) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("values", [[], [[1.0]], [np.nan], [np.inf, 1]])
def test_what_is_no_list_of_differences_is_refused(values):
    with pytest.raises(DataError, match="finite differences"):
        sign_flip_test(values)


def test_an_interval_needs_two_values():
    assert mean_interval([1.0]) == (-np.inf, np.inf)
    low, high = mean_interval([0.0, 1.0, 2.0])
    assert low + high == pytest.approx(2) and low < 1 < high
