"""The site's reference pages say what every setting, parameter, public name and error means."""

import importlib.util
import re
from pathlib import Path

import pytest

import xaiaug
from xaiaug.config import Settings
from xaiaug.records import Recipe
from xaiaug.registry import KINDS, registry

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "docs/reference_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(page):
    """The cells of every row of every table, heads aside."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_setting_has_a_meaning_a_type_and_a_default(pages):
    page = pages.settings_page()
    for name, field in Settings.model_fields.items():
        assert f"## [{name}" in page
        for key in getattr(field.annotation, "model_fields", {}):
            assert key == "name" or f"| `{key}` |" in page
    assert "| `weight_decay` |" in page and Recipe().weight_decay == 0.05
    assert all(len(row) == 4 and all(row) for row in rows(page))


@pytest.mark.ci
def test_every_parameter_of_a_built_in_plugin_has_a_meaning(pages):
    page = pages.plugins_page()
    for kind in KINDS:
        for plugin in registry().available(kind):
            assert f"\n### {plugin.name}\n" in page
    assert [row for row in rows(page) if not row[1]] == []


def test_every_public_name_and_error_stands_on_a_page(pages):
    page, errors = pages.api_page(), pages.errors_page()
    assert all(f":: xaiaug.{name}" in page for name in xaiaug.__all__)
    assert "`· · BudgetSpentError`" in errors and all(row[2] for row in rows(errors))


def test_a_type_is_described_in_the_words_of_a_settings_file(pages):
    told = {
        hint: pages.describe_type(hint)
        for hint in (int, str | None, tuple[int, ...], tuple[float, float], dict[str, int])
    }
    assert list(told.values()) == ["integer", "text or none", "list of integer", "pair", "table"]
