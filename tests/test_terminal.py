"""No text that others wrote reaches the terminal as a command to it."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import rich.console
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from xaiaug.cli.app import app
from xaiaug.cli.terminal import SafeStream, escape, escape_line, make_console, print_message, safe_streams

pytestmark = pytest.mark.ci  # each test starts the command in a process of its own

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
TITLE = "\x1b]0;owned\x07"  # sets the title of a terminal
LINK = "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\"
HOSTILE = f"cat{TITLE}\x9b2J\u202egpj.exe\r\x1b[1A[red]dog[/red]"
CODE = "from xaiaug.cli import main; main()"


def _find_unsafe(text: str) -> set[str]:
    allowed = "\n\t\u200c\u200d"
    return {character for character in text if unicodedata.category(character) in UNSAFE and character not in allowed}


def _run_on_a_terminal(*arguments: str, code: str = CODE, cwd: Path | None = None) -> str:
    """What a command writes to a terminal, both streams."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while data := os.read(ours, 65536):
            written += data
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    process.wait()
    return written.decode(errors="surrogateescape")


@given(st.text(st.characters(exclude_categories=())))
def test_no_character_that_commands_a_terminal_is_left(text: str) -> None:
    assert not _find_unsafe(escape(text))
    assert escape(escape(text)) == escape(text)
    assert not {"\n", "\t"} & set(escape_line(text))


def test_what_can_be_read_stays_as_it_is() -> None:
    for text in ("naïve café – “ok”", "گربه‌ها", "猫", "👩‍👩‍👧", "two\nlines\tand a tab", "C:\\x1b"):
        assert escape(text) == text


def test_a_stream_writes_what_its_encoding_holds() -> None:
    below = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print("é \x1b[0m \udcff", file=SafeStream(below), flush=True)
    assert below.buffer.getvalue() == rb"\xe9 \x1b[0m \udcff" + os.linesep.encode()  # type: ignore[attr-defined]


def test_a_console_keeps_its_own_codes_and_none_of_the_text() -> None:
    below = io.StringIO()
    below.isatty = lambda: True  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stdout", below)
        with safe_streams():
            console = make_console()
            console.print(HOSTILE, style="bold")
            console.print(rich.text.Text(HOSTILE + LINK))
    written = below.getvalue()
    assert "\x1b[1m" in written and "[red]dog[/red]" in written
    assert not _find_unsafe(written.replace("\x1b[1m", "").replace("\x1b[0m", ""))


def test_a_later_line_of_a_message_passes_for_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_message("error: no file 'a\nOK: no problems found'")
    assert capsys.readouterr().out == "error: no file 'a\n  OK: no problems found'\n"


@pytest.mark.parametrize(
    "arguments",
    [[HOSTILE], ["status", HOSTILE], ["plugins", "check", HOSTILE], ["plugins", "check", "hog", "--set", HOSTILE]],
)
def test_arguments_come_back_escaped(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode and "Traceback" not in done.stderr
    assert "owned" in done.stderr and not _find_unsafe(done.stdout + done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot exist there")
@pytest.mark.parametrize("where", ["class", "file", "setting"])
def test_names_on_disk_come_back_escaped(where: str, tmp_path: Path) -> None:
    hostile = HOSTILE.replace("/", "|") + "\udcff\nOK: no problems found"
    folder = tmp_path / "photos"
    classes = [hostile if where == "class" else "cat", "dog"]
    for name in classes:
        for index in range(3):
            (folder / "train" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (index * 40, 9, 9)).save(folder / "train" / name / f"{index}.png")
    (folder / "train" / "dog" / (f"{hostile}.png" if where == "file" else "bad.png")).write_bytes(b"no image")
    text = f'[data]\nfolder = {json.dumps(str(folder))}\n[classifier]\nname = "hog"\n'
    if where == "setting":
        text += f"[critic]\nname = {json.dumps(HOSTILE)}\n"
    (tmp_path / "my.toml").write_text(text.replace("\\udcff", "\\uFFFD"), encoding="utf-8")
    written = _run_on_a_terminal("plan", "my.toml", cwd=tmp_path)
    assert not _find_unsafe(written.replace("\r\n", "\n"))
    assert not any(line.startswith("OK:") for line in written.splitlines())
    assert "Traceback" not in written


def _write_plugin(folder: Path, source: str) -> None:
    (folder / "hostile_plugin.py").write_text(source, encoding="utf-8")
    info = folder / "hostile_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[xaiaug]\nhostile = hostile_plugin\n")


def test_what_a_plugin_raises_prints_and_is_called_is_escaped(tmp_path: Path) -> None:
    _write_plugin(
        tmp_path,
        f"import sys, warnings, xaiaug\nHOSTILE = {HOSTILE!r}\n"
        "print(HOSTILE, file=sys.stderr)\nwarnings.warn(HOSTILE)\n"
        "class Bad(xaiaug.Critic):\n    def critique(self, cases): print(HOSTILE); raise ValueError(HOSTILE)\n"
        "@xaiaug.hookimpl\ndef register_critics(register): register('bad' + HOSTILE, Bad); register('plain', Bad)\n",
    )
    listed = _run_on_a_terminal("plugins", "list", cwd=tmp_path)
    assert r"bad" in listed and "owned" in listed
    assert not _find_unsafe(listed.replace("\r\n", "\n"))
    checked = subprocess.run(
        [sys.executable, "-c", CODE, "plugins", "check", "plain"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "owned" in checked.stdout and not _find_unsafe(checked.stdout + checked.stderr)


@pytest.mark.parametrize(
    ("source", "command", "kept"),
    [
        ("raise ValueError(HOSTILE)", "plugins list", "measured"),
        ("sys.exit(HOSTILE)", "plugins list", "measured"),
        ("sys.exit(HOSTILE)", "doctor", "available"),
    ],
)
def test_a_plugin_that_cannot_be_imported_empties_no_listing(
    source: str, command: str, kept: str, tmp_path: Path
) -> None:
    _write_plugin(tmp_path, f"import sys\nHOSTILE = {HOSTILE!r}\n{source}\n")
    written = _run_on_a_terminal(*command.split(), cwd=tmp_path)
    assert not _find_unsafe(written.replace("\r\n", "\n"))
    assert "owned" in written and kept in written


def test_commands_are_safe_without_main() -> None:
    result = CliRunner().invoke(app, ["run" + HOSTILE])
    assert result.exit_code == 2 and not _find_unsafe(result.output)


def test_a_fault_of_ours_is_shown_escaped() -> None:
    code = f"import xaiaug.cli.app as it\ndef fail(): raise RuntimeError({HOSTILE!r})\nit.app = fail\nit.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "RuntimeError: cat" in done.stderr and not _find_unsafe(done.stderr)


def test_progress_is_escaped_on_a_terminal() -> None:
    code = (
        "import sys, warnings\nfrom xaiaug.cli.progress_display import show_progress\n"
        "from xaiaug.cli.terminal import safe_streams\nfrom xaiaug.records import Progress\n"
        f"with safe_streams(), show_progress() as watch:\n    watch(Progress('x[bold]' + {TITLE!r}, 1, 2, {LINK!r}))\n"
        f"    print({LINK!r})\n    warnings.warn({LINK!r})\n"
    )
    written = _run_on_a_terminal(code=code)
    assert "x[bold]" in written and "evil.example" in written
    assert "\x1b]" not in written and "\x07" not in written
