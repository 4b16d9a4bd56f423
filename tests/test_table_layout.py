"""Tables stay whole on a narrow terminal: no cell is broken, and every cell is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.cli.table_layout import layout_table, measure

CELL = st.text(st.characters(categories=("L", "N", "S")), min_size=1, max_size=9)


@given(
    table=st.integers(1, 9).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=4)),
    width=st.integers(30, 120),
)
def test_no_line_is_wider_than_the_terminal_and_no_cell_is_lost_or_broken(table, width):
    heads = [f"{name} head" for name in table[0]]
    lines = layout_table(heads, table, width)
    assert max(map(measure, lines)) <= width or len(table[0]) == 1
    for row in table:
        assert all(any(cell in line for line in lines) for cell in row)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_does_not_fit_goes_on_below_beside_the_first_column(width):
    rows = [["generated+training", *["1,234,567"] * 8]]
    lines = layout_table(["arm", *[f"column {n}" for n in range(8)]], rows, width)
    parts = [line for line in lines if line.startswith("generated+training")]
    assert len(parts) > 1 and sum(line.count("1,234,567") for line in parts) == 8
    assert max(map(len, lines)) <= width


@given(text=st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=30).map(" ".join))
def test_prose_is_wrapped_beside_its_row_or_below_it(text):
    for width in (40, 60, 80):
        for first in ("id", "a-rather-long-name-of-a-check"):
            lines = layout_table(["", ""], [[first, text]], width, prose=True)
            assert max(map(measure, lines)) <= width
            words = " ".join(lines).split()
            assert [word for word in words if word != first] == text.split()
