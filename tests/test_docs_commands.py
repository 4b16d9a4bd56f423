"""Commands and settings that the documentation shows exist, and those of the tutorials run."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from critic_cases import sensible
from test_docs import ROOT, snippets
from typer.testing import CliRunner

from xaiaug import config, petworld
from xaiaug.cli.app import app
from xaiaug.testing import Loopback

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def commands(page: str) -> Iterator[list[str]]:
    """The commands of a page, in words."""
    for block in snippets(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def parse(words: list[str]) -> str:
    """Has the command line take these words, without running anything; the name of the command."""
    command: Any = typer.main.get_command(app)  # a group of commands, of the click that typer brings
    context = command.make_context("xaiaug", list(words))
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, words, parent=context)
    return str(command.name)


def check_script(words: list[str]) -> None:
    """A script of the repository is there and has the options that it is given."""
    shared = ROOT / "benchmarks" / "reporting.py"  # the options that all benchmarks have
    text = (ROOT / words[0]).read_text(encoding="utf-8") + shared.read_text(encoding="utf-8")
    for option in (word.partition("=")[0] for word in words[1:] if word.startswith("--")):
        assert f'"{option}"' in text, f"{words[0]} has no {option}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_exists_and_takes_what_it_is_given(page: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for words in commands(page):
        if words[0] == "xaiaug" and not words[1].endswith("-completion"):
            assert parse(words[1:]) in words, words
        elif words[0] == "make":
            assert words[1] in targets
        elif words[0] == "python" and words[1] != "-m":
            check_script(words[1:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rum photos.toml", "No such command"),
        ("run a.toml --stepps 3", "No such option"),
        ("show", "Missing parameter"),
    ],
)
def test_a_command_that_does_not_exist_is_found(words: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        parse(words.split())


def test_an_option_that_a_script_does_not_have_is_found() -> None:
    with pytest.raises(AssertionError, match="has no --no-such"):
        check_script(["benchmarks/photos.py", "--no-such"])


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/plugins.md"])
def test_every_settings_snippet_of_a_page_is_valid(page: str) -> None:
    for text in snippets(page, "toml"):
        config.parse_settings(tomllib.loads(text))


class Reader:
    """Follows a page from a folder with photos: writes its settings file, and runs its commands."""

    def __init__(self) -> None:
        self.checkpoint = petworld.checkpoint().as_posix()
        self.more_settings = ""
        self.printed: dict[str, str] = {}  # by command

    def follow(self, page: str) -> None:
        blocks = re.findall(r"^```(console|toml)\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)
        for language, text in blocks:
            if language == "toml":
                self.write(text)
            else:
                for line in text.splitlines():
                    self.run(shlex.split(line, comments=True))

    def write(self, settings: str) -> None:
        """Writes a settings file as the page has it, but for the checkpoint and the number of steps."""
        if "[data]" in settings:
            smaller = settings.replace("facebook/dino-vits16", self.checkpoint).replace("steps = 100", "steps = 2")
            Path("photos.toml").write_text(smaller + self.more_settings, encoding="utf-8")

    def run(self, words: list[str]) -> None:
        if words[0] != "xaiaug" or words[1] == "doctor":  # pip and export; doctor judges this machine
            return
        if words[1] == "init":
            words = [*words, "--checkpoint", self.checkpoint]
        words = [{"50": "2", "experiment.seeds=[0, 1, 2]": "experiment.seeds=[1]"}.get(word, word) for word in words]
        done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
        assert done.exit_code == 0, (words, done.output)
        self.printed[" ".join(words[1:3])] = done.output


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    sizes = {"train": 24, "guide": 60, "validation": 8, "test": 12}
    petworld.write_world(tmp_path / "photos", sizes=sizes, seed=3)
    monkeypatch.chdir(tmp_path)
    return Reader()


@pytest.mark.ci
def test_the_tutorial_on_photographs_ends_with_a_comparison_and_new_images(reader: Reader) -> None:
    reader.follow("docs/own-photographs.md")
    assert "generated+training" in reader.printed["compare runs/first"]
    assert list(Path("new-images").rglob("*.png"))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("page", "variable", "path"),
    [("docs/paid-critic.md", None, ""), ("docs/local-critic.md", "OLLAMA_BASE_URL", "/v1")],
    ids=["paid", "local"],
)
def test_the_page_on_a_critic_asks_once_about_each_mistake(
    page: str, variable: str | None, path: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    with Loopback(sensible) as server:
        for name, value in (server.environment() if variable is None else {variable: server.url + path}).items():
            monkeypatch.setenv(name, value)
        if variable:  # it is free at its usual address alone
            reader.more_settings = '[budget]\nprices = { "qwen3-vl" = { local = true } }\n'
        reader.follow(page)
    asked = {json.dumps(request.body, sort_keys=True) for request in server.requests}
    assert len(asked) == len(server.requests) > 0
    if variable is None:
        assert f"for {len(asked)} calls" in reader.printed["status runs/first"]
