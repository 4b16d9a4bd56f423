"""Looks at an installation, topic by topic."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ..registry import available

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at.

    Attributes:
        topic: what it is about, such as "packages".
        state: "ok"; "missing": something optional is not there; "wrong": it has to be mended.
        text: what was found.
        todo: what to do about it; empty where nothing has to be done.
    """

    topic: str
    state: Literal["ok", "missing", "wrong"]
    text: str
    todo: str = ""


NAME = "xaiaug"
BUNDLES = ("all", "dev")  # made of other extras, or for those who work on this package


def check_packages(asked: Iterable[str] | None = None) -> Iterator[Finding]:
    """A finding for the core, and one for each extra.

    Args:
        asked: requirements as metadata tell them; None: those of the installed package.
    """
    try:
        lines = requires(NAME) or () if asked is None else asked
    except PackageNotFoundError:
        yield Finding("packages", "wrong", f"{NAME} is found but not installed", f"pip install {NAME}")
        return
    for extra, wanted in sorted(_requirements_by_extra(lines).items()):
        told = [_problem(requirement) for requirement in wanted]
        absent = [requirement.name for requirement, said in zip(wanted, told, strict=True) if said == ""]
        outside = [said for said in told if said]
        yield _package_finding(extra, absent, outside, len(wanted))


def installed_extras(asked: Iterable[str] | None = None) -> set[str]:
    """The extras whose packages are all there, in versions that fit.

    Args:
        asked: as in `check_packages`.
    """
    try:
        lines = requires(NAME) or () if asked is None else asked
    except PackageNotFoundError:
        return set()
    return {
        extra
        for extra, wanted in _requirements_by_extra(lines).items()
        if not any(_problem(one) is not None for one in wanted)
    }


def check_torchvision() -> Iterator[Finding]:
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


def _requirements_by_extra(asked: Iterable[str]) -> dict[str, list[Requirement]]:
    from packaging.requirements import Requirement

    extras: dict[str, list[Requirement]] = defaultdict(list)
    for line in asked:
        requirement = Requirement(line)
        extra = _extra_name(requirement)
        if extra not in BUNDLES:
            extras[extra].append(requirement)
    return extras


def _extra_name(requirement: Requirement) -> str:
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


def _package_finding(extra: str, absent: list[str], outside: list[str], count: int) -> Finding:
    whose = f"the extra {extra}" if extra else "the core"
    target = f"'{NAME}[{extra}]'" if extra else NAME
    if outside:
        return Finding("packages", "wrong", f"{whose} has {'; '.join(outside)}", f"pip install --upgrade {target}")
    if absent:
        state = "missing" if extra else "wrong"
        return Finding("packages", state, f"{whose} lacks {', '.join(absent)}", f"pip install {target}")  # type: ignore[arg-type]
    return Finding("packages", "ok", f"{whose}: {count} package{'s' * (count > 1)}, versions fit")


KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
SWITCHES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HF_HUB_OFFLINE", "XAIAUG_CACHE", "OMP_NUM_THREADS")


def examine(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """What the doctor found, in order.

    Args:
        environment: variables; None: those of this process. Of keys only their presence is told.
    """
    given = os.environ if environment is None else environment
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *check_packages(),
        *check_torchvision(),
        check_device(),
        *check_plugins(),
        *check_variables(given),
    ]


def check_device() -> Finding:
    """What the models will run on."""
    try:
        torch = import_module("torch")
    except Exception as error:  # noqa: BLE001  a broken build raises whatever it likes
        text = f"torch cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        return Finding("device", "wrong", text, "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", f"Apple GPU, torch {torch.__version__}")
    threads = torch.get_num_threads()
    return Finding(
        "device", "ok", f"no GPU: the CPU with {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"
    )


def check_plugins() -> Iterator[Finding]:
    """How many plugins there are, and those that cannot be used."""
    found = available()
    yield Finding("plugins", "ok", f"{sum(info.error is None for info in found)} can be asked for by name")
    for info in found:
        if info.error is not None:
            todo = f"mend, update or uninstall the package behind {info.origin}"
            yield Finding("plugins", "wrong", f"{info.kind} {info.name} from {info.origin}: {info.error}", todo)


def check_variables(given: Mapping[str, str]) -> Iterator[Finding]:
    """Which variables are set. A key's value is never told, nor its length."""
    for name in KEYS:
        if given.get(name):
            yield Finding("keys", "ok", f"{name} is set")
        else:
            yield Finding("keys", "missing", f"{name} is not set", "only its paid critic needs it")
    for name in SWITCHES:
        if name in given:
            yield Finding("variables", "ok", f"{name} is set")
