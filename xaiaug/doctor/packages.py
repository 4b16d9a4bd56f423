"""The installed packages against what this one asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .finding import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

NAME = "xaiaug"
BUNDLES = ("all", "dev")  # made of other extras, or for those who work on this package


def packages(asked: Iterable[str] | None = None) -> Iterator[Finding]:
    """A finding for the core, and one for each extra.

    Args:
        asked: requirements as metadata tell them; None: those of the installed package.
    """
    try:
        lines = requires(NAME) or () if asked is None else asked
    except PackageNotFoundError:
        yield Finding("packages", "wrong", f"{NAME} is found but not installed", f"pip install {NAME}")
        return
    for extra, wanted in sorted(_by_extra(lines).items()):
        told = [_problem(requirement) for requirement in wanted]
        absent = [requirement.name for requirement, said in zip(wanted, told, strict=True) if said == ""]
        outside = [said for said in told if said]
        yield _finding(extra, absent, outside, len(wanted))


def installed_extras(asked: Iterable[str] | None = None) -> set[str]:
    """The extras whose packages are all there, in versions that fit.

    Args:
        asked: as in `packages`.
    """
    try:
        lines = requires(NAME) or () if asked is None else asked
    except PackageNotFoundError:
        return set()
    return {extra for extra, wanted in _by_extra(lines).items() if not any(_problem(one) is not None for one in wanted)}


def torchvision() -> Iterator[Finding]:
    """Tells of a torchvision that is installed and cannot be imported: transformers judges by the first alone."""
    if find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except Exception as error:  # noqa: BLE001  a broken build raises whatever it likes
        yield Finding(
            "packages",
            "wrong",
            f"torchvision is installed but cannot be imported ({type(error).__name__}): transformers will try to",
            "pip uninstall torchvision (xaiaug does not need it), or install the build that fits your torch",
        )


def _by_extra(asked: Iterable[str]) -> dict[str, list[Requirement]]:
    from packaging.requirements import Requirement

    extras: dict[str, list[Requirement]] = defaultdict(list)
    for line in asked:
        requirement = Requirement(line)
        extra = _extra(requirement)
        if extra not in BUNDLES:
            extras[extra].append(requirement)
    return extras


def _extra(requirement: Requirement) -> str:
    """The extra a requirement belongs to; empty for the core."""
    _, named, rest = str(requirement.marker or "").partition("extra == ")
    return rest.split()[0].strip("\"')") if named else ""


def _problem(requirement: Requirement) -> str | None:
    """Why a requirement is not met: empty where it is not installed; None where it is met."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return ""
    fits = requirement.specifier.contains(found, prereleases=True)
    return None if fits else f"{requirement.name} {found}, wanted {requirement.specifier}"


def _finding(extra: str, absent: list[str], outside: list[str], count: int) -> Finding:
    whose = f"the extra {extra}" if extra else "the core"
    target = f"'{NAME}[{extra}]'" if extra else NAME
    if outside:
        return Finding("packages", "wrong", f"{whose} has {'; '.join(outside)}", f"pip install --upgrade {target}")
    if absent:
        state = "missing" if extra else "wrong"
        return Finding("packages", state, f"{whose} lacks {', '.join(absent)}", f"pip install {target}")  # type: ignore[arg-type]
    return Finding("packages", "ok", f"{whose}: {count} package{'s' * (count > 1)}, versions fit")
