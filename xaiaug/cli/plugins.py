"""The commands about plugins and the installation: plugins list, check and new; doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Parameters
from .table_layout import print_table
from .terminal import print_json, print_line

Kind = Annotated[str | None, typer.Argument(help="classifier, explainer, critic or synthesizer.")]


def list_plugins(kind: Kind = None, as_json: AsJson = False) -> None:
    """List the available plugins, and why some cannot be used."""
    from ..doctor import find_installed_extras
    from ..registry import available

    extras = find_installed_extras()
    found = available(kind)
    if as_json:
        print_json([{**asdict(info), "needs": _find_need(info.extra, extras)} for info in found])
        return
    rows = []
    for info in found:
        need = _find_need(info.extra, extras)
        notes = [f"needs xaiaug[{need}]"] * bool(need) + [f"cannot be used: {info.error}"] * bool(info.error)
        rows.append((info.kind, info.name, "; ".join([info.origin, *notes])))
    print_table(("", "", ""), rows, prose=True)


def _find_need(extra: str | None, installed: set[str] | frozenset[str]) -> str | None:
    return extra if extra and extra not in installed else None


def check(
    name: Annotated[str, typer.Argument(help="A plugin listed by `xaiaug plugins list`: NAME or KIND/NAME.")],
    parameters: Parameters = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Time limit of each check.")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Check that a plugin follows the rules of its kind. Exits with 1 if it does not."""
    from .check import show_checks

    if not show_checks(name, parameters or [], seconds, as_json=as_json):
        raise typer.Exit(1)


def new(
    kind: Annotated[str, typer.Argument(help="classifier, explainer, critic or synthesizer.")],
    name: Annotated[str, typer.Argument(help="Its name, such as my-explainer.")],
    into: Annotated[Path, typer.Option("--into", help="The folder to create the package folder in.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a package with a working plugin to start from."""
    from ..testing import new_plugin as write

    folder = write(kind, name, into)
    if as_json:
        print_json({"folder": str(folder)})
        return
    print_line(f"wrote {folder}; to try it:")
    print_line(f"  pip install -e {folder}")
    print_line(f"  xaiaug plugins check {kind}/{name}")


def doctor(as_json: AsJson = False) -> None:
    """Report problems of this installation. Says how to fix them; exits with 1 if anything is wrong."""
    from ..doctor import examine

    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows: list[tuple[str, str, str]] = []
        for finding in findings:
            rows.append((finding.state, finding.topic, finding.text))
            rows += [("", "", finding.todo)] if finding.todo else []
        print_table(("", "", ""), rows, prose=True)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
