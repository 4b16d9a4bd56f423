"""Failures are told apart: those that pass, those of one item, and those that end everything."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from xaiaug.calls import CallError, classify, retry_after
from xaiaug.calls.retry import may_be_billed, network_error, redact, refusal_message


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        *[(status, "", "retry") for status in (None, 408, 409, 429, 500, 502, 503, 504, 529)],
        *[(status, "", "fatal") for status in (301, 401, 402, 403, 404)],
        *[(status, "", "item") for status in (400, 413, 422)],
        (429, "rate_limit_error This request would exceed your organization's rate limit", "retry"),
        (429, "insufficient_quota You exceeded your current quota", "fatal"),
        (400, "Your credit balance is too low to access the API", "fatal"),
        (400, "You have reached your specified API usage limits", "fatal"),
        (400, "At least one of the image dimensions exceed max allowed size: 8000 pixels", "item"),
        (529, "billing", "retry"),
    ],
)
def test_a_status_and_what_the_service_said_give_the_kind(status, detail, kind):
    assert classify(status, detail) == kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date():
    later = datetime.now(UTC) + timedelta(minutes=20)
    assert 1190 < retry_after({"Retry-After": format_datetime(later, usegmt=True)}) <= 1200
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (CallError("retry", "cut off"), True),
        (CallError("retry", "gateway", status=504), True),
        (CallError("retry", "no connection", reached=False), False),
        (CallError("retry", "overloaded", status=529), False),
        (CallError("item", "too large", status=413), False),
        (network_error(TimeoutError("read")), True),
        (network_error(ConnectionResetError("peer")), True),
        (network_error(ConnectionRefusedError("port")), False),
        (network_error(socket.gaierror("name")), False),
    ],
)
def test_a_call_may_be_billed_when_the_request_may_have_come_through_and_nothing_came_back(error, billed):
    assert may_be_billed(error) is billed
    assert error.kind in ("retry", "item")


@pytest.mark.parametrize(
    ("status", "todo"), [(401, "check the API key"), (402, "top up"), (404, "model's name"), (429, "limits")]
)
def test_a_fatal_failure_is_told_on_one_line_with_what_to_do(status, todo):
    line = refusal_message(CallError("fatal", "Incorrect API key\n provided: sk-proj-abcdef123456", status=status))
    assert todo in line
    assert str(status) in line
    assert "\n" not in line
    assert "abcdef" not in line


def test_long_messages_are_cut():
    assert len(redact("word " * 1000)) == 200
