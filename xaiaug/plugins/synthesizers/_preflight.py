"""What is checked before any weight is loaded, and so before anything is trained or paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from ...errors import ConfigError, MissingExtraError
from ._lora_shapes import check_lora
from ._pipeline_files import check_files
from ._pipelines import NO_PEFT, PipelineSetup, silence_diffusers
from ._resolution import check_size
from ._schedulers import check_scheduler
from ._weights import Weights


def check_before_loading(
    who: str,
    weights: Weights,
    extra: Mapping[str, Weights],
    setup: PipelineSetup,
    *,
    steps: int | None,
    size: int | None,
) -> None:
    """Checks files, scheduler, steps, size and LoRA weights by configurations and headers.

    Args:
        who: for the messages.
        weights: of the pipeline.
        extra: further weights by name, LoRA weights aside.
        setup: of the pipeline.
        steps: denoising steps; None: the pipeline's.
        size: pixels of a side; None: the pipeline's.

    Raises:
        ConfigError: generating would fail, or give something else.
        MissingExtraError: LoRA weights need a package that is not installed.
    """
    with silence_diffusers():
        for part in (weights, *extra.values()):
            check_files(part, who)
        check_scheduler(weights, setup.scheduler, setup.spacing, steps)
        if size is not None:
            check_size(weights, size, who)
        if setup.vae is not None:
            _check_vae(weights, setup.vae, who)
        if setup.ip_adapter is not None:
            setup.ip_adapter.check()
        _check_loras(weights, setup.loras)


def _check_loras(weights: Weights, loras: Sequence[tuple[Weights, float]]) -> None:
    if loras and find_spec("peft") is None:
        raise MissingExtraError(NO_PEFT)
    for lora, _ in loras:
        check_lora(lora, weights)


def _check_vae(weights: Weights, vae: Weights, who: str) -> None:
    """An autoencoder of as many channels, and of the same reduction, as the pipeline's own."""
    own, other = weights.config("vae"), vae.config("vae") or vae.config("")
    if vae.local and not other:
        raise ConfigError(f"{who}: vae = {vae.place!r} holds no autoencoder: no config.json, neither there nor in vae/")
    for name in ("latent_channels", "scaling_factor", "shift_factor"):
        if name in own and name in other and own[name] != other[name]:
            raise ConfigError(f"{who}: vae is not for these weights: its {name} is {other[name]}, theirs {own[name]}")
