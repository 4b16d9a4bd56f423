"""On a terminal a run that costs money shows its plan and asks; elsewhere it needs a budget."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fakes import ColourCritic, paint_folder
from test_planning import loop

from xaiaug import Splits
from xaiaug.cli.confirm import confirm_spending
from xaiaug.errors import ConfigError


def confirm(loop, run_dir, until):
    confirm_spending(loop, lambda: loop.plan(run_dir=run_dir, until=until))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 4, "guide": 20, "validation": 2, "test": 4})


@pytest.fixture
def terminal(monkeypatch):
    """Answers what is asked; gives what was said."""

    def answering(text):
        said = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(text))
        monkeypatch.setattr(sys, "stderr", said)
        return said

    return answering


def planned(folder, **changed):
    return loop(settings={"data": {"folder": str(folder)}}, **changed)


def test_the_plan_is_shown_and_a_yes_sets_the_budget_to_its_upper_end(folder, tmp_path, terminal):
    said, made = terminal("y\n"), planned(folder, budget_usd=None)
    upper = made.plan(run_dir=tmp_path / "run").total.usd[1]
    confirm(made, tmp_path / "run", None)
    assert "api.example.org" in said.getvalue() and "mistakes to learn from" in said.getvalue()
    assert upper <= made.settings.budget.usd < upper + 0.01


def test_a_no_ends_it_with_nothing_done(folder, tmp_path, terminal):
    terminal("n\n")
    with pytest.raises(typer.Abort):
        confirm(planned(folder), tmp_path / "run", None)
    assert not (tmp_path / "run").exists()


def test_a_budget_that_was_given_stands(folder, tmp_path, terminal):
    terminal("y\n")
    made = planned(folder, budget_usd=3.0)
    confirm(made, tmp_path / "run", None)
    assert made.settings.budget.usd == 3.0


def test_nobody_is_asked_where_nothing_is_spent(folder, tmp_path, terminal):
    said = terminal("")
    confirm(planned(folder, critic=ColourCritic()), tmp_path / "run", None)
    confirm(planned(folder, budget_usd=None), tmp_path / "run", "explain")
    assert said.getvalue() == ""


def test_what_nobody_can_price_needs_a_budget(folder, tmp_path, terminal):
    class Silent(ColourCritic):
        remote = True

    terminal("y\n")
    with pytest.raises(ConfigError, match="--budget-usd"):
        confirm(planned(folder, critic=Silent(), budget_usd=None), tmp_path / "run", None)


def test_without_a_terminal_nobody_is_asked_and_the_run_refuses(folder, tmp_path):
    made = planned(folder, budget_usd=None)
    confirm(made, tmp_path / "run", None)
    with pytest.raises(ConfigError, match="budget_usd"):
        made.run(Splits.from_folder(folder), tmp_path / "run")


SHOP = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import xaiaug
from xaiaug.registry import registry
class Shop:
    @staticmethod
    @xaiaug.hookimpl
    def register_critics(register):
        register("paying", "test_planning:Paying")
registry().add(Shop, "shop")
from xaiaug.cli import main
main()
"""


def command(*arguments, cwd):
    code = [sys.executable, "-c", SHOP, str(Path(__file__).parent), *arguments]
    return subprocess.run(code, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def config(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("settings") / "mine.toml"
    place.write_text(
        f'[data]\nfolder = "{folder.as_posix()}"\n[classifier]\ncheckpoint = "nowhere/at-all"\n'
        '[critic]\nname = "paying"\n'
        "[budget]\nprices = { a-model = { input_usd_per_mtok = 3, output_usd_per_mtok = 15 } }\n"
    )
    return place


def test_the_command_plans_without_key_network_weights_or_permission(config, tmp_path):
    done = command("plan", str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("generated+training", "total", "api.example.org", "allow_upload = true", "budget_usd", "a-model"):
        assert word in done.stdout
    assert not (tmp_path / "runs").exists()
    told = json.loads(
        command("plan", str(config), "--json", "--allow-upload", "--budget-usd", "2", cwd=tmp_path).stdout
    )
    assert told["obstacles"] == [] and told["total"]["usd"][1] > 0 and told["budget_usd"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "allow it with [privacy] allow_upload = true"),
        (("--allow-upload", "--yes"), "set budget_usd"),
    ],
)
def test_a_run_that_may_not_begin_says_so_in_one_line(config, tmp_path, options, message):
    done = command("run", str(config), *options, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
