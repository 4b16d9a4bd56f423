"""The statistics of being unusual."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug.plugins.critics._outliers import LEAST, Rarity, Reference, _correct


@settings(deadline=None)
@given(st.integers(LEAST, 40), st.integers(1, 3), st.integers(0, 99), st.sampled_from((0.03, 0.25, 0.5)), st.booleans())
def test_any_reference_gives_a_probability(count: int, width: int, seed: int, share: float, alike: bool) -> None:
    generator = np.random.default_rng(seed)
    values = np.zeros((count, width)) if alike else generator.normal(0, 5, (count, width))
    reference = Reference(values.astype(np.float32), share, 1.0)
    near, far = (reference.rarity(np.full(width, at, np.float32)) for at in (0, 1e4))
    assert 0 <= far.p <= near.p <= 1
    assert far.distance > near.distance


def test_values_of_the_class_itself_are_seldom_unusual() -> None:
    generator = np.random.default_rng(1)
    reference = Reference(generator.normal(0, 10, (200, 3)).astype(np.float32), 0.03, 2.0)
    fresh = generator.normal(0, 10, (400, 3)).astype(np.float32)
    assert np.mean([reference.rarity(value).p < 0.05 for value in fresh]) < 0.1


@pytest.mark.parametrize("odd", [0, 1, 4])
def test_odd_images_in_the_reference_hide_nothing(odd: int) -> None:
    generator = np.random.default_rng(2)
    kinds = np.array([[60, 0, 0], [30, 0, 0], [80, -5, 5], [50, 10, -20]])
    values = kinds[generator.integers(0, 4, 200)] + generator.normal(0, 4, (200, 3))
    strange = np.array([55, 40, 50], np.float32)
    values[:odd] = strange + generator.normal(0, 4, (odd, 3))
    rarity = Reference(values.astype(np.float32), 0.03, 2.0).rarity(strange)
    assert rarity.p < 0.05 / 6


def test_among_equal_corrected_p_values_the_one_of_the_smallest_comes_first() -> None:
    rarities = {name: Rarity(1.0, 1.0, 0.0, p) for name, p in (("light", 0.9), ("size", 0.6), ("place", 0.8))}
    assert list(_correct(rarities).items()) == [("size", 1.0), ("place", 1.0), ("light", 1.0)]
