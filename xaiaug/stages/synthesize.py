"""Makes new images for cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from PIL import Image

from ..errors import PluginError
from ..interfaces import Context, Synthesizer
from ..records import JSON, Critique, Explanation, Failure, Sample, SynthesisRequest, SyntheticImage
from ..records.pipeline import StageKind
from ..store import Blob
from ..store.blobs import Blobs
from ..store.schema import Wave
from ..store.stage_rows import ExplainRow, SynthesisRow, explanation_of, failure_of
from .chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from .control_maps import resize_heatmap
from .mistakes import Mistake
from .plugin_guard import PreparedOnce, check_plain
from .runtime import StageRuntime
from .stage_work import Rebuilt
from .unanswered import is_passing, refuse_if_unanswered


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """One image to be made for one case.

    Attributes:
        mistake: the case.
        explained: its row of the explain stage, or of a control.
        critique: what the image should show.
        index: number of the image among those of its case.
        seed: of the image.
        guided: whether it may start from the image of the case.
        by_critic: whether a critic wrote the critique.
        mapped: whether the synthesizer reads the heatmap.
        base: the training image of another class than the predicted one that is edited; None: the case's own is.
    """

    mistake: Mistake
    explained: ExplainRow
    critique: Critique
    index: int
    seed: int
    guided: bool = True
    by_critic: bool = False
    mapped: bool = False
    base: Sample | None = None

    @property
    def label(self) -> int:
        """Index of the class that the image is made for."""
        return (self.base or self.mistake.sample).label

    @property
    def map_failure(self) -> Failure | None:
        """Why there is no heatmap for a synthesizer that reads it; None where it has one, or its source shows none."""
        return failure_of(self.explained["predicted"]) if self.mapped else None

    @property
    def attended(self) -> str | None:
        """What the model looked at, as the critic has it; None where no critic was asked."""
        return self.critique.attended if self.by_critic else None

    @property
    def key(self) -> JSON:
        """What the image depends on."""
        content: JSON = [
            cast(JSON, self.explained["predicted"]) if self.mapped else None,
            self.critique.prompt,
            dict(self.critique.guidance),
            self.attended,
        ]
        base: list[JSON] = [] if self.base is None else [self.base.id, self.base.label]
        return [self.mistake.sample.id, self.mistake.sample.label, content, self.index, self.seed, self.guided, *base]


@dataclass
class _Work(Rebuilt):
    synthesizer: Synthesizer
    context: Context
    blobs: Blobs
    prepare_once: PreparedOnce = field(init=False)

    def __post_init__(self) -> None:
        self.prepare_once = PreparedOnce(self.synthesizer, self.context)

    def __call__(self, wanted: list[ImageRequest]) -> list[Any]:
        self.prepare_once()
        requests = [self._synthesis_request(request) for request in wanted]
        failures = [request.map_failure for request in wanted]
        who = f"{type(self.synthesizer).__name__}.synthesize"
        possible = [request for request, failure in zip(requests, failures, strict=True) if failure is None]
        made = iter(batch(who, self.synthesizer.synthesize, possible, SyntheticImage) if possible else ())
        results = [next(made) if failure is None else failure for failure in failures]
        return [_row(who, request, result) for request, result in zip(requests, results, strict=True)]

    def _synthesis_request(self, request: ImageRequest) -> SynthesisRequest:
        mistake, labels, base = request.mistake, self.context.labels, request.base
        source = mistake.sample.open() if request.guided else None
        explanation = explanation_of(request.explained["predicted"], self.blobs) if request.mapped else None
        if isinstance(explanation, Explanation) and source is not None:
            # Another image's map, as a control, has that image's size.
            explanation = replace(explanation, heatmap=resize_heatmap(explanation.heatmap, source.size))
        return SynthesisRequest(
            case_id=mistake.sample.id,
            index=request.index,
            prompt=request.critique.prompt,
            label=labels[request.label],
            seed=request.seed,
            guidance=request.critique.guidance,
            source=source,
            explanation=None if isinstance(explanation, Failure) else explanation,
            attended=request.attended,
            source_label=labels[mistake.sample.label],
            base=None if base is None else base.open(),
            base_id="" if base is None else base.id,
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
        CallsFailingError: a service answered none.
    """
    context = runtime.context
    basis = {
        "synthesizer": plugin_key(synthesizer),
        "labels": list(context.labels),
        "train": runtime.reference_key,
    }
    who, size = f"{type(synthesizer).__name__}.synthesize", synthesizer.batch_size
    stage = Stage(
        wave.stage(StageKind.SYNTHESIZE),
        wave.name_work("make images"),
        basis,
        size,
        remote=synthesizer.remote,
        spread=True,
        plugin=type(synthesizer),
        who=who,
        is_passing=is_passing if synthesizer.remote else None,
    )
    items = [Item(request.key, request) for request in wanted]
    rows: Sequence[SynthesisRow] = complete(runtime, stage, items, _Work(synthesizer, context, runtime.store.blobs))
    refuse_if_all_raised(who, (failure_of(row) for row in rows))
    refuse_if_unanswered("the synthesizer", (failure_of(row) for row in rows))
    return rows


def _row(who: str, request: SynthesisRequest, result: SyntheticImage | Failure) -> dict[str, Any]:
    """A `SynthesisRow` whose blob is still to be kept."""
    row = {"case": request.case_id, "index": request.index, "label": request.label, "seed": request.seed}
    row |= {"base": request.base_id} if request.base_id else {}
    if isinstance(result, Failure):
        return {**row, "prompt": request.prompt, "failure": asdict(result)}
    if not isinstance(result.image, Image.Image):
        raise PluginError(f"{who}: an image must be a Pillow image, got {type(result.image).__name__}")
    details = {"prompt": result.prompt, "dropped": list(result.dropped), "details": dict(result.details)}
    return {**row, **check_plain(who, details), "image": Blob.image(result.image)}
