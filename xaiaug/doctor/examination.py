"""Examines an installation: packages, device, plugins, keys and environment variables."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ..registry import available

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        topic: its subject, such as "packages".
        state: "ok"; "missing": something optional is not installed or set; "wrong": it needs fixing.
        text: what was found.
        todo: how to fix it; empty if there is nothing to do.
    """

    topic: str
    state: Literal["ok", "missing", "wrong"]
    text: str
    todo: str = ""


NAME = "xaiaug"
BUNDLES = ("all", "dev")  # a combination of other extras, and the extra for developers of xaiaug
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
SWITCHES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HF_HUB_OFFLINE", "XAIAUG_CACHE", "OMP_NUM_THREADS")


def examine(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """The findings on this installation, in order.

    Args:
        environment: environment variables; None: those of this process. Values of keys are never shown.
    """
    variables = os.environ if environment is None else environment
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *check_packages(),
        *check_torchvision(),
        check_device(),
        *check_plugins(),
        *check_variables(variables),
    ]


def check_packages(requirements: Iterable[str] | None = None) -> Iterator[Finding]:
    """Checks the required packages: one finding for the core, and one for each extra.

    Args:
        requirements: as in package metadata; None: those of the installed xaiaug.
    """
    try:
        lines = metadata.requires(NAME) or () if requirements is None else requirements
    except metadata.PackageNotFoundError:
        yield Finding("packages", "wrong", f"{NAME} can be imported but is not installed", f"pip install {NAME}")
        return
    for extra, wanted in sorted(_requirements_by_extra(lines).items()):
        problems = [_find_problem(requirement) for requirement in wanted]
        absent = [requirement.name for requirement, problem in zip(wanted, problems, strict=True) if problem == ""]
        incompatible = [problem for problem in problems if problem]
        yield _package_finding(extra, absent, incompatible, len(wanted))


def find_installed_extras(requirements: Iterable[str] | None = None) -> set[str]:
    """The extras whose packages are all installed in compatible versions.

    Args:
        requirements: as in `check_packages`.
    """
    try:
        lines = metadata.requires(NAME) or () if requirements is None else requirements
    except metadata.PackageNotFoundError:
        return set()
    return {
        extra
        for extra, wanted in _requirements_by_extra(lines).items()
        if all(_find_problem(requirement) is None for requirement in wanted)
    }


def check_torchvision() -> Iterator[Finding]:
    """Reports a torchvision that is installed but cannot be imported: transformers only checks the former."""
    if find_spec("torchvision") is None:
        return
    try:
        import_module("torchvision")
    except Exception as error:  # noqa: BLE001  a broken build may raise anything
        yield Finding(
            "packages",
            "wrong",
            f"torchvision is installed but cannot be imported ({type(error).__name__}): transformers will fail on it",
            "pip uninstall torchvision (xaiaug does not need it), or install the build that fits your torch",
        )


def _requirements_by_extra(lines: Iterable[str]) -> dict[str, list[Requirement]]:
    from packaging.requirements import Requirement

    extras: dict[str, list[Requirement]] = defaultdict(list)
    for line in lines:
        requirement = Requirement(line)
        extra = _extra_name(requirement)
        if extra not in BUNDLES:
            extras[extra].append(requirement)
    return extras


def _extra_name(requirement: Requirement) -> str:
    """The extra a requirement belongs to; empty for the core."""
    _, named, rest = str(requirement.marker or "").partition("extra == ")
    return rest.split()[0].strip("\"')") if named else ""


def _find_problem(requirement: Requirement) -> str | None:
    """Why a requirement is not met: empty if it is not installed; None if it is met."""
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return ""
    compatible = requirement.specifier.contains(installed, prereleases=True)
    return None if compatible else f"{requirement.name} {installed}, needs {requirement.specifier}"


def _package_finding(extra: str, absent: list[str], incompatible: list[str], count: int) -> Finding:
    part = f"the extra {extra}" if extra else "the core"
    target = f"'{NAME}[{extra}]'" if extra else NAME
    if incompatible:
        return Finding("packages", "wrong", f"{part} has {'; '.join(incompatible)}", f"pip install --upgrade {target}")
    if absent:
        state = "missing" if extra else "wrong"
        return Finding("packages", state, f"{part} lacks {', '.join(absent)}", f"pip install {target}")  # type: ignore[arg-type]
    return Finding("packages", "ok", f"{part}: {count} package{'s' * (count > 1)}, all compatible")


def check_device() -> Finding:
    """Checks torch and the device that models will run on."""
    try:
        torch = import_module("torch")
    except Exception as error:  # noqa: BLE001  a broken build may raise anything
        text = f"torch cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        return Finding("device", "wrong", text, "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", f"Apple GPU, torch {torch.__version__}")
    threads = torch.get_num_threads()
    return Finding("device", "ok", f"no GPU; CPU with {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}")


def check_plugins() -> Iterator[Finding]:
    """Counts the plugins and reports those that cannot be used."""
    infos = available()
    yield Finding("plugins", "ok", f"{sum(info.error is None for info in infos)} available")
    for info in infos:
        if info.error is not None:
            todo = f"fix, update or uninstall the package behind {info.origin}"
            yield Finding("plugins", "wrong", f"{info.kind} {info.name} from {info.origin}: {info.error}", todo)


def check_variables(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Reports which keys and variables are set; neither the value nor the length of a key is shown."""
    for name in KEYS:
        if variables.get(name):
            yield Finding("keys", "ok", f"{name} is set")
        else:
            yield Finding("keys", "missing", f"{name} is not set", "needed only by its paid critic")
    for name in SWITCHES:
        if name in variables:
            yield Finding("variables", "ok", f"{name} is set")
