"""What a service says in an error is read in every shape, and tells a filter, an empty account and a limit apart."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.calls import classify, retry_after
from xaiaug.calls.error_body import guess_status, read_status, read_wait, read_words
from xaiaug.calls.retry import is_filtered


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"type": "a", "code": "b", "message": "c"}}, "a: b: c"),
        ({"error": "no such key"}, "no such key"),
        ({"detail": "Stream must be set"}, "Stream must be set"),
        ({"title": "a", "validation": [{"code": "required", "message": "no input"}]}, "a: required: no input"),
        ({"detail": [{"loc": ["body", "messages", 1], "msg": "str expected"}]}, "body.messages.1: str expected"),
        ([{"error": {"message": "no valid key", "status": "INVALID_ARGUMENT"}}], "INVALID_ARGUMENT: no valid key"),
        ("no images here", "no images here"),
        ('{"message": "in a text"}', "in a text"),
        ("<!DOCTYPE html><html><head><title>502 Bad Gateway</title>", "a web page (502 Bad Gateway)"),
        ({"error": {"message": "a", "metadata": {"raw": '{"error": {"message": "too dark"}}'}}}, "a: too dark"),
        ({"error": {"code": "c", "innererror": {"code": "PolicyViolation"}}}, "c: PolicyViolation"),
        ({"success": False, "errors": [{"code": 7003, "message": "no route"}]}, "7003: no route"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "insufficient balance"),
        ({"choices": None}, ""),
        ({"__type": "ThrottlingException", "Message": "Rate exceeded"}, "ThrottlingException: Rate exceeded"),
        ({"error_code": 17, "error_msg": "daily limit"}, "17: daily limit"),
        ({"error": {"message": {"error": "deep"}}}, "deep"),
        ({"fault": {"faultstring": "no such API"}}, "no such API"),
        ('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>', "AccessDenied: no"),
        ("<html><head><title>404</title></head><code>x</code>", "a web page (404)"),
    ],
)  # fmt: skip
def test_words_are_found_wherever_a_server_puts_them(body, words):
    assert read_words(body) == words


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "detail", "loc", "metadata", "x"]), inner, max_size=3
        )
    ),
)


@given(JSONS)
def test_any_json_is_read_without_a_fault(body):
    words, status = read_words(body), read_status(body)
    assert isinstance(words, str) and (status is None or 300 <= status <= 599)
    assert classify(status or guess_status(words), words) in ("retry", "fatal", "item", "refusal")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 502, "message": "upstream"}, 502),
        ({"code": "429"}, 429),
        ({"type": "overloaded_error"}, 529),
        ({"status": "RESOURCE_EXHAUSTED", "code": 429}, 429),
        ({"error": {"code": "rate_limit_exceeded"}}, 429),
        ({"code": "invalid_prompt"}, 400),
        ({"code": True, "message": "x"}, None),
        ({"code": 7}, None),
        ({"__type": "com.amazonaws#ThrottlingException"}, 429),
    ],
)
def test_the_status_that_a_body_states_is_found_by_number_or_by_name(error, status):
    assert read_status(error) == status


FILTERED = [
    "invalid_request_error: Output blocked by content filtering policy",
    "invalid_prompt: Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "litellm.ContentPolicyViolationError: The response was filtered",
    "content_filter: The response was filtered: ResponsibleAIPolicyViolation",
    '403: some/model requires moderation. Your input was flagged for "violence".',
    "Content Exists Risk",
    "DataInspectionFailed: Input data may contain inappropriate content.",
    "Content violates usage guidelines. Failed check: SAFETY_CHECK",
    "The request was blocked by our safety system",
    "Request blocked due to guardrail intervention",
    "Violated guardrail policy",
    "sensitive_words_detected: user sensitive words detected",
    "input new_sensitive",
    "censorship_blocked: the content you provided is blocked",
    "1301: 系统检测到输入内容可能包含不安全或敏感内容",
    "The image was rejected because it may contain a real person",
    "The response was blocked.",
]


@pytest.mark.parametrize("words", FILTERED)
def test_a_filter_refuses_one_item_whatever_the_status(words):
    assert is_filtered(words)
    assert {classify(status, words) for status in (400, 403, 422, 500)} == {"refusal"}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "Your account has been flagged for potential abuse"),
        (400, "This organization has been disabled for violating our usage policy."),
        (401, "Your access was terminated due to violation of our policies"),
        (403, "API key is blocked"),
    ],
)
def test_a_lock_on_the_account_is_no_filter(status, words):
    assert classify(status, words) == "fatal"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "This model does not support image input; load the mmproj"),
        (500, "image input is not supported - hint: you may need to provide the mmproj"),
        (400, "At most 0 image(s) may be provided in one prompt."),
        (400, "INVALID_ARGUMENT: API key not valid. Please pass a valid API key."),
        (400, "The requested model 'x' does not exist."),
        (500, "model requires more system memory (9.1 GiB) than is available (7.2 GiB)"),
        (400, "Unsupported value: 'temperature' does not support 0 with this model."),
        (400, "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0"),
        (429, "insufficient_quota: You exceeded your current quota, please check your plan and billing details."),
        (400, "model_decommissioned: The model x has been decommissioned"),
        (404, "DeploymentNotFound: the deployment for this resource does not exist"),
        (400, "User location is not supported for the API use."),
        (410, "gone"),
        (403, "rate limit: insufficient balance"),
    ],
)
def test_what_no_call_will_get_past_stops_all(status, words):
    assert classify(status, words) == "fatal"


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "Could not process image"), (413, "image exceeds 5 MB maximum"), (422, "body.messages: str expected")],
)
def test_what_is_wrong_with_one_item_fails_that_item(status, words):
    assert classify(status, words) == "item"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "ThrottlingException: Too many tokens, please wait before trying again."),
        (403, "rateLimitExceeded: Rate Limit Exceeded"),
        (403, "You have exceeded a secondary rate limit"),
        (400, "Too many requests"),
        (429, "You are using a Trial key, limited to 40 calls / minute. Upgrade at https://dashboard.example/billing"),
        (424, "ModelErrorException: the model failed to process the request"),
    ],
)
def test_a_limit_on_requests_passes_whatever_the_status(status, words):
    assert classify(status, words) == "retry"


@pytest.mark.parametrize(
    ("words", "status"),
    [("insufficient balance", 402), ("Not Found", 404), ("no Route matched with those values", 404), ("busy", 500)],
)
def test_an_error_without_a_code_is_classed_by_its_words(words, status):
    assert guess_status(words) == status


def test_whoever_states_a_wait_will_answer_again_though_it_speaks_of_a_quota():
    quota = "RESOURCE_EXHAUSTED: You exceeded your current quota, please check your plan and billing details."
    assert (classify(429, quota), classify(429, quota, 1.0)) == ("fatal", "retry")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.2s.", 1.2),
        ("Please retry in 6m0s", 360),
        ("try again in 120ms", 0.12),
        ('{"@type": "RetryInfo", "retryDelay": "36s"}', 36),
        ("retry after 30 seconds", 30),
        ("the limit resets in 2 hours", 7200),
        ("too many requests", None),
        ("you sent 3 requests in 8 minutes", None),
    ],
)
def test_a_wait_is_read_from_words(text, seconds):
    assert read_wait(text) == (None if seconds is None else pytest.approx(seconds))


def test_a_header_counts_before_words_and_a_time_of_reset_last():
    assert retry_after({"Retry-After": "2"}, "try again in 9s") == 2
    assert retry_after({}, "try again in 9s") == 9
    later = int((time.time() + 3600) * 1000)
    assert 3500 < retry_after({"X-RateLimit-Reset": str(later)}) <= 3600
    assert 3500 < retry_after({}, f'{{"metadata": {{"headers": {{"X-RateLimit-Reset": "{later}"}}}}}}') <= 3600
    assert retry_after({"X-RateLimit-Reset": "6"}) is None


@pytest.mark.parametrize("date", ["%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S -0000"])
def test_a_wait_until_a_date_is_read_with_and_without_a_zone(date):
    until = time.strftime(date, time.gmtime(time.time() + 90))
    assert 80 < retry_after({"Retry-After": until}) <= 90
    assert 80 < retry_after({"Retry-After": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 90))}) <= 90


@pytest.mark.parametrize("value", ["", "soon", "nan", "Wed, 21 Oct 99999 07:28:00 GMT", "\x00", "5, 10", "-"])
def test_a_wait_of_any_text_is_read_without_a_fault(value):
    assert (retry_after({"Retry-After": value}) or 0.0) >= 0.0
    assert retry_after({"Retry-After": "2m"}) == 120
