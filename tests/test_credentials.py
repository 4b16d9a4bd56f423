"""Keys go to hosts they belong to, and are in no text, setting, traceback or list of variables."""

from __future__ import annotations

import base64
import html
import json
import pickle
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.config import parse_settings
from xaiaug.credentials import KeyMask, Secret, config_folder, find_key, looks_like_key, mask_key_shapes, trust_hosts
from xaiaug.credentials.hosts import TRUSTED
from xaiaug.errors import ConfigError

KEY = "sk-Canary/0123+4567_89=ab&cd"
KEYS = ("OPENAI_API_KEY",)


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (TRUSTED, "AZURE_OPENAI_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def every_character(form):
    return "".join(form(character) for character in KEY)


ESCAPES = {
    "as it is": lambda key: key,
    "JSON, slashes escaped": lambda key: key.replace("/", "\\/"),
    "JSON, all escaped": lambda key: every_character(lambda c: f"\\u{ord(c):04x}"),
    "JSON, upper case": lambda key: every_character(lambda c: f"\\u{ord(c):04X}"),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key.replace("/", "\\/"))),
    "hex escapes": lambda key: every_character(lambda c: f"\\x{ord(c):02x}"),
    "URL": lambda key: quote(key, safe=""),
    "URL, all": lambda key: every_character(lambda c: f"%{ord(c):02x}"),
    "URL, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "HTML": html.escape,
    "HTML, decimal": lambda key: every_character(lambda c: f"&#{ord(c)};"),
    "HTML, hexadecimal": lambda key: every_character(lambda c: f"&#x{ord(c):X};"),
    "HTML, twice": lambda key: html.escape(html.escape(key)),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64, in a URL": lambda key: quote(base64.b64encode(key.encode()).decode(), safe=""),
    "base64 of name and key": lambda key: base64.b64encode(f"me:{key}".encode()).decode(),
    "base64 of key and more": lambda key: base64.b64encode(f"it: {key}!!".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "mixed": lambda key: key.replace("s", "\\u0073").replace("C", "%43").replace("/", "&#47;").replace("_", "&lowbar;"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_a_key_is_masked_in_every_form(name):
    masked = KeyMask(Secret(KEY))(f"before {ESCAPES[name](KEY)} after")
    assert masked.startswith("before ") and masked.endswith(" after") and "[key]" in masked
    # What base64 leaves beside the mask are the characters that it shares with its neighbours.
    assert len(masked) <= len("before [key] after") + 14, masked


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60), st.data())
def test_any_key_is_masked_however_each_of_its_characters_is_escaped(key, data):
    forms = [str, lambda c: f"\\u{ord(c):04x}", lambda c: f"%{ord(c):02X}", lambda c: f"&#{ord(c)};", html.escape]
    escaped = "".join(data.draw(st.sampled_from(forms))(character) for character in key)
    assert KeyMask(Secret(key))(f"<{escaped}>") in ("<[key]>", "<[key]")


def test_what_is_no_key_stays_and_a_short_word_is_none():
    text = 'a cat, "grey" \\u00e4 %20 &amp; c2stY2F0'
    assert KeyMask(Secret(KEY))(text) == text
    assert KeyMask(Secret("none"), Secret(""))("none of them") == "none of them"
    assert KeyMask(Secret("abcdefgh"), Secret("abcdefghijkl"))("abcdefghijkl") == "[key]"


def test_a_secret_is_shown_nowhere():
    secret = Secret(KEY)
    shown = [repr(secret), str(secret), f"{secret:>9}", repr([secret]), repr(KeyMask(secret)), str(hash(secret))]
    assert not [text for text in shown if KEY in text] and secret.reveal() == KEY
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)
    try:
        find_key("https://example.org", KEYS, "openai")
    except ConfigError as error:
        captured = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert KEY not in "".join(captured.format())


SHAPES = [
    "sk-ant-REDACTED",
    "sk-proj-abcdefgh12345678",
    "github_pat_11ABCDEFG0abcdefghij_klmnopqrstuvwxyz",
    "ghp_abcdefghijklmnop1234",
    "gho_abcdefghijklmnop1234",
    "glpat-abcdefghij1234567890",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
    "Basic bWU6c2VjcmV0MTIz",
    "basic bWU6c2VjcmV0MTIz",
    "Bearer abcdefghijkl1234",
    "https://me:secret@example.org/v1",
    "http://:secret@example.org",
    "https://example.org/v1?api_key=abcdef123456",
    "https://example.org/v1?x=1&token=abcdef123456",
    "https://example.org/v1#access_token=abcdef123456",
    "https://example.org/v1#A1b2C3d4E5f6G7h8I9j0K1",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "-----BEGIN RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_looks_like_a_key_is_refused_in_settings_and_masked_in_messages(shape):
    assert looks_like_key(f"see {shape} there")
    for table in ({"domain": f"see {shape} there"}, {"templates": {"system": shape}}, {shape: 1}):
        with pytest.raises(ConfigError, match="looks like a key") as caught:
            parse_settings({"critic": {"name": "openai", **table}})
        assert shape not in str(caught.value)
    assert shape not in mask_key_shapes(f"see {shape} there")


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-photos",
        "Basic photographs of cats",
        "a basic12345 pattern",
        "https://example.org/cats?page=2#the-second",
        "C:\\photos\\key=value",
        "http://localhost:11434/v1",
        "ssh://git@example.org/cats.git",
        "bearer of bad news",
        "gh_pages_of_the_project",
        "key-frames-and-more-frames",
        "AKIA",
    ],
)
def test_what_is_no_key_is_accepted(text):
    assert not looks_like_key(text)


