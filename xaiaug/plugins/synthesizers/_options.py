"""The settings that every synthesizer by diffusion takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ...records import JSON


class Options(TypedDict, total=False):
    """The settings that every variant takes, as the synthesizers explain them."""

    revision: str | None
    steps: int | None
    guidance_scale: float | None
    size: int | None
    scheduler: str | None
    dtype: str | None
    negative_prompt: str
    style: str
    chunked: bool
    too_long: str
    loras: Sequence[str | Mapping[str, JSON]]
    memory: str
    compiled: bool
    batch_size: int
    exact: bool | None


def spelt_out(own: inspect.Signature, shared: inspect.Signature) -> inspect.Signature:
    """A signature whose `**options` is replaced by what it stands for: the parameters of another one."""
    named = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD and one.name != "self"]
    known = {one.name for one in named}
    further = [one for one in shared.parameters.values() if one.name not in known]
    return inspect.Signature(sorted([*named, *further], key=lambda one: one.kind))
