"""Makes images for requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image as Pillow

from ..errors import PluginError
from ..interfaces import Context, Synthesizer
from ..records import Critique, Failure, SynthesisRequest, SyntheticImage
from ..store import Blob
from ..store.blobs import Blobs
from .chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from .explain import explanation_of
from .mistakes import Mistake
from .plugin_guard import PreparedOnce, check_plain
from .runtime import StageRuntime


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """One image to be made for one case.

    Attributes:
        mistake: the case.
        explained: its row of the explain stage.
        critique: what the image should show.
        index: number of the image among those of its case.
        seed: of the image.
        guided: whether it may start from the guide image.
        asked: whether the critique is a critic's.
    """

    mistake: Mistake
    explained: Any
    critique: Critique
    index: int
    seed: int
    guided: bool = True
    asked: bool = False

    @property
    def attended(self) -> str | None:
        """What the critic says the model looked at; None where no critic was asked."""
        return self.critique.attended if self.asked else None

    @property
    def key(self) -> Any:
        """What the image depends on."""
        wished = [self.critique.prompt, dict(self.critique.guidance), self.attended]
        made_from = [self.explained["predicted"], *wished]
        return [self.mistake.sample.id, self.mistake.sample.label, made_from, self.index, self.seed, self.guided]


@dataclass
class _Work:
    synthesizer: Synthesizer
    context: Context
    blobs: Blobs
    ready: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.ready = PreparedOnce(self.synthesizer, self.context)

    def __call__(self, wishes: list[ImageRequest]) -> list[Any]:
        self.ready()
        requests = [self._request(wish) for wish in wishes]
        who = f"{type(self.synthesizer).__name__}.synthesize"
        made = batch(who, self.synthesizer.synthesize, requests, SyntheticImage)
        return [_row(who, request, image) for request, image in zip(requests, made, strict=True)]

    def _request(self, wish: ImageRequest) -> SynthesisRequest:
        explanation = explanation_of(wish.explained["predicted"], self.blobs)
        return SynthesisRequest(
            case_id=wish.mistake.sample.id,
            index=wish.index,
            prompt=wish.critique.prompt,
            label=self.context.labels[wish.mistake.sample.label],
            seed=wish.seed,
            guidance=wish.critique.guidance,
            source=wish.mistake.sample.open() if wish.guided else None,
            explanation=None if isinstance(explanation, Failure) else explanation,
            attended=wish.attended,
        )


def synthesize(
    runtime: StageRuntime,
    name: str,
    synthesizer: Synthesizer,
    context: Context,
    train_key: str,
    wishes: Sequence[ImageRequest],
) -> Sequence[Any]:
    """One row a wish, in order: the image as a blob with its ancestry, or why there is none.

    Args:
        runtime: where the images are kept.
        name: of the source, seed and wave; distinct within a run.
        synthesizer: not yet prepared.
        context: what the synthesizer may know.
        train_key: digest of the training images the synthesizer may use.
        wishes: what is to be made.

    Raises:
        PluginError: the synthesizer broke its contract, or raised on every wish.
    """
    basis = {"synthesizer": plugin_key(synthesizer), "labels": list(context.labels), "train": train_key}
    who, size = f"{type(synthesizer).__name__}.synthesize", synthesizer.batch_size
    stage = Stage(f"synthesize/{name}", "make images", basis, size, remote=synthesizer.remote, who=who)
    items = [Item(wish.key, wish) for wish in wishes]
    rows = complete(runtime, stage, items, _Work(synthesizer, context, runtime.store.blobs))
    made = (Failure(**row["failure"]) if "failure" in row else row for row in rows)
    refuse_if_all_raised(who, made)
    return rows


def _row(who: str, request: SynthesisRequest, made: SyntheticImage | Failure) -> dict[str, Any]:
    row = {"case": request.case_id, "index": request.index, "label": request.label, "seed": request.seed}
    if isinstance(made, Failure):
        return {**row, "prompt": request.prompt, "failure": asdict(made)}
    if not isinstance(made.image, Pillow.Image):
        raise PluginError(f"{who}: an image must be a Pillow image, got {type(made.image).__name__}")
    details = check_plain(who, {"prompt": made.prompt, "dropped": list(made.dropped), "details": dict(made.details)})
    return {**row, **details, "image": Blob.image(made.image)}
