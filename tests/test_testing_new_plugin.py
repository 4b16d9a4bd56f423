"""A new plugin's package is whole: its plugin keeps the rules as it is, and its name can be used."""

import importlib
import tomllib

import pytest

from xaiaug.errors import ConfigError
from xaiaug.registry import KINDS, Registry
from xaiaug.testing import new_plugin, run_checks


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_registers_its_plugin_which_keeps_the_rules(kind, tmp_path, monkeypatch):
    folder = new_plugin(kind, f"brand-new-{kind}", tmp_path)
    monkeypatch.syspath_prepend(folder)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["xaiaug"].values()
    registry = Registry()
    registry.add(importlib.import_module(module), module)
    plugin = registry.create(kind, f"brand-new-{kind}", {})
    outcomes = list(run_checks(type(plugin)))
    assert [outcome for outcome in outcomes if not outcome.ok] == []
    assert sum(outcome.state == "passed" for outcome in outcomes) >= 20
    assert f"[{kind}]" in (folder / "README.md").read_text()
    assert "parametrize_checks" in (folder / "tests" / f"test_{module}.py").read_text()


@pytest.mark.parametrize("name", ["Image", "my_plugin", "-x", "x-", "7up", "", "a b"])
def test_a_name_that_cannot_be_used_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="in lower case with hyphens"):
        new_plugin("critic", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_taken_name_an_unknown_kind_and_a_folder_in_use_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="already a critic 'measured', from xaiaug.plugins"):
        new_plugin("critic", "measured", tmp_path)
    with pytest.raises(ConfigError, match="no kind of plugin 'critics'. Did you mean 'critic'"):
        new_plugin("critics", "mine", tmp_path)
    (tmp_path / "xaiaug-mine").mkdir()
    with pytest.raises(ConfigError, match="exists already; choose another name"):
        new_plugin("critic", "mine", tmp_path)


def test_a_name_that_is_also_a_module_or_class_it_needs_works(tmp_path, monkeypatch):
    folder = new_plugin("explainer", "image", tmp_path)
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("xaiaug_image")
    assert all(outcome.ok for outcome in run_checks(module.ImageExplainer))