@pytest.mark.parametrize(
    "address",
    [
        "https://api.openai.com/v1",
        "https://API.OpenAI.com",
        "https://api.openai.com:443",
        "https://my-co.openai.azure.com/openai",
    ],
)
def test_a_provider_gets_its_own_key(address):
    assert find_key(address, KEYS, "openai").reveal() == KEY


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/v1",
        "https://api.openai.com.example.org/v1",
        "https://notapi.openai.com.evil.example",
        "https://openai.azure.com.example.org",
        "https://xopenai.azure.com",
        "https://localhost.example.org",
        "http://127.0.0.1.nip.io/v1",
        "http://192.168.1.7:8000/v1",
        "http://0.0.0.0:8000/v1",
        "http://2130706433/v1",
    ],
)
def test_a_host_that_nobody_knows_gets_nothing_and_the_error_says_what_to_do(address):
    with pytest.raises(ConfigError, match=r"--trust-host .*trusted-hosts.*XAIAUG_KEY_") as caught:
        find_key(address, KEYS, "openai")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org\\@api.openai.com/v1",
        "https://api.openai.com@example.org/v1",
        "https://api.openai.com\t.example.org",
        "https://api.openai.com\n.example.org",
        "https://api.openai.com#@example.org",
        "https://api.openai.com?@example.org",
        "https://аpi.openai.com",
        "file:///etc/passwd",
        "//api.openai.com",
        "https://api.openai.com:99999",
        "https://[::1",
        "",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_refused(address):
    with pytest.raises(ConfigError, match="base_url must"):
        find_key(address, KEYS, "openai")


def test_a_known_provider_is_not_called_without_encryption():
    with pytest.raises(ConfigError, match="by https"):
        find_key("http://api.openai.com/v1", KEYS, "openai")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1234/v1", "http://localhost:1/v1", "http://[::1]:80/v1"])
def test_this_machine_gets_no_key_unless_named(address, monkeypatch):
    assert not find_key(address, KEYS, "openai")
    trust_hosts(["127.0.0.1", "LOCALHOST", "::1"])
    assert find_key(address, KEYS, "openai").reveal() == KEY
    monkeypatch.delenv("OPENAI_API_KEY")
    assert not find_key(address, KEYS, "openai"), "a trusted server may need no key"


def test_three_ways_to_name_a_host(monkeypatch):
    address = "https://llm.example.org/v1"
    monkeypatch.setenv("XAIAUG_KEY_LLM_EXAMPLE_ORG", "for-this-host-alone")
    assert find_key(address, KEYS, "openai").reveal() == "for-this-host-alone"
    monkeypatch.delenv("XAIAUG_KEY_LLM_EXAMPLE_ORG")
    monkeypatch.setenv(TRUSTED, "")
    trust_hosts(["llm.example.org"])
    assert find_key(address, KEYS, "openai").reveal() == KEY
    monkeypatch.setenv(TRUSTED, "")
    config_folder().mkdir()
    (config_folder() / "trusted-hosts").write_text("# ours\n*.example.org  # all of it\n", encoding="utf-8")
    assert find_key(address, KEYS, "openai").reveal() == KEY
    with pytest.raises(ConfigError):
        find_key("https://example.org.evil.example", KEYS, "openai")


def test_another_provider_gets_its_own_key_or_none(monkeypatch):
    with pytest.raises(ConfigError, match="set the environment variable GROQ_API_KEY"):
        find_key("https://api.groq.com/openai/v1", KEYS, "openai")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-of-groq")
    assert find_key("https://api.groq.com/openai/v1", KEYS, "openai").reveal() == "gsk-of-groq"


@pytest.mark.parametrize("key", [f"{KEY}\nHost: x", "sk-ключ-0123456789", "two words"])
def test_a_key_that_cannot_be_sent_is_found_before_anything_is(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds no key") as caught:
        find_key("https://api.openai.com/v1", KEYS, "openai")
    assert key not in str(caught.value)


@pytest.mark.parametrize("host", ["https://example.org", "*", "*.", "a b", "exa_mple.org/v1", ""])
def test_only_hosts_can_be_trusted(host):
    with pytest.raises(ConfigError, match="is not a host"):
        trust_hosts([host])


@pytest.mark.parametrize("piece", ["s", "\\", "%25", "&amp;", "sk-", "eyJ-", "a://", "?a.", "c2st", "a.eyJ", "&#0"])
def test_no_text_takes_long(piece):
    """Without bounds on what is repeated, some of these take minutes."""
    text = piece * (40_000 // len(piece))
    assert len(KeyMask(Secret(KEY))(text)) == len(text)
    looks_like_key(text)
    mask_key_shapes(text)
