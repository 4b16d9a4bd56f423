"""What an engine is given: how many workers, where, and with which resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Resources:
    """What the workers of one kind of work have.

    Attributes:
        workers: at once; None: the engine's own choice.
        num_cpus: cores of a worker under Ray.
        num_gpus: GPUs of a worker under Ray; a fraction shares one.
        memory_gb: GiB that Ray reserves for a worker; None: no reservation.
    """

    workers: int | None = None
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory_gb: float | None = None


@dataclass(frozen=True)
class EngineOptions(Resources):
    """How work is spread: what workers have, and where they are.

    Attributes:
        address: of a Ray cluster; None: that of RAY_ADDRESS, or one that is started here.
        environment: variables that are set in workers on other machines before they import anything.
        kinds: by kind of work, the fields of `Resources` in which its workers differ from the others.
    """

    address: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def resources_of(self, kind: str) -> Resources:
        """What the workers of a kind of work have; of one that is not in `kinds`, what workers usually have."""
        usual = {one.name: getattr(self, one.name) for one in fields(Resources)}
        return Resources(**{**usual, **self.kinds.get(kind, {})})

    @property
    def all_resources(self) -> list[Resources]:
        """What workers have, of every kind of work."""
        return [self.resources_of(kind) for kind in ("", *self.kinds)]
