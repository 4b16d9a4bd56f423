"""What an engine is given: how many workers, where, and with which resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EngineOptions:
    """How work is spread; the fields of `[engine]` beside its name.

    Attributes:
        workers: at once; None: the engine's own choice.
        address: of a Ray cluster; None: that of RAY_ADDRESS, or one that is started here.
        num_cpus: cores of a worker under Ray.
        num_gpus: GPUs of a worker under Ray; a fraction shares one.
        memory_gb: GiB that Ray reserves for a worker; None: no reservation.
        environment: variables that are set in workers on other machines before they import anything.
    """

    workers: int | None = None
    address: str | None = None
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory_gb: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
