"""What models cost: dated, given or unknown, and never free by accident."""

import sys
from datetime import date

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.calls import Prices
from xaiaug.calls.budget import budget_to_picodollars, cost_to_picodollars, format_usd, picodollars_to_usd
from xaiaug.errors import ConfigError, MissingExtraError, UnknownPriceError
from xaiaug.records import PICO

GIVEN = {"mine": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 15, "cache_read_usd_per_mtok": 0.01}}
ON = date(2026, 2, 1)  # before a tier of the price of one of these models was dropped


@given(
    st.sampled_from(["claude-sonnet-4-5", "claude-sonnet-4-6", "gpt-4o-mini", "claude-haiku-4-5"]),
    st.integers(0, 400_000),
    st.integers(0, 60_000),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_costs_are_those_of_genai_prices_to_the_last_digit(model, plain, read, output, later):
    on = date(2026, 6, 1) if later else ON
    usage = {"input_tokens": plain + read, "cache_read_tokens": read, "output_tokens": output}
    expected = calc_price(Usage(**usage), model, genai_request_timestamp=_noon(on)).total_price
    assert Prices(on=on).of(model).cost(usage) == expected * PICO


def test_a_price_is_dated_and_says_where_it_is_from():
    row = Prices(on=ON).of("claude-haiku-4-5").to_row()
    assert row["date"] == "2026-02-01"
    assert row["source"].startswith("genai-prices ")
    assert row["usd_per_mtok"]["output"] == ["5"]


def test_a_given_price_wins_and_is_exact():
    price = Prices({**GIVEN, "gpt-4o-mini": GIVEN["mine"]}).of("gpt-4o-mini")
    assert price.source == "user"
    assert price.cost({"input_tokens": 3, "cache_read_tokens": 1, "output_tokens": 1}) == 15_210_000
    assert sum(price.cost({"input_tokens": 1}) for _ in range(10**4)) == PICO // 1000  # 0.1 + 0.1 + … without drift


def test_a_kind_of_tokens_without_a_rate_costs_what_input_does():
    price = Prices(GIVEN).of("mine")
    assert price.cost({"input_tokens": 5, "cache_write_tokens": 5}) == price.cost({"input_tokens": 5})


@pytest.mark.parametrize("model", ["no-such-model", "claude-9", "gpt-99", "moderation", "llava-local"])
def test_an_unknown_model_is_refused_never_free(model):
    with pytest.raises(UnknownPriceError, match=f"'{model}'.*local = true"):
        Prices().of(model)


def test_only_a_model_declared_as_local_is_free():
    price = Prices({"llava": {"local": True}}).of("llava")
    assert price.free
    assert price.cost({"input_tokens": 10**9}) == 0
    for zero in ({"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}, {"local": False}, {}):
        with pytest.raises(ConfigError, match="above 0"):
            Prices({"llava": zero})


@pytest.mark.parametrize("wrong", [-1, "dear", None, True, float("nan"), float("inf")])
def test_a_rate_that_is_no_amount_is_refused(wrong):
    with pytest.raises(ConfigError, match="'m': input_usd_per_mtok"):
        Prices({"m": {"input_usd_per_mtok": wrong, "output_usd_per_mtok": 1}})


def test_a_misspelt_rate_is_told():
    with pytest.raises(ConfigError, match="no 'input'"):
        Prices({"m": {"input": 1, "output_usd_per_mtok": 1}})


def test_without_genai_prices_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingExtraError, match=r"xaiaug\[claude\]"):
        Prices().of("gpt-4o-mini")
    assert Prices(GIVEN).of("mine").rates


@given(st.decimals(0, 10**4, places=12), st.decimals(0, 10**4, places=15))
def test_costs_are_rounded_up_and_budgets_down(exact, fine):
    assert cost_to_picodollars(exact) == budget_to_picodollars(exact) == exact * PICO
    assert budget_to_picodollars(fine) <= fine * PICO <= cost_to_picodollars(fine) <= budget_to_picodollars(fine) + 1


@given(st.floats(0, 1000))
def test_a_cost_survives_being_told_in_dollars(usd):
    assert cost_to_picodollars(picodollars_to_usd(cost_to_picodollars(usd))) == cost_to_picodollars(usd)


@pytest.mark.parametrize(
    ("pico", "text"), [(0, "$0.00"), (5 * PICO, "$5.00"), (PICO // 80, "$0.0125"), (12, "$1.2e-11")]
)
def test_amounts_are_told_with_the_digits_that_count(pico, text):
    assert format_usd(pico) == text


@pytest.mark.parametrize("wrong", [-0.01, float("nan"), float("inf")])
def test_what_is_no_amount_of_money_is_refused(wrong):
    for read in (cost_to_picodollars, budget_to_picodollars):
        with pytest.raises(ConfigError, match="number of dollars"):
            read(wrong)


def _noon(day: date):
    from datetime import UTC, datetime, time

    return datetime.combine(day, time(12), UTC)
