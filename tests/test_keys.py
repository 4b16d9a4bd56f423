"""Content keys depend on the content alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.records import derive_seed, digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain))
def test_a_key_does_not_depend_on_the_order_of_names(value):
    assert digest(value) == digest(dict(reversed(value.items())))


@given(plain, plain)
def test_different_values_have_different_keys(one, other):
    same_text = repr(one) == repr(other)
    if same_text:
        assert digest(one) == digest(other)
    elif digest(one) == digest(other):
        assert one == other


def test_a_key_of_a_value_that_is_not_plain_is_an_error():
    with pytest.raises(TypeError, match="plain JSON"):
        digest({"a": object()})


@given(st.integers(0, 2**31), st.text())
def test_a_seed_fits_every_generator(number, text):
    assert 0 <= derive_seed(number, text) < 2**32
