"""Schedulers: which ones fit a pipeline, and whether they can run so many steps."""

from __future__ import annotations

import inspect
from typing import Any

from ...errors import ConfigError, suggest
from ._weights import Weights, diffusers_package

FLOW = "FlowMatch"  # schedulers of flow-matching pipelines have names of their own and list no others


def find_scheduler(name: str | None, own: Any) -> Any:
    """The class of a scheduler.

    Args:
        name: of a class of diffusers; None: the pipeline's own.
        own: the class of the pipeline's scheduler.

    Raises:
        ConfigError: there is no such scheduler, or it denoises in another way than the weights were trained for.
    """
    if name is None:
        return own
    kind = getattr(diffusers_package(), name, None)
    known = [own.__name__, *own._compatibles]
    if kind is None or not hasattr(kind, "from_config"):
        raise ConfigError(f"scheduler = {name!r}: diffusers has no such scheduler. {suggest(name, known)}")
    if name not in known and not (own.__name__.startswith(FLOW) and name.startswith(FLOW)):
        raise ConfigError(
            f"scheduler = {name!r} does not fit these weights, which were made for {own.__name__}: images would be"
            f" noise. {suggest(name, known)}"
        )
    return kind


def check_scheduler(weights: Weights, name: str | None, spacing: str | None, steps: int | None) -> None:
    """Checks scheduler and number of steps before weights are loaded, by making the scheduler.

    Raises:
        ConfigError: as in `find_scheduler`, or it cannot run so many steps.
    """
    entry = weights.index().get("scheduler")
    if not isinstance(entry, list) or len(entry) != 2 or entry[1] is None:
        return
    own = getattr(diffusers_package(), str(entry[1]), None)
    if own is None or not hasattr(own, "_compatibles"):
        return
    kind, config = find_scheduler(name, own), weights.scheduler_config()
    if not config or steps is None:
        return
    if steps > (most := config.get("num_train_timesteps", steps)):
        raise ConfigError(f"steps = {steps}: {kind.__name__} has {most} steps at most")
    scheduler = kind.from_config(config, **_spacing(spacing))
    more = {"mu": 1.0} if "mu" in inspect.signature(scheduler.set_timesteps).parameters else {}
    try:
        scheduler.set_timesteps(steps, **more)
    except ValueError as error:
        raise ConfigError(f"steps = {steps} cannot be run by {kind.__name__}: {error}") from error


def set_scheduler(pipe: Any, name: str | None, spacing: str | None) -> None:
    """Gives a loaded pipeline another scheduler, or another spacing of its timesteps.

    Raises:
        ConfigError: as in `find_scheduler`.
    """
    if name is not None or spacing is not None:
        kind = find_scheduler(name, type(pipe.scheduler))
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **_spacing(spacing))


def _spacing(name: str | None) -> dict[str, str]:
    return {} if name is None else {"timestep_spacing": name}
