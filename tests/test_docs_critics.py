"""What the page on critics shows works, against a server on this machine."""

from __future__ import annotations

import re
import tomllib

import pytest
from critic_cases import PROMPT, sensible
from PIL import Image
from test_docs import snippets

from xaiaug import available, config
from xaiaug.calls import Prices
from xaiaug.plugins.critics._templates import FIELDS, TEMPLATES
from xaiaug.registry import registry
from xaiaug.testing import Loopback

PAGE = "docs/critics.md"


@pytest.mark.ci
def test_the_snippets_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("anthropic")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (120, 90), "grey").save("cat.jpg")
    namespace = {"__name__": "reader"}
    with Loopback(sensible) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for code in snippets(PAGE):
            exec(compile(code.replace("cases=60", "cases=6"), PAGE, "exec"), namespace)  # noqa: S102  our own page
    shown = capsys.readouterr().out
    assert PROMPT in shown and namespace["exam"].sentence in shown


@pytest.mark.parametrize("text", snippets(PAGE, "toml"))
def test_the_settings_are_settings_of_these_critics(text):
    settings = config.parse_settings(tomllib.loads(text))
    registry().create("critic", settings.critic.name, settings.critic.parameters)
    Prices(settings.budget.prices)


def test_the_page_names_all_critics_and_templates():
    from test_docs import ROOT

    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert {f"`{info.name}`" for info in available("critic")} <= set(re.findall(r"`[\w-]+`", page))
    assert all(f'"{name}"' in page for name in TEMPLATES)
    assert all(f"`{{{field}}}`" in page for fields in FIELDS.values() for field in fields)
