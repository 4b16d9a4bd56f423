"""Makes new images for cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from PIL import Image

from ..errors import PluginError
from ..interfaces import Context, Synthesizer
from ..records import JSON, Critique, Failure, SynthesisRequest, SyntheticImage
from ..records.pipeline import StageKind
from ..store import Blob
from ..store.blobs import Blobs
from ..store.schema import ExplainRow, SynthesisRow, Wave, failure_of
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
        by_critic: whether a critic wrote the critique.
    """

    mistake: Mistake
    explained: ExplainRow
    critique: Critique
    index: int
    seed: int
    guided: bool = True
    by_critic: bool = False

    @property
    def attended(self) -> str | None:
        """What the model looked at, as the critic has it; None where no critic was asked."""
        return self.critique.attended if self.by_critic else None

    @property
    def key(self) -> JSON:
        """What the image depends on."""
        content: JSON = [
            cast(JSON, self.explained["predicted"]),
            self.critique.prompt,
            dict(self.critique.guidance),
            self.attended,
        ]
        return [self.mistake.sample.id, self.mistake.sample.label, content, self.index, self.seed, self.guided]


@dataclass
class _Work:
    synthesizer: Synthesizer
    context: Context
    blobs: Blobs
    prepare_once: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.prepare_once = PreparedOnce(self.synthesizer, self.context)

    def __call__(self, wanted: list[ImageRequest]) -> list[Any]:
        self.prepare_once()
        requests = [self._synthesis_request(request) for request in wanted]
        who = f"{type(self.synthesizer).__name__}.synthesize"
        results = batch(who, self.synthesizer.synthesize, requests, SyntheticImage)
        return [_row(who, request, result) for request, result in zip(requests, results, strict=True)]

    def _synthesis_request(self, request: ImageRequest) -> SynthesisRequest:
        explanation = explanation_of(request.explained["predicted"], self.blobs)
        return SynthesisRequest(
            case_id=request.mistake.sample.id,
            index=request.index,
            prompt=request.critique.prompt,
            label=self.context.labels[request.mistake.sample.label],
            seed=request.seed,
            guidance=request.critique.guidance,
            source=request.mistake.sample.open() if request.guided else None,
            explanation=None if isinstance(explanation, Failure) else explanation,
            attended=request.attended,
        )


def synthesize(
    runtime: StageRuntime, wave: Wave, synthesizer: Synthesizer, wanted: Sequence[ImageRequest]
) -> Sequence[SynthesisRow]:
    """One row a request, in order: the image as a blob with its ancestry, or why there is none.

    Args:
        runtime: where the images are kept.
        wave: which images they are.
        synthesizer: not yet prepared.
        wanted: what is to be made.

    Raises:
        PluginError: the synthesizer broke its contract, or raised on every request.
    """
    context = runtime.context
    basis = {
        "synthesizer": plugin_key(synthesizer),
        "labels": list(context.labels),
        "train": runtime.reference_key,
    }
    who, size = f"{type(synthesizer).__name__}.synthesize", synthesizer.batch_size
    stage = Stage(wave.stage(StageKind.SYNTHESIZE), "make images", basis, size, remote=synthesizer.remote, who=who)
    items = [Item(request.key, request) for request in wanted]
    rows: Sequence[SynthesisRow] = complete(runtime, stage, items, _Work(synthesizer, context, runtime.store.blobs))
    refuse_if_all_raised(who, (failure_of(row) for row in rows))
    return rows


def _row(who: str, request: SynthesisRequest, result: SyntheticImage | Failure) -> dict[str, Any]:
    """A `SynthesisRow` whose blob is still to be kept."""
    row = {"case": request.case_id, "index": request.index, "label": request.label, "seed": request.seed}
    if isinstance(result, Failure):
        return {**row, "prompt": request.prompt, "failure": asdict(result)}
    if not isinstance(result.image, Image.Image):
        raise PluginError(f"{who}: an image must be a Pillow image, got {type(result.image).__name__}")
    details = {"prompt": result.prompt, "dropped": list(result.dropped), "details": dict(result.details)}
    return {**row, **check_plain(who, details), "image": Blob.image(result.image)}
