"""Creates a working plugin package from a template."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ConfigError, suggest
from ..registry import KINDS, available

_TEMPLATES = Path(__file__).with_name("template")


def new_plugin(kind: str, name: str, into: str | Path = ".") -> Path:
    """Creates the package of a plugin with project file, README, test and entry point; returns its folder.

    Args:
        kind: "classifier", "explainer", "critic" or "synthesizer".
        name: of the plugin, in lower case with hyphens.
        into: the parent folder.

    Raises:
        ConfigError: there is no such kind, the name is not valid or is taken, or the folder exists already.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of plugin {kind!r}. {suggest(kind, KINDS)}")
    _check_name(kind, name)
    project = f"xaiaug-{name}"
    folder = Path(into, project)
    if folder.exists():
        raise ConfigError(f"{folder} exists already; choose another name, or remove it")
    module = project.replace("-", "_")
    fields = {
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
        _write(folder / path, f"{template}.j2", fields)
    return folder


def _write(path: Path, template: str, fields: dict[str, str]) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  writes Python and TOML, from checked names
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(environment.get_template(template).render(fields), encoding="utf-8")


def _class_name(kind: str, name: str) -> str:
    """Ends in the kind, so that it cannot shadow an import of the module."""
    parts = name.split("-")
    return "".join(part.capitalize() for part in (parts if parts[-1] == kind else [*parts, kind]))


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ConfigError(f"the name of a plugin must be in lower case with hyphens, such as my-{kind}; got {name!r}")
    taken = next((info for info in available(kind) if info.name == name), None)
    if taken:
        raise ConfigError(f"there is already a {kind} {name!r}, from {taken.origin}; choose another name")
