"""The context that a plugin is prepared with, and the paid calls in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import CallError
from ..records import JSON, BatchClient, BatchedCall, Case, RawReply, Sample


class PaidCalls(Protocol):
    """Makes paid calls for a plugin under the run's budget."""

    def call(
        self,
        key: str,
        request: Mapping[str, JSON],
        *,
        worst_case_usd: float,
        send: Callable[[Mapping[str, JSON]], RawReply],
    ) -> RawReply:
        """The reply to `request`: reserves the worst case, commits the intent, sends, records, returns.

        A reply already recorded under `key` is returned without sending. `request` names its "model".
        """
        ...

    def batch(self, calls: Sequence[BatchedCall], batch_client: BatchClient) -> list[RawReply | CallError]:
        """The reply to each request, or its final error: sent in batches, at half the price, within a day."""
        ...

    def worst_case_usd(self, model: str, usage: Mapping[str, int]) -> float:
        """The most that a call with that usage can cost, in dollars."""
        ...

    def reject(self, key: str, reason: str) -> None:
        """Counts the reply under that key as a failed item, since it is unusable (a refusal, cut off, a bad schema)."""
        ...


class MaskCache(Protocol):
    """Keeps the masks that a segmenter found, so that none is computed twice in a run."""

    def read(self, segmenter: str, image: str) -> NDArray[np.uint8] | None:
        """The mask, h w, 0 to 255, of an image by a segmenter; None if it is not kept, or damaged.

        Args:
            segmenter: digest of all that its masks depend on besides the image.
            image: digest of the image's size and pixels.
        """
        ...

    def write(self, segmenter: str, image: str, mask: NDArray[np.uint8]) -> None:
        """Keeps a mask, h w, 0 to 255."""
        ...


@dataclass(frozen=True)
class Context:
    """What a plugin may know about the run it works in; every field has a default.

    Attributes:
        labels: names of the classes; `Sample.label` and `Explanation.target` are indices into it.
        train: the training split, never guide, validation or test; None outside a run. When a model is diagnosed
            without training it holds the guide images the model gets right.
        explained: guide images with their maps, mistakes and correct ones, for a critic that compares; none outside a
            run. Each is opened anew whenever it is asked for.
        predict_proba: asks the classifier that is diagnosed, as its method of that name does, for such a critic; None
            outside a run.
        paid: makes calls that cost money; None outside a run, and in a worker of an engine: the budget has one owner.
        count_tokens: counts the tokens of a prompt for the run's synthesizer; None where it has no limit.
        token_limit: the most tokens that the synthesizer reads.
        device: "auto", or the name of a torch device, such as "cpu" or "cuda:0".
        masks: keeps subject masks for the run; None outside a run.
        stopping: whether the run was asked to stop; a plugin that works long on a batch may look at it on the way, and
            raise RunStopped.
    """

    labels: tuple[str, ...] = ()
    train: Sequence[Sample] | None = None
    explained: Sequence[Case] = ()
    predict_proba: Callable[[Sequence[Image.Image]], NDArray[np.float32]] | None = None
    paid: PaidCalls | None = None
    count_tokens: Callable[[str], int] | None = None
    token_limit: int | None = None
    device: str = "auto"
    masks: MaskCache | None = None
    stopping: Callable[[], bool] = bool  # bool() is False: never asked

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to a worker without the paid calls, and without `stopping`: a worker asks in its own way."""
        here = {"paid": None, "stopping": bool}
        return Context, tuple(here.get(one.name, getattr(self, one.name)) for one in fields(self))
