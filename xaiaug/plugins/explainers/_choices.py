"""The words that attention explainers know for fusing heads and reading rows."""

from __future__ import annotations

from ...errors import ConfigError

FUSIONS = ("mean", "max", "min")
READOUTS = ("auto", "cls", "mean", "pooling")


def check_fusion(method: str, head_fusion: str) -> str:
    """The head fusion, if it is one; else a ConfigError."""
    return _check(method, "head_fusion", head_fusion, FUSIONS)


def check_readout(method: str, readout: str) -> str:
    """The readout, if it is one; else a ConfigError."""
    return _check(method, "readout", readout, READOUTS)


def _check(method: str, name: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise ConfigError(f"{method}: {name} must be one of {', '.join(map(repr, known))}, got {given!r}")
    return given
