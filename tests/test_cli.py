"""The command line says what went wrong in one message, and never with a traceback."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xaiaug.cli import main


def xaiaug(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from xaiaug.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True, cwd=cwd, timeout=120
    )


@pytest.fixture
def here(monkeypatch, capsys):
    """Runs the command in this process, whose start is not what is tested."""

    def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["xaiaug", *arguments])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as end:
            main()
        return subprocess.CompletedProcess(arguments, end.value.code, *capsys.readouterr())

    return run


def test_help_names_the_commands():
    done = xaiaug("--help")
    assert done.returncode == 0
    for command in ("run", "demo", "plugins"):
        assert command in done.stdout


def test_version_is_told():
    import xaiaug as package

    assert xaiaug("--version").stdout.strip() == package.__version__


def test_plugins_are_listed_by_kind_and_name():
    done = xaiaug("plugins")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines() if "measured" in line] == [["critic", "measured"]]
    assert xaiaug("plugins", "critic").stdout.startswith("critic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "there is no settings file"),
        ("[data", "is not TOML"),
        ('[data]\nfolder = "nowhere"\n[classifier]\nname = "transformers"\ncheckpoint = "x"\n', "nowhere"),
        ('[data]\nfolder = "."\n[classifier]\nname = "transfomers"\n', "Did you mean 'transformers'"),
        ('[data]\nfolder = "."\n[classifier]\nname = "transformers"\ncheckpont = "x"\n', "Did you mean 'checkpoint'"),
        ('[data]\nfolder = "."\n[classifier]\nname = "transformers"\n', "needs the parameter 'checkpoint'"),
        ('[dat]\nfolder = "."\n', "Did you mean 'data'"),
    ],
)
def test_a_wrong_start_is_one_message_without_a_traceback(tmp_path, here, settings, message):
    if settings is not None:
        (tmp_path / "my.toml").write_text(settings)
    done = here("run", "my.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "first" / "ledger.sqlite").exists()


def test_a_plugin_is_checked_by_name_and_the_exit_status_tells():
    done = xaiaug("check", "synthesizer/petworld", "--set", "ignore=0.5")
    assert done.returncode == 0, done.stderr
    assert "is-deterministic" in done.stdout and ", 0 failed" in done.stdout
    failed = xaiaug("check", "petworld", "--seconds", "0.0001")
    assert failed.returncode == 1 and "did not end within 0.0001 s" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["petwrld"], "Did you mean 'petworld'"),
        (["critic/petworld"], "there is no critic 'petworld'"),
        (["petworld", "--set", "ignore"], "give a parameter as NAME=VALUE"),
        (["petworld", "--set", "ignroe=0.5"], "Did you mean 'ignore'"),
        (["petworld", "--set", "ignore=much"], "parameter 'ignore' is invalid"),
        (["transformers"], "needs the parameter 'checkpoint'"),
    ],
)
def test_a_plugin_that_cannot_be_checked_is_one_message(here, arguments, message):
    done = here("check", *arguments)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_new_plugin_is_written_where_it_is_asked_for(tmp_path):
    done = xaiaug("new-plugin", "critic", "my-critic", "--into", str(tmp_path))
    assert done.returncode == 0 and "xaiaug check critic/my-critic" in done.stdout
    assert (tmp_path / "xaiaug-my-critic" / "pyproject.toml").exists()
    again = xaiaug("new-plugin", "critic", "my-critic", "--into", str(tmp_path))
    assert again.returncode == 1 and "exists already" in again.stderr


def test_a_run_ends_with_its_verdict_and_what_was_left_out(capsys):
    import report_example

    from xaiaug.cli.app import _show
    from xaiaug.report.schema_arms import LeftOut

    left_out = (LeftOut(name="more-real", reason="there are no real images in reserve"),)
    result = SimpleNamespace(
        report=report_example.report(left_out=left_out),
        table=lambda: "the table",
        resources=lambda: "what each arm used",
        conclusion="It helps.",
        report_path="runs/first/report.html",
    )
    _show(result)
    printed = capsys.readouterr().out
    places = [
        printed.index(text)
        for text in ("the table", "what each", "It helps.", "left out: more-real: there", "report.html")
    ]
    assert places == sorted(places)
