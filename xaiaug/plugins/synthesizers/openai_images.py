"""The synthesizer openai-images: a hosted model generates images, or edits the misclassified ones, without a GPU."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from ...calls import CallError, Calls, MemoryLedger, Prices, imap_unordered
from ...errors import ConfigError
from ...interfaces import Context, PaidCalls, Synthesizer
from ...records import (
    CALL_FAILED,
    JSON,
    Estimate,
    Failure,
    RawReply,
    SynthesisRequest,
    SyntheticImage,
    digest,
    label_to_words,
)
from .._segmentation import create_segmenter, key_by_segmenter
from ..critics._model_reply import to_raw_reply
from ..critics._sdk import SdkClient
from ..critics._service_endpoint import OpenAIEndpoint
from ._image_tokens import CHARACTERS_PER_TOKEN, INPUT_TOKENS, max_usage, output_tokens
from ._image_upload import ImagesApi, ImageUpload, read_image
from ._mask_folder import MaskFolder
from ._prompt_length import add_style
from ._repaint import REPAINTS, Repaint, blend_repaint

EDITS = ("whole", *REPAINTS)
OUTPUT_FORMATS = ("png", "jpeg", "webp")
LONGEST_PROMPT = 32_000  # characters, as the service has it
TYPICAL_PROMPT = 600
BYTES_PER_PIXEL = (0.3, 2.5)  # of a PNG: a smooth drawing, a noisy photograph
SIZE = re.compile(r"[1-9]\d{1,3}x[1-9]\d{1,3}")
NOT_IN_KEY = ("budget_usd", "prices", "timeout_s", "output_tokens")  # changing these reuses all earlier images


@dataclass(frozen=True, eq=False)
class _Job:
    """One call: its text, and what is uploaded with it."""

    prompt: str
    upload: ImageUpload | None = None
    repaint: Repaint | None = None


class OpenAIImagesSynthesizer(OpenAIEndpoint, Synthesizer):
    """Has OpenAI's Images API, or a compatible server, make the images; the key comes from OPENAI_API_KEY.

    Every image is a paid call under the run's budget, kept before it is decoded: a run that was stopped pays for no
    image twice, but those in flight. The service has no seeds: an image is the same again because its reply is kept.

    Args:
        model: the service's name for it.
        edit: None: images are generated from the prompt. "whole": the misclassified image is edited by it. "attended":
            only what misled the model according to the critic, else all but the subject, and "hot-region": the window
            that `saliency-edit` would edit, as in `sdxl-inpaint`, by a mask.
        keep_outside: in an edit by a mask, whether the photo's own pixels are put back outside of it: such models paint
            the whole image anew. `details["changed_outside"]` tells how much they changed there, in either case.
        size: of the images that are asked for, such as "1024x1024".
        quality: "low", "medium" or "high".
        output_format: in which images are sent: "png", "jpeg" or "webp".
        style: appended to every prompt.
        masks: a folder of subject masks, `ID.png`, as in `remix`; other images are segmented.
        segmenter: as in `remix`; None: our own segmentation.
        output_tokens: most tokens of an image, for models whose number is not known here.
        base_url: of a compatible server; None: OPENAI_BASE_URL, or OpenAI's own address.
        timeout_s: maximum duration of a call in seconds.
        budget_usd: maximum spending outside a run; in a run its own budget counts.
        prices: by model, for use outside a run; as in `[budget] prices`.

    Raises:
        ConfigError: in `check`: a wrong parameter, or no key.
    """

    service = "openai-images"
    uses = frozenset({"prompt"})
    remote = True
    expected_failures: ClassVar[Mapping[str, str]] = {
        "another-seed-gives-another-image": "the service takes no seed: equal requests may give different images"
    }
    batch_size = 1  # a run has many calls in flight at once, and keeps each image as it is made

    def __init__(  # noqa: PLR0913  each is a key of the settings table
        self,
        model: str = "gpt-image-1",
        *,
        edit: str | None = None,
        keep_outside: bool = True,
        size: str = "1024x1024",
        quality: str = "medium",
        output_format: str = "png",
        style: str = "",
        masks: str | None = None,
        segmenter: str | dict[str, JSON] | None = None,
        output_tokens: int | None = None,
        base_url: str | None = None,
        timeout_s: float = 300,
        budget_usd: float | None = None,
        prices: Mapping[str, Mapping[str, JSON]] | None = None,
    ) -> None:
        self.model = model
        self.edit = edit
        self.keep_outside = keep_outside
        self.size = size
        self.quality = quality
        self.output_format = output_format
        self.style = style
        self.masks = masks
        self.segmenter = segmenter
        self.output_tokens = output_tokens
        self.base_url = base_url
        self.timeout_s = timeout_s
        self.budget_usd = budget_usd
        self.prices = prices
        maps = {"map"} if edit in REPAINTS else set[str]()
        self.uses = frozenset({"prompt"} | ({"image"} | maps if edit else set()))
        self.needs = frozenset({"image"} if edit else ())
        self._segmenter = None if segmenter is None else create_segmenter(segmenter, type(self).__name__)
        self._client: SdkClient | None = None
        self._paid: PaidCalls | None = None

    def identity(self) -> dict[str, JSON]:
        """What a result depends on; the cost of a call is not part of it."""
        identity = key_by_segmenter(super().identity(), self._segmenter)
        parameters = {name: value for name, value in self.parameters().items() if name not in NOT_IN_KEY}
        folder = self._mask_folder()
        return {**identity, "parameters": parameters, "masks": folder.digest() if folder else None}

    def check(self) -> None:
        """Raises ConfigError or MissingExtraError for a wrong parameter, a missing package or a missing key."""
        for name, known in (("output_format", OUTPUT_FORMATS), ("edit", (None, *EDITS))):
            if getattr(self, name) not in known:
                names = ", ".join(str(one) for one in known if one)
                raise ConfigError(f"openai-images: {name} must be one of {names}, got {getattr(self, name)!r}")
        if not SIZE.fullmatch(self.size):
            raise ConfigError(f'openai-images: size must be such as "1024x1024", got {self.size!r}')
        if self.output_tokens is not None and self.output_tokens < 1:
            raise ConfigError(f"openai-images: output_tokens must be at least 1, got {self.output_tokens}")
        self._output_tokens()
        self._mask_folder()
        if self._segmenter is not None:
            self._segmenter.check()
        self._check_access()

    def prepare(self, context: Context) -> None:
        """Connects, and takes the budget from the run."""
        self.check()
        if self._segmenter is not None:
            self._segmenter.prepare(context)
        sdk, key = self._open_client()
        weakref.finalize(self, sdk.close)
        self._client = SdkClient(sdk, key, self.timeout_s)
        # Outside a run it has its own budget, and a ledger in memory.
        prices = Prices(self.prices) if self.prices else None
        if context.paid is not None or self._paid is None:
            self._paid = context.paid or Calls(MemoryLedger(), budget_usd=self.budget_usd, prices=prices)

    def estimate(self, items: int) -> Estimate:
        """Calls, tokens and bytes, by the size of images and a prompt of a hundred words."""
        try:
            made = self._output_tokens()
        except ConfigError:
            made = 0  # `check` reports it
        words = TYPICAL_PROMPT // CHARACTERS_PER_TOKEN
        photos = (200, INPUT_TOKENS) if self.edit else (0, 0)
        width, height = self._pixels()
        sent = width * height * (2 if self.edit in REPAINTS else bool(self.edit))
        low, high = BYTES_PER_PIXEL
        return Estimate(
            calls=(items, items),
            input_tokens=(items * (words + photos[0]), items * (words + photos[1])),
            input_image_tokens=(items * photos[0], items * photos[1]),
            output_tokens=(items * made, items * made),
            output_image_tokens=(items * made, items * made),
            model=self.model,
            receiver=self._receiver(),
            upload_bytes=(items * (TYPICAL_PROMPT + low * sent), items * (TYPICAL_PROMPT + high * sent)),
            disk_bytes=(items * width * height * low, items * width * height * high),
        )

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request, in order; several calls are in flight at once.

        A Failure if there is no source to edit ("no-source"), nothing to repaint or no subject (as in `sdxl-inpaint`),
        the prompt is too long ("prompt-too-long"), the service's filter declines ("refusal"), the call failed
        ("call failed"), or the answer holds no image ("no-image").
        """
        if self._client is None:
            self.prepare(Context())
        if len(requests) == 1:
            return [self._make(requests[0])]
        made = dict(imap_unordered(self._make, requests))
        return [made[i] for i in range(len(requests))]

    def _make(self, request: SynthesisRequest) -> SyntheticImage | Failure:
        job = self._job(request)
        if isinstance(job, Failure):
            return job
        try:
            reply = self._call(request, job)
        except CallError as error:
            return Failure("refusal" if error.kind == "refusal" else CALL_FAILED, error.message)
        image = read_image(reply.body)
        if isinstance(image, Failure):
            return image
        details: dict[str, JSON] = {"model": self.model, "quality": self.quality, "edit": self.edit}
        if job.upload is None and image.size != self._pixels():
            details["size_refused"] = list(self._pixels())  # the server makes other sizes of it
        return SyntheticImage(self._finish(request, job, image, details), request.seed, job.prompt, details=details)

    def _job(self, request: SynthesisRequest) -> _Job | Failure:
        prompt = request.prompt.strip() or f"a photo of a {label_to_words(request.label)}"
        prompt = add_style(prompt, self.style)
        if len(prompt) > LONGEST_PROMPT:
            return Failure("prompt-too-long", f"{len(prompt)} characters, and the service reads {LONGEST_PROMPT}")
        if self.edit is None:
            return _Job(prompt)
        if request.source is None:
            return Failure("no-source", "openai-images edits the misclassified image, and this arm does not use it")
        photo = request.source.convert("RGB")
        if self.edit == "whole":
            return _Job(prompt, ImageUpload.of(photo, None, self._pixels()))
        repaint = REPAINTS[self.edit](request, photo, self._mask_folder(), self._segmenter)
        if isinstance(repaint, Failure):
            return repaint
        return _Job(prompt, ImageUpload.of(photo, repaint.mask, self._pixels()), repaint)

    def _call(self, request: SynthesisRequest, job: _Job) -> RawReply:
        assert self._paid is not None  # noqa: S101  prepare sets it
        body: dict[str, JSON] = {
            "model": self.model,
            "prompt": job.prompt,
            "size": self.size,
            "quality": self.quality,
            "output_format": self.output_format,
            "n": 1,
        }
        uploaded = None if job.upload is None else job.upload.digest
        key = f"synthesize:{request.case_id}:{request.index}:{digest([body, uploaded, request.seed])}"
        usage = max_usage(job.prompt, self._output_tokens(), 0 if job.upload is None else 1)
        worst = self._paid.worst_case_usd(self.model, usage)
        self._check_price(self.model, worst)
        return self._paid.call(key, body, worst_case_usd=worst, send=lambda body: self._send(body, job.upload))

    def _send(self, body: Mapping[str, JSON], upload: ImageUpload | None) -> RawReply:
        assert self._client is not None  # noqa: S101  prepare sets it
        images = self._client.sdk.images.with_streaming_response
        if upload is None:
            reply = self._client.request(images.generate, **body)
        else:
            reply = self._client.request(images.edit, **body, **upload.files)
        return to_raw_reply(reply, ImagesApi())

    def _finish(
        self, request: SynthesisRequest, job: _Job, image: Image.Image, details: dict[str, JSON]
    ) -> Image.Image:
        """The image to keep: an edited one at the size of its photo, with the photo's own pixels outside the mask."""
        if job.upload is None or request.source is None:
            return image
        if job.repaint is None:
            return image.resize(request.source.size, Image.Resampling.LANCZOS)
        changed = job.upload.changed_outside(image)
        details |= {
            "subject": job.repaint.found_by,
            "repainted": round(float(np.mean(job.repaint.mask)), 3),
            "changed_outside": None if changed is None else round(changed, 4),
            "kept_outside": self.keep_outside,
        }
        if self.keep_outside:
            return blend_repaint(request.source, image, job.repaint.mask)
        return image.resize(request.source.size, Image.Resampling.LANCZOS)

    def _output_tokens(self) -> int:
        return output_tokens(self.model, self.quality, self.size, self.output_tokens)

    def _pixels(self) -> tuple[int, int]:
        width, _, height = self.size.partition("x")
        return (int(width), int(height)) if width.isdigit() and height.isdigit() else (0, 0)

    def _mask_folder(self) -> MaskFolder | None:
        return MaskFolder(self.masks, type(self).__name__) if self.masks else None
