"""Writes a plugin package that works as it is."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError, suggest
from ..registry import KINDS, available

_TEMPLATES = Path(__file__).with_name("template")


def new_plugin(kind: str, name: str, into: str | Path = ".") -> Path:
    """Writes the package of a plugin with settings, README, test and entry point; returns its folder.

    Args:
        kind: "classifier", "explainer", "critic" or "synthesizer".
        name: it will be asked for by, in lower case with hyphens.
        into: the folder that its own is made in.

    Raises:
        ConfigError: there is no such kind, the name cannot be used or is taken, or the folder is there already.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of plugin {kind!r}. {suggest(kind, KINDS)}")
    _check_name(kind, name)
    project = f"xaiaug-{name}"
    folder = Path(into, project)
    if folder.exists():
        raise ConfigError(f"{folder} is there already; give another name, or remove it")
    module = project.replace("-", "_")
    words = {
        "kind": kind,
        "name": name,
        "project": project,
        "module": module,
        "class_name": _class_name(kind, name),
    }
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": f"{kind}.py",
        f"tests/test_{module}.py": "test.py",
    }
    for path, template in files.items():
        _write(folder / path, f"{template}.j2", words)
    return folder


def _write(path: Path, template: str, words: dict[str, str]) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  it writes Python and TOML, from names that were checked
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(template).render(words), encoding="utf-8")


def _class_name(kind: str, name: str) -> str:
    """Ends in the kind, so that it hides nothing of what the module imports."""
    parts = name.split("-")
    return "".join(part.capitalize() for part in (parts if parts[-1] == kind else [*parts, kind]))


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ConfigError(f"a plugin's name is in lower case with hyphens, such as my-{kind}; got {name!r}")
    taken = next((info for info in available(kind) if info.name == name), None)
    if taken:
        raise ConfigError(f"the {kind} {name!r} is there already, from {taken.origin}; choose another name")
