"""The command line says what went wrong in one message, and never with a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xaiaug import errors
from xaiaug.cli import main

COMMANDS = [
    *([name] for name in ("init", "plan", "run", "diagnose", "show", "report", "compare", "export", "review")),
    *([name] for name in ("status", "verify", "gc", "demo", "exam", "doctor")),
    *(["plugins", name] for name in ("list", "check", "new")),
]


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


@pytest.mark.parametrize("start", [["--help"], ["-h"]])
def test_help_names_the_commands(here, start):
    done = here(*start)
    assert done.returncode == 0
    for command in ("init", "plan", "run", "show", "compare", "export", "plugins", "--install-completion"):
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_examples_that_name_the_command_in_60_columns(here, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "60")
    done = here(*command, "-h")
    assert done.returncode == 0
    examples = done.stdout.partition("Examples:")[2].strip().splitlines()
    assert examples and all(line.strip().startswith(f"xaiaug {' '.join(command)}") for line in examples)
    assert all(len(line) <= 72 for line in done.stdout.splitlines())


def test_the_end_of_a_command_collects_no_object_of_a_heavy_package():
    code = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000)); "
    code += "from xaiaug.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_the_package_is_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "xaiaug", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_written_for_each_shell(shell):
    code = "import sys; sys.argv[0] = 'xaiaug'; from xaiaug.cli import main; main()"
    environment = {**os.environ, "_XAIAUG_COMPLETE": f"source_{shell}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "xaiaug" in done.stdout and "_XAIAUG_COMPLETE" in done.stdout


def test_an_error_is_a_line_and_a_traceback_comes_with_debug_alone(here, tmp_path):
    plain = here("status", str(tmp_path / "nothing"))
    assert plain.returncode == 1 and plain.stderr.startswith("error: ") and len(plain.stderr.splitlines()) == 1
    for arguments in (["--debug", "status", "nothing"], ["status", "nothing", "--debug"]):
        found = here(*arguments)
        assert found.returncode == 1 and "Traceback" in found.stderr and "error: " in found.stderr


def test_a_fault_of_ours_is_one_message_too(monkeypatch, here):
    monkeypatch.setattr("xaiaug.results.maintenance.status", lambda _: 1 / 0)
    done = here("status", "nothing")
    assert done.returncode == 1 and "error: ZeroDivisionError" in done.stderr
    assert "--debug" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.DataError("wrong"), 1),
        (errors.WaitingForReview("look"), 3),
        (errors.BudgetSpentError("spent"), 4),
        (errors.RunStopped("stopped"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_says_how_a_command_ended(monkeypatch, here, error, code):
    def fail(_):
        raise error

    monkeypatch.setattr("xaiaug.results.maintenance.status", fail)
    assert here("status", "nothing").returncode == code


def test_a_command_that_cannot_be_understood_is_wrong_usage(here):
    for arguments in (["runn"], ["run"], ["run", "x.toml", "--until"], ["run", "x.toml", "--set", "seeds=3"]):
        assert here(*arguments).returncode == 2


def test_version_is_told():
    import xaiaug as package

    assert xaiaug("--version").stdout.strip() == package.__version__


def test_plugins_are_listed_by_kind_and_name(here):
    done = here("plugins", "list")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines() if "measured" in line] == [["critic", "measured"]]
    assert here("plugins", "list", "critic").stdout.startswith("critic")
    listed = json.loads(here("plugins", "list", "--json").stdout)
    assert {"name": "measured", "kind": "critic"}.items() <= next(o for o in listed if o["name"] == "measured").items()


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
    done = xaiaug("plugins", "check", "synthesizer/petworld", "--set", "ignore=0.5")
    assert done.returncode == 0, done.stderr
    assert "is-deterministic" in done.stdout and ", 0 failed" in done.stdout
    failed = xaiaug("plugins", "check", "petworld", "--seconds", "0.0001", "--json")
    assert failed.returncode == 1 and "did not end within 0.0001 s" in failed.stdout
    assert json.loads(failed.stdout)["passed"] is False


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
    done = here("plugins", "check", *arguments)
    assert done.returncode == (2 if "NAME=VALUE" in message else 1)
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_new_plugin_is_written_where_it_is_asked_for(tmp_path):
    done = xaiaug("plugins", "new", "critic", "my-critic", "--into", str(tmp_path))
    assert done.returncode == 0 and "xaiaug plugins check critic/my-critic" in done.stdout
    assert (tmp_path / "xaiaug-my-critic" / "pyproject.toml").exists()
    again = xaiaug("plugins", "new", "critic", "my-critic", "--into", str(tmp_path))
    assert again.returncode == 1 and "exists already" in again.stderr


def test_a_run_ends_with_its_verdict_and_what_was_left_out(capsys, monkeypatch):
    import report_example

    from xaiaug.cli.run_summary import show_result
    from xaiaug.report.schema_arms import LeftOut

    monkeypatch.setenv("COLUMNS", "200")
    left_out = (LeftOut(name="more-real", reason="there are no real images in reserve"),)
    result = SimpleNamespace(
        report=report_example.report(left_out=left_out),
        conclusion="It helps.",
        report_path="runs/first/report.html",
        unanswered=0,
    )
    show_result(result)
    printed = capsys.readouterr().out
    places = [
        printed.index(text)
        for text in ("macro F1", "guide labels", "It helps.", "left out: more-real: there", "report.html")
    ]
    assert places == sorted(places)


def test_a_run_that_lacks_answers_is_partial(capsys):
    import report_example
    from typer import Exit

    from xaiaug.cli.run_summary import show_result

    result = SimpleNamespace(report=report_example.report(), conclusion="", report_path="", unanswered=2)
    with pytest.raises(Exit) as end:
        show_result(result)
    assert end.value.exit_code == 3 and "rerun" in capsys.readouterr().err
