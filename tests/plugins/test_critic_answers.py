"""What an answer is, is decided alike for all services: whole, cut, refused, broken off, elsewhere, or none at all."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from critic_cases import ANSWER, LABELS, PROMPT, Still, case
from hypothesis import given
from hypothesis import strategies as st
from test_damage import watchdog

from xaiaug.calls import CallError, Calls, MemoryLedger, Prices
from xaiaug.errors import CallsFailingError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics import _chat_completions, _messages_api, _responses_api
from xaiaug.plugins.critics._answer_text import UnusableError, declines, find_answer, parse_prompt
from xaiaug.plugins.critics._model_reply import read_stop, to_raw_reply
from xaiaug.plugins.critics._parsing import parse_critique
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Critique
from xaiaug.testing import Loopback, Raw

APIS = {"messages": _messages_api, "responses": _responses_api, "chat": _chat_completions}


def chat(content, reason="stop", *, usage=(900, 120), **more):
    """A chat completion as a server sends it."""
    body = {
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **more}}]
    }
    used = {} if usage is None else {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}
    return {**body, **used}


def said(service, text, reason):
    """A body of each service with a text and its word for the end."""
    return {
        "chat": lambda: chat(text, reason),
        "messages": lambda: {"content": [{"type": "text", "text": text}], "stop_reason": reason},
        "responses": lambda: {
            "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
            **({"status": reason} if reason == "completed" else {"incomplete_details": {"reason": reason}}),
        },
    }[service]()


@pytest.fixture
def ask(monkeypatch):
    """What a critic makes of bodies that a compatible server sends one after the other, and its calls."""
    pytest.importorskip("openai")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(*bodies, api="chat", status=200, second=None, **parameters):
        price = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}
        calls = Calls(MemoryLedger(), budget_usd=1.0, prices=Prices({"m": price}), jitter=Still())
        answers = [body if isinstance(body, Raw) else Raw(json.dumps(body).encode(), status) for body in bodies]
        with Loopback(answers) as server:
            critic = OpenAICritic("m", base_url=f"{server.url}/v1", api=api, second=second, **parameters)
            critic.prepare(Context(labels=LABELS, paid=calls))
            (made,) = critic.critique([case()])
            return made, list(server.requests), calls.summary()

    return make


ENDS = {"chat": "stop eos tool_calls COMPLETE", "messages": "end_turn stop_sequence", "responses": "completed"}
CUTS = {"chat": "length max_tokens MAX_TOKENS model_length", "messages": "max_tokens model_context_window_exceeded"}
CUTS["responses"] = "max_output_tokens max_tokens"


@pytest.mark.parametrize("service", APIS)
def test_only_known_ends_are_whole(service):
    for expected, words in (("end", ENDS), ("length", CUTS)):
        for word in words[service].split():
            assert APIS[service].read_reply(said(service, "half", word)).stop == expected, word
    for word in ("error", "pause_turn", "abort"):
        assert APIS[service].read_reply(said(service, "half", word)).stop == "interrupted"
    for word in (None, "", "something_new"):
        assert APIS[service].read_reply(said(service, "half", word)).stop == "unknown"
    for word in ("content_filter", "SAFETY", "content_filter: RECITATION"):
        assert APIS[service].read_reply(said(service, "half", word)).stop == "refusal"


WHOLE = {"stop", "end", "end_turn", "eos", "eos_token", "stop_sequence", "complete", "completed", "finished"}
WHOLE |= {"tool_calls", "tool_call", "tool_use", "function_call"}


@given(st.text(max_size=20) | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2))
def test_no_other_word_is_taken_for_a_whole_answer(word):
    bare = str(word).partition(":")[0].strip().lower().replace("-", "_").removeprefix("finish_reason_")
    assert read_stop(word) != "end" or bare in WHOLE


def test_a_part_that_is_not_whole_or_another_word_of_the_provider_counts():
    body = said("responses", "half", "completed")
    body["output"][0]["status"] = "incomplete"
    assert _responses_api.read_reply(body).stop == "interrupted"
    routed = chat("half", "stop")
    routed["choices"][0]["native_finish_reason"] = "MAX_TOKENS"
    assert _chat_completions.read_reply(routed).stop == "length"


@pytest.mark.parametrize("service", APIS)
@pytest.mark.parametrize(
    ("body", "status", "kind", "words"),
    [
        ({"error": {"message": "Provider error", "code": 502}, "user_id": "u"}, 502, "retry", "Provider error"),
        ({"error": {"message": "slow down", "code": 429, "metadata": {"raw": "try again in 3s"}}}, 429, "retry", "3s"),
        ({"error": "Unexpected endpoint or method. (POST /v1/x)"}, 404, "fatal", "Unexpected endpoint"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529, "retry", "Overloaded"),
        ({"object": "error", "message": "no such model 'm'", "code": 404}, 404, "fatal", "no such model"),
        ({"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []}, 500, "retry", "no"),
        ({"error": {"code": "invalid_prompt", "message": "it was flagged"}, "output": []}, 400, "refusal", "flagged"),
        ({"success": False, "errors": [{"message": "model not found", "code": 404}]}, 404, "fatal", "model not found"),
        ({"detail": "Not authenticated: no API key"}, 401, "fatal", "no API key"),
        ({"choices": [{"error": {"code": 502, "message": "cut"}, "message": {"content": "h"}}]}, 502, "retry", "cut"),
        ({"status": 429, "title": "Too Many Requests"}, 429, "retry", "Too Many"),
        ({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, 500, "refusal", "new_sensitive"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, 402, "fatal", "balance"),
        ({"detail": "Not Found"}, 404, "fatal", "Not Found"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, 400, "refusal", "content filter (SAFETY)"),
        (
            {"choices": [], "prompt_filter_results": [{"content_filter_results": {"hate": {"filtered": True}}}]},
            400,
            "refusal",
            "content filter",
        ),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_a_200_that_holds_an_error_is_classed_by_its_code_and_not_billed(service, body, status, kind, words):
    with pytest.raises(CallError) as caught:
        to_raw_reply(body, APIS[service])
    error = caught.value
    assert (error.status, error.kind, error.billed) == (status, kind, False) and words in error.message


def test_an_error_that_comes_with_a_usage_may_be_billed_and_an_empty_one_is_none():
    with pytest.raises(CallError) as caught:
        to_raw_reply({"error": {"code": 502, "message": "cut"}, "usage": {"prompt_tokens": 9}}, _chat_completions)
    assert caught.value.billed
    for nothing in (None, {}, "", {"code": None, "message": None}, {"code": 0, "message": "success"}, "null"):
        assert to_raw_reply({**chat("yes"), "error": nothing}, _chat_completions).usage["output_tokens"] == 120
    with pytest.raises(CallError, match="holds no completion") as caught:
        to_raw_reply({"id": "x", "choices": None}, _chat_completions)
    assert caught.value.billed is None and caught.value.status is None


def test_an_error_in_200_is_tried_again_and_the_answer_paid_once(ask):
    down = {"error": {"message": "upstream overloaded", "code": 502}}
    made, requests, money = ask(down, down, chat(json.dumps(ANSWER)))
    assert isinstance(made, Critique) and len(requests) == 3
    assert (money["calls"], money["unknown_usd"], money["unbilled"]) == (1, 0, 2)


@pytest.mark.parametrize("status", [400, 403])
def test_a_filter_told_as_an_error_is_a_refusal_that_another_critic_takes(ask, status):
    body = {
        "error": {
            "code": status,
            "message": 'Your input was flagged for "violence".',
            "metadata": {"reasons": ["violence"]},
        }
    }
    made, requests, money = ask(body, status=status)
    assert made.kind == "refusal" and "flagged" in made.message and len(requests) == 1
    made, _, _ = ask(body, status=status, second={"name": "measured"})
    assert made.kind != "refusal" if not isinstance(made, Critique) else made.prompt
    assert money["settled_usd"] == money["unknown_usd"] == 0


def test_refusals_end_no_run_unless_all_of_the_first_cases_are_refused(monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    flagged = Raw(b'{"error": {"message": "flagged by our policy"}}', 403)
    whole = Raw(json.dumps(chat(json.dumps(ANSWER))).encode())

    def ask_all(script):
        with Loopback(script) as server:
            critic = OpenAICritic("m", base_url=f"{server.url}/v1", api="chat")
            calls = Calls(MemoryLedger(), budget_usd=None, prices=Prices({"m": {"local": True}}))
            critic.prepare(Context(labels=LABELS, paid=calls))
            return critic.critique([case(i) for i in range(16)])

    made = ask_all(lambda request: whole if request.number == 1 else flagged)
    assert [isinstance(one, Critique) or one.kind for one in made].count("refusal") == 15
    with pytest.raises(CallsFailingError, match="all of the first 10 items failed.*flagged"):
        ask_all(flagged)


@pytest.mark.parametrize(("word", "text"), [("error", json.dumps(ANSWER)), (None, "half of"), ("odd", "half of")])
def test_what_broke_off_is_asked_again_now_and_in_the_next_session(monkeypatch, word, text):
    pytest.importorskip("openai")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ledger = MemoryLedger()
    broken = Raw(json.dumps(chat(text, word)).encode())
    whole = Raw(json.dumps(chat(json.dumps(ANSWER))).encode())
    made = []
    with Loopback([broken, broken, broken, whole]) as server:
        for _ in range(2):
            critic = OpenAICritic("m", base_url=f"{server.url}/v1", api="chat")
            calls = Calls(ledger, budget_usd=None, prices=Prices({"m": {"local": True}}))
            critic.prepare(Context(labels=LABELS, paid=calls))
            made += critic.critique([case()])
        assert len(server.requests) == 4
    assert made[0].kind == "interrupted" and made[0].is_passing and isinstance(made[1], Critique)


@pytest.mark.parametrize("dialogue", ["structured", "paper"])
@pytest.mark.parametrize(
    "words",
    [
        "I'm sorry, but I can't help with creating a prompt of a cat.",
        "I cannot assist with that request about the cat.",
        "Sorry, I can’t identify the animal in this photo of a cat.",
        "As an AI, I am unable to generate images, but a photo of a cat would be nice.",
        "Unable to write a prompt for the cat.",
        "Lo siento, no puedo ayudar con esta foto de un cat.",
        "很抱歉，我无法描述这张 cat 的照片。",
    ],
)
def test_a_refusal_in_words_alone_is_one_and_neither_a_prompt_nor_a_cause(ask, words, dialogue):
    made, requests, _ = ask(chat(words), dialogue=dialogue)
    assert made.kind == "refusal" and words[:20] in made.message and len(requests) == 1
    made, _, _ = ask(chat("It looked at the sofa."), chat(words), dialogue="paper")
    assert made.kind == "refusal"
    made, _, _ = ask(chat(json.dumps({**ANSWER, "prompt": words})))
    assert made.kind == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "I cannot see any heat on the cat: the map lies on the sofa, and its edge leads to the window.",
        "The classifier was unable to find the cat.",
        "I can't tell the breed from this picture. The heat lies on the sofa.",
        'Sorry, I cannot be sure, but: {"shown": true, "reason": "it fits"}',
    ],
)
def test_an_analysis_that_names_a_limit_is_no_refusal(text):
    assert not declines(text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "cp1252", "gbk"])
def test_a_body_in_another_encoding_keeps_every_letter(ask, encoding):
    word = "沙发" if encoding == "gbk" else "café"
    body = json.dumps(chat(json.dumps({**ANSWER, "cause": word}, ensure_ascii=False)), ensure_ascii=False)
    charset = encoding if encoding in ("iso-8859-1", "gbk") else "utf-8"
    made, requests, _ = ask(
        Raw(body.encode(encoding), headers={"content-type": f"application/json; charset={charset}"})
    )
    assert made.cause == word and len(requests) == 1


def events(*bodies, comment=": PROCESSING\n\n"):
    """A stream of events, as a server sends it that streams whether it was asked to or not."""
    return Raw((comment + "".join(f"data: {json.dumps(body)}\n\n" for body in bodies) + "data: [DONE]\n\n").encode())


def test_an_answer_that_is_streamed_unasked_is_joined_with_its_end_and_its_usage(ask):
    written = json.dumps(ANSWER)
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": written[:100]}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": written[100:]}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 900, "completion_tokens": 120}},
    ]
    made, requests, money = ask(events(*chunks))
    assert made.prompt == PROMPT and len(requests) == 1 and money["settled_usd"] == pytest.approx(0.0045)
    made, requests, _ = ask(events(*chunks[:1]))
    assert made.kind == "interrupted", "a stream without its end is no whole answer"
    made, requests, _ = ask(events({"error": {"code": 429, "message": "slow"}}), chat(written))
    assert made.prompt == PROMPT and len(requests) == 2
    whole = {"type": "response.completed", "response": said("responses", written, "completed")}
    made, _, _ = ask(
        events({"type": "response.created", "response": {"status": "in_progress"}}, whole), api="responses"
    )
    assert made.prompt == PROMPT
    made, _, _ = ask(Raw(b": PROCESSING\n\n" + json.dumps(chat(written)).encode()))
    assert made.prompt == PROMPT, "comments keep a connection alive"
    made, _, _ = ask(Raw(json.dumps(chat(written)).encode() * 2))
    assert made.kind == "call failed"


WRITTEN = json.dumps(ANSWER)
ASIDES = [
    {"content": "", "reasoning": WRITTEN},
    {"content": None, "reasoning_content": f"I look at it. {WRITTEN}"},
    {"content": "", "tool_calls": [{"type": "function", "function": {"name": "critique", "arguments": WRITTEN}}]},
    {"content": None, "function_call": {"name": "critique", "arguments": WRITTEN}},
    {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "{hm}"}]},
            {"type": "text", "text": WRITTEN},
        ]
    },
    {"content": ANSWER},
    {"content": [{"type": "text", "text": {"value": WRITTEN}}]},
    {"content": None, "tool_calls": [{"function": {"name": "critique", "arguments": ANSWER}}]},
    {"content": None, "parsed": ANSWER},
    {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": WRITTEN}]},
]


@pytest.mark.parametrize("message", ASIDES, ids="-".join)
def test_an_answer_that_stands_elsewhere_is_read(ask, message):
    made, requests, _ = ask(chat(**message))
    assert isinstance(made, Critique) and made.prompt == PROMPT and len(requests) == 1


def test_an_answer_in_the_form_of_a_chunk_or_of_plain_texts_is_read():
    chunk = {"choices": [{"finish_reason": "stop", "delta": {"content": "a cat"}}]}
    bare = {"choices": [{"finish_reason": "stop", "message": "a cat"}]}
    assert {_chat_completions.read_reply(body).text for body in (chunk, bare)} == {"a cat"}
    refused = chat([{"type": "refusal", "refusal": "no"}])
    assert _chat_completions.read_reply(refused).stop == "refusal"
    plain = {"status": "completed", "output": [{"type": "message", "content": "a cat"}]}
    short = {"status": "completed", "output": [], "output_text": "a cat"}
    assert {_responses_api.read_reply(body).text for body in (plain, short)} == {"a cat"}


def test_thinking_aloud_is_not_taken_for_a_prompt(ask):
    first = chat("It looked at the sofa.")
    aloud = chat("", reasoning="Okay, the user wants a prompt for a cat on a sofa. Let me write one.")
    made, requests, _ = ask(first, aloud, dialogue="paper")
    assert made.kind == "empty" and "thinking" in made.message and len(requests) == 3
    made, _, _ = ask(first, chat("", reasoning=PROMPT), dialogue="paper")
    assert made.prompt == PROMPT


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a dog?</think> a cat", "a cat"),
        ("a dog?</think>a cat", "a cat"),
        ("<think>a dog, or", ""),
        ("a cat<think>or a dog", "a cat"),
        ("◁think▷dog◁/think▷a cat", "a cat"),
        ("[THINK]dog[/THINK]a cat", "a cat"),
        ("so: <|begin_of_box|>a cat<|end_of_box|>", "a cat"),
        ("<answer>a cat</answer> done", "a cat"),
        ("<|channel|>analysis<|message|>a dog?<|end|><|channel|>final<|message|>a cat<|return|>", "a cat"),
        ("<|channel|>analysis<|message|>a dog?", ""),
        ("a cat<|im_end|>", "a cat"),
        ("a cat</s>", "a cat"),
        ("<Think>a dog</Think>a cat", "a cat"),
        ("<|START_THINKING|>a dog<|END_THINKING|><|START_RESPONSE|>a cat<|END_RESPONSE|>", "a cat"),
        ("<|begin_of_thought|>a dog<|end_of_thought|><|begin_of_solution|>a cat<|end_of_solution|>", "a cat"),
        ("<scratchpad>a dog</scratchpad>a cat", "a cat"),
        ("<longcat_think>a dog</longcat_think>a cat", "a cat"),
        ("<unused94>thought\na dog<unused95>a cat", "a cat"),
        ("<|channel>thought\na dog<channel|>a cat", "a cat"),
        ("<reflection>a dog?, or", ""),
        ("a cat<|im_end|>\n<|im_start|>user\na dog", "a cat"),
        ("a cat<｜end▁of▁sentence｜>", "a cat"),
        ("a cat<|endoftext|>Human: a dog", "a cat"),
    ],
)  # fmt: skip
def test_thinking_and_marks_around_an_answer_are_left(text, answer):
    found = find_answer(text)
    assert found == answer or (not answer and "dog?" not in found)


@pytest.mark.parametrize(
    "text",
    [
        "Here is the prompt:\n\na photo of a cat",
        "Here's a prompt for SDXL: a photo of a cat",
        'Sure! Here is the prompt you asked for:\n\n"a photo of a cat"',
        "Sure, here you go:\na photo of a cat",
        "Certainly! I have looked at it.\n\na photo of a cat",
        "a photo of a cat\n\nThis prompt keeps the difficulty of the original.",
        "a photo of a cat\n\nLet me know if you want another.",
        "a photo of a cat. This prompt captures the dim light.",
        "**Prompt:** a photo of a cat\n\n**Negative prompt:** dog, blurry",
        "Prompt: a photo of a cat\nNegative prompt: a dog",
        "Here it is:\n```text\na photo of a cat\n```\nI hope this helps!",
        '{"prompt": "a photo of a cat"}',
        "a photo of a cat\n\n(6 words)",
        "a photo of a cat\n\n---\nNote: the dog is left out.",
        "a photo of a cat. Negative prompt: blurry, dog",
        "a photo of a cat\n\nNegative: blurry, dog",
        "a photo of a cat --ar 16:9 --no dog",
        '{"image_prompt": "a photo of a cat", "negative_prompt": "dog"}',
        "<prompt>a photo of a cat</prompt>",
        "### Prompt\na photo of a cat",
        "## Final Prompt\n\n> a photo of a cat",
        'Prompt = "a photo of a cat"',
        "a photo of a cat\n\n**Why this works:** The sofa is dark.",
        "a photo of a cat\n\nKey elements:\n- a dark sofa",
        "“a photo of a cat”\n\nThe sofa was chosen as the model looked there.",
    ],
)
def test_what_a_model_says_around_a_prompt_is_left_out(text):
    assert parse_prompt(text).rstrip(".") == "a photo of a cat"


def test_several_prompts_are_refused_and_plain_ones_stay_as_they_are():
    for several in (
        "Prompt 1: a cat on a bed\n\nPrompt 2: a cat on a mat",
        "1. a cat on a bed\n2. a cat on a mat",
        "**Option A:** a cat on a bed\n\n**Option B:** a cat on a mat",
    ):
        with pytest.raises(UnusableError, match="several prompts"):
            parse_prompt(several)
    for prompt in (
        PROMPT,
        "a cat: grey, on a sofa. The light is dim. The image is grainy.",
        "The cat keeps its head low.",
        "a cat on a red sofa. The model of a ship stands behind it. I have seen such light. Tips of its ears glow.",
    ):
        assert parse_prompt(prompt) == prompt


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a photo of a cat"}',
        "Hier ist der Prompt: a photo of a cat",
        "提示词：a photo of a cat",
        "User: thanks\nAssistant: a photo of a cat",
        "Thought: it is dark.\nFinal Answer: a photo of a cat",
        "**Thinking**\nit is dark.\n\n**Answer**\na photo of a cat",
        "\\boxed{a photo of a cat}",
        "<analysis>it is dark</analysis>a photo of a cat",
        "a photo of a caf\ufffd cat",
        "a photo of a cat &amp; a caf&eacute;",
        "![a photo of a cat](https://example.org/cat.png)",
    ],
)
def test_what_is_more_than_a_prompt_is_asked_again_and_not_drawn(text):
    with pytest.raises(UnusableError, match="the prompt alone"):
        parse_prompt(text)


@pytest.mark.parametrize("around", ["{} Negative prompt: blurry, dark", "**{}**", "Prompt: {}", "{} <end>", "{}\ufffd"])
def test_the_prompt_of_an_object_is_held_to_the_same(ask, around):
    odd = chat(json.dumps({**ANSWER, "prompt": around.format(PROMPT)}))
    made, requests, _ = ask(odd, chat(json.dumps(ANSWER)))
    assert made.prompt == PROMPT and len(requests) == 2
    made, _, _ = ask(odd)
    assert made.kind == "bad prompt"


@pytest.mark.parametrize("piece", ["\n", " \n", "-\n", "here is a\n", "prompt ", "<prompt>", ". negative ", "`", '"'])
def test_an_answer_that_repeats_itself_to_its_end_is_read_at_once(piece):
    endless = (piece * 20_000)[:19_999] + "x"
    with watchdog():
        for read in (find_answer, parse_prompt, declines):
            with suppress(UnusableError):
                read(endless)


def test_a_class_may_have_any_characters():
    assert parse_prompt("a photo of a {cat}", "{cat}") == "a photo of a {cat}"


def test_line_breaks_in_texts_and_observations_with_names_are_read():
    assert parse_critique(WRITTEN.replace("orange sofa, a", "orange\nsofa, a")).prompt == PROMPT
    named = {**ANSWER, "evidence": [{"text": "heat on the sofa"}, {"observation": "a cold face"}, 5]}
    assert parse_critique(json.dumps(named)).evidence == ("heat on the sofa", "a cold face")


def test_the_complete_object_is_read_and_not_the_first():
    draft = {"cause": "I think", "prompt": "a dog"}
    example = {**ANSWER, "attended": "subject | part | background", "prompt": "for the image generator"}
    for text in (
        f"{json.dumps(draft)} and in full: {json.dumps(ANSWER)}",
        f"Like this: {json.dumps(example)}\n{json.dumps(ANSWER)}",
        f"{json.dumps(ANSWER)} {json.dumps(example)}",
        json.dumps({"critique": ANSWER}),
        json.dumps([ANSWER]),
        "{" * 30 + json.dumps(ANSWER),
    ):
        assert parse_critique(text).prompt == PROMPT
