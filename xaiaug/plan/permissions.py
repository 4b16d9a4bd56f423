"""What a plugin that talks to an outside service needs before it may begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ..calls import Prices
from ..config import Settings
from ..errors import ConfigError, MissingExtraError, OfflineError, UnknownPriceError, XaiaugError
from ..records import JSON, Estimate

# Events for TensorBoard are files of this machine.
_NO_TRACKER = (None, "", "none", False, "tensorboard")


class Worker(Protocol):
    """What a plan asks of a plugin; each `Plugin` has it."""

    remote: bool
    uses: frozenset[str]

    def parameters(self) -> dict[str, JSON]:
        """The values its constructor was given."""
        ...

    def estimate(self, items: int) -> Estimate:
        """What work on so many items will take."""
        ...


class SheetReader(Worker, Protocol):
    """What a plan asks of a critic besides."""

    def estimate_sheets(self, items: int) -> Estimate:
        """What critiques of so many slices will take."""
        ...


class ImageChecker(Worker, Protocol):
    """What a plan asks of a critic of new images besides."""

    def estimate_checks(self, items: int) -> Estimate:
        """What checks of so many images will take."""
        ...


class ImageMaker(Worker, Protocol):
    """What a plan asks of a synthesizer besides."""

    needs: frozenset[str]
    per_case: tuple[str, ...] | None


def forbidden(kind: str, name: str, worker: Worker, settings: Settings) -> OfflineError | None:
    """Why a plugin may not send anything away; None where it may, or does not."""
    if settings.privacy.offline and (tracker := _find_tracker(worker.parameters())):
        return OfflineError(
            f"the {kind} {name} reports to {tracker} (report_to), and [privacy] offline is true: set "
            "report_to = 'none', or offline = false"
        )
    if not worker.remote:
        return None
    if settings.privacy.offline:
        return OfflineError(
            f"the {kind} {name} talks to an outside service, and [privacy] offline is true: take a {kind} that works "
            "here, or set offline = false"
        )
    if not settings.privacy.allow_upload:
        return OfflineError(
            f"the {kind} {name} sends images to {_name_receiver(worker)}: allow it with [privacy] allow_upload = true "
            "(--allow-upload), or take one that works here"
        )
    return None


def _name_receiver(worker: Worker) -> str:
    receiver = worker.estimate(0).receiver
    return f"a server ({receiver})" if receiver else "an outside service"


def forbidden_tracker(settings: Settings) -> OfflineError | None:
    """Why a recipe may not report to a tracker; None where it may, or does not."""
    for table, recipe in zip(("recipe", "baseline"), settings.recipes(), strict=True):
        if settings.privacy.offline and (tracker := _find_tracker(dict(recipe.trainer))):
            return OfflineError(
                f"[{table}] trainer reports to {tracker} (report_to), and [privacy] offline is true: set report_to = "
                "'none', or offline = false"
            )
    return None


def _find_tracker(value: JSON) -> str:
    """The tracker that a `report_to` names, however deep; empty without one."""
    if isinstance(value, list | tuple):
        return next(filter(None, map(_find_tracker, value)), "")
    if not isinstance(value, Mapping):
        return ""
    named = value.get("report_to")
    trackers = [str(one) for one in (named if isinstance(named, list | tuple) else [named]) if one not in _NO_TRACKER]
    return ", ".join(trackers) or _find_tracker(list(value.values()))


def unpaid(kind: str, name: str, worker: Worker, settings: Settings, prices: Prices) -> XaiaugError | None:
    """Why a plugin's calls cannot be paid; None where they can, cost nothing, or their price is not known yet."""
    models = models_of(worker.estimate(1)) if worker.remote else []
    try:
        costly = [model for model in models if not prices.of(model).free]
    except (UnknownPriceError, MissingExtraError) as error:
        return error
    if not costly or settings.budget.usd is not None:
        return None
    return ConfigError(
        f"the {kind} {name} costs money (model {costly[0]!r}): set budget_usd, the most that the run may spend "
        "([budget] usd, or --budget-usd)"
    )


def models_of(estimate: Estimate) -> list[str]:
    """The models that may be asked, by the names price lists know them by."""
    asked = (estimate, estimate.second)
    return [one.model for one in asked if one is not None and one.model is not None]


def obstacles(workers: Iterable[tuple[str, str, Worker]], settings: Settings, prices: Prices) -> list[XaiaugError]:
    """All that keeps the plugins from their work.

    Args:
        workers: kind and name of those that take part, and they themselves.
        settings: of the run.
        prices: what models cost.
    """
    found: list[XaiaugError | None] = [forbidden_tracker(settings)]
    for kind, name, worker in workers:
        found += [forbidden(kind, name, worker, settings), unpaid(kind, name, worker, settings, prices)]
    return [error for error in found if error is not None]
