"""The classifier for an ONNX file."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError, NotFittedError
from ...interfaces import Classifier, Context
from ...records import JSON, History, Recipe, Sample
from .._onnx_model import OnnxModel, check_model_file, digest_files, find_data_files, make_noise
from .._pixel_settings import PixelSettings, read_pixel_settings
from ._probabilities import (
    TOLERANCE,
    check_names,
    check_probabilities,
    complete_names,
    order_names,
    refuse_training,
)
from ._saved_state import read_state, write_state

if TYPE_CHECKING:
    from ._preprocessor import Preprocessor

WHO = "OnnxClassifier"
_LABELS_IN_METADATA = ("labels", "names", "classes", "class_names", "id2label")
_PROCESSOR, _CONFIG = "preprocessor_config.json", "config.json"
_OUTPUTS = ("logits", "probabilities")


class OnnxClassifier(Classifier):
    """An image classifier in an ONNX file, run by onnxruntime; it can be diagnosed, not trained.

    Layout, type and, unless it is dynamic, size of the input are read from the file. The normalisation of pixels is
    not in it: give `mean` and `std`, or keep the `preprocessor_config.json` of the checkpoint beside it, which is used
    if none of size, mean, std, scale, resize, crop, interpolation and channels is given. Anything unclear is an error.
    Results are keyed by the content of the file, and of those beside it that are used.

    Args:
        file: the model, with its external data beside it.
        labels: names of the classes, in the order of the outputs; None: from the file's metadata ("labels", "names",
            "classes", "class_names", "id2label"), or `id2label` of the `config.json` beside it.
        size: height and width of the input, or one number for both; None: from the file.
        mean: of each channel, red first, after `scale`.
        std: likewise.
        scale: factor for the values 0 to 255, applied first; None: 1 / 255.
        resize: "crop" (the default) resizes the shorter side and takes the centre, "stretch" stretches the image.
        crop: share of each side that the centre keeps; None: 0.875 with resize = "crop", else 1.
        interpolation: "bilinear" (the default), "bicubic", "nearest", "box", "hamming" or "lanczos".
        channels: the order in which the model reads them: "rgb" (the default) or "bgr".
        outputs: "logits" or "probabilities"; None: found by trying a few images. The choice is checked.
        output: name of the output with the classes; None: the only one of shape n k.
        batch_size: images per run.
    """

    trainable = False

    def __init__(  # noqa: PLR0913, PLR0917  the settings of a model that says little about itself
        self,
        file: str,
        labels: list[str] | None = None,
        size: int | list[int] | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        scale: float | None = None,
        resize: str | None = None,
        crop: float | None = None,
        interpolation: str | None = None,
        channels: str | None = None,
        outputs: str | None = None,
        output: str | None = None,
        batch_size: int = 32,
    ) -> None:
        self.file = file
        self.size = size
        self.mean = mean
        self.std = std
        self.scale = scale
        self.resize = resize
        self.crop = crop
        self.interpolation = interpolation
        self.channels = channels
        self.outputs = outputs
        self.output = output
        self.batch_size = batch_size
        self._given = labels
        # `labels` is a parameter, and afterwards, as of every classifier, the order of its predictions.
        self.labels = tuple(labels or ())
        self._place = Path(file)
        self._ready: _Ready | None = None

    def parameters(self) -> dict[str, JSON]:
        """The parameters by name, as `__init__` received them."""
        names = (name for name in self.parameter_names() if name != "labels")
        labels = None if self._given is None else list(self._given)
        return {"file": self.file, "labels": labels, **{name: getattr(self, name) for name in names}}

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and a digest of the files, wherever these are."""
        identity = super().identity()
        parameters: Any = identity["parameters"]
        return {**identity, "parameters": {**parameters, "file": Path(self.file).name}, "content": self._digest()}

    def check(self) -> None:
        """Raises early what needs no reading of the model.

        Raises:
            ConfigError: there is no such file.
            MissingExtraError: onnxruntime is not installed.
        """
        check_model_file(WHO, self._place)

    def complete_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The classes of the data, and those that the model tells apart beside them; opens the file."""
        if self._ready is None:
            self.prepare(Context())
        return complete_names(self._get_ready().labels, labels)

    def prepare(self, context: Context) -> None:
        """Opens the file, tries it on a few images, and orders its outputs as the context's labels.

        Raises:
            ConfigError: something about the model is not clear or does not fit.
            MissingExtraError: onnxruntime is not installed.
        """
        if self._ready is None:
            self._ready = _open(self, OnnxModel(self._place, context.device, WHO))
        self.labels = order_names(WHO, self._ready.labels, context.labels or self._ready.labels)

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:  # noqa: ARG002
        """Never trains.

        Raises:
            UnsupportedRecipeError: always.
        """
        refuse_training(WHO)

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; reads `batch_size` images at a time."""
        ready = self._get_ready()
        order = [ready.labels.index(label) for label in self.labels]
        remaining, parts = iter(images), []
        while batch := list(islice(remaining, self.batch_size)):
            parts.append(ready.predict(batch)[:, order])
        return np.concatenate(parts) if parts else np.zeros((0, len(order)), np.float32)

    def find_box(self, image: Image.Image) -> tuple[float, float, float, float]:
        """What the model sees of the image: x0 y0 x1 y1 in its pixels."""
        return self._get_ready().pixels.find_box(image)

    def fork(self) -> Self:
        """A copy; both use the one open file, which nothing changes."""
        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        other._place, other._ready, other.labels = self._place, self._ready, self.labels
        return other

    def save(self, folder: str | Path) -> None:
        """Copies the model with the files beside it that it uses."""
        for path in self._files():
            target = Path(folder, path.relative_to(self._place.parent))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_state(folder, {"parameters": self.parameters(), "labels": self.labels, "file": self._place.name})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""
        state = read_state(folder, cls)
        classifier = cls(**state["parameters"])
        classifier._place = Path(folder, state["file"])
        classifier.prepare(Context(labels=tuple(state["labels"])))
        return classifier

    def _get_ready(self) -> _Ready:
        if self._ready is None:
            raise NotFittedError(f"{WHO}: {self.file!r} is not open; call prepare(Context()) first")
        return self._ready

    @property
    def uses_processor(self) -> bool:
        """Whether the image processor beside the file prepares the images: it is there, and nothing is set here."""
        names = ("size", "mean", "std", "scale", "resize", "crop", "interpolation", "channels")
        return all(getattr(self, name) is None for name in names) and self._place.with_name(_PROCESSOR).is_file()

    def _files(self) -> list[Path]:
        """The model, and the files beside it that it uses."""
        beside = {_PROCESSOR: self.uses_processor, _CONFIG: self._given is None}
        paths = [self._place.with_name(name) for name, used in beside.items() if used]
        return [self._place, *find_data_files(self._place), *(path for path in paths if path.is_file())]

    def _digest(self) -> str | None:
        return digest_files(self._files()) if self._place.is_file() else None


class _Ready:
    """An open model with all that is needed to predict.

    Args:
        model: the open file.
        pixels: how images become its input.
        labels: in the order of its outputs.
        output: name of the output.
    """

    def __init__(
        self, model: OnnxModel, pixels: PixelSettings | _Processor, labels: tuple[str, ...], output: str
    ) -> None:
        self.model, self.pixels, self.labels, self.output = model, pixels, labels, output
        self.kind = ""

    def read(self, images: Sequence[Image.Image]) -> NDArray[np.float64]:
        """What the model answers: n k."""
        return self.model.run(self.output, self.pixels.normalize([self.pixels.make_frame(image) for image in images]))

    def predict(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """The probabilities: n k."""
        values = to_probabilities(self.read(images), self.kind, len(self.labels))
        return check_probabilities(f"{WHO}: {self.model.file.name}", values, len(images), self.labels)


class _Processor:
    """Prepares images by the image processor of a checkpoint on the hub.

    Args:
        folder: with its `preprocessor_config.json`.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoImageProcessor

        from ._isolation import silence_transformers
        from ._preprocessor import Preprocessor

        try:
            with silence_transformers():
                processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                    str(folder), backend="pil", trust_remote_code=False, local_files_only=True
                )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{WHO}: {str(folder / _PROCESSOR)!r} cannot be used: {' '.join(str(error).split())[:200]}; give mean="
                " and std= instead"
            ) from error
        self._preprocessor: Preprocessor = Preprocessor(processor)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self._preprocessor.input_size

    def make_frame(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image resized and cropped: h w c."""
        return self._preprocessor.make_frame(image)

    def find_box(self, image: Image.Image) -> tuple[float, float, float, float]:
        """What the model sees of the image."""
        return self._preprocessor.find_box(image)

    def normalize(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The frames as the model reads them: n h w c."""
        pixels: NDArray[np.float32] = self._preprocessor.normalize(frames).numpy().transpose(0, 2, 3, 1)
        return pixels


def _open(settings: OnnxClassifier, model: OnnxModel) -> _Ready:
    if settings.outputs not in (None, *_OUTPUTS):
        raise ConfigError(f"{WHO}: outputs must be 'logits' or 'probabilities', got {settings.outputs!r}")
    if settings.batch_size < 1:
        raise ConfigError(f"{WHO}: batch_size must be 1 or more, got {settings.batch_size}")
    labels = _find_labels(settings._given, model)
    output = model.choose_output(settings.output, len(labels))
    ready = _Ready(model, _find_pixels(settings, model), labels, output)
    _check_size(model, ready.pixels.size)
    answers = model.probe(output, ready.pixels.normalize(list(make_noise(model, ready.pixels.size))))
    _check_width(model, answers, labels)
    ready.kind = find_kind(model.file.name, answers, settings.outputs)
    return ready


def _check_width(model: OnnxModel, answers: NDArray[np.float64], labels: tuple[str, ...]) -> None:
    widths = (len(labels), 1) if len(labels) == 2 else (len(labels),)
    if answers.ndim != 2 or answers.shape[1] not in widths:
        raise ConfigError(
            f"{WHO}: {model.file.name} must answer n {len(labels)} for the {len(labels)} labels, got shape"
            f" {answers.shape}; give as many labels as it has classes"
        )
    if not np.isfinite(answers).all():
        raise ConfigError(f"{WHO}: {model.file.name} answers noise with values that are not finite; it is damaged")


def find_kind(name: str, answers: NDArray[np.float64], wanted: str | None) -> str:
    """Whether answers are "logits" or "probabilities".

    Args:
        name: of the model, for messages.
        answers: n k, to different images; or n 1, of the second of two classes.
        wanted: what they are said to be; None to find out.

    Raises:
        ConfigError: they are not what they are said to be, or this is unclear.
    """
    single = answers.shape[1] == 1
    inside = bool((answers >= -TOLERANCE).all() and (answers <= 1 + TOLERANCE).all())
    sums = np.abs(answers.sum(axis=1) - 1) <= TOLERANCE
    probable = inside and (single or bool(sums.all()))
    seen = f"from {answers.min():.4g} to {answers.max():.4g}, with sums from {answers.sum(1).min():.4g} on"
    if wanted == "probabilities" and not probable:
        raise ConfigError(f"{WHO}: {name} is said to answer with probabilities, but gives values {seen}; try 'logits'")
    if wanted == "logits" and probable and not single:
        raise ConfigError(f"{WHO}: {name} is said to answer with logits, but its values sum to 1: use 'probabilities'")
    if wanted is not None:
        return wanted
    if probable and not single:
        return "probabilities"
    if not inside:
        return "logits"
    raise ConfigError(
        f"{WHO}: it is not clear whether {name} answers with logits or probabilities: noise gives values {seen}. Set"
        " outputs = 'logits' or 'probabilities'; a model of several labels for an image (sigmoid) is not supported"
    )


def to_probabilities(answers: NDArray[np.float64], kind: str, count: int) -> NDArray[np.float64]:
    """Probabilities of answers of that kind: n k; a single column is that of the second of two classes."""
    if answers.shape[1:] == (1,) and count == 2:
        second = answers if kind == "probabilities" else 1 / (1 + np.exp(-answers.clip(-500, 500)))
        return np.concatenate([1 - second, second], axis=1)
    if kind == "probabilities":
        return answers
    scores = np.exp(answers - answers.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = scores / scores.sum(axis=1, keepdims=True)
    return probabilities


def _find_pixels(settings: OnnxClassifier, model: OnnxModel) -> PixelSettings | _Processor:
    if settings.uses_processor:
        return _Processor(model.file.parent)
    names = ("mean", "std", "scale", "resize", "crop", "interpolation", "channels")
    options: dict[str, Any] = {name: getattr(settings, name) for name in names}
    raw = model.input.dtype is np.uint8
    return read_pixel_settings(
        f"{WHO}: {model.file.name}", size=_find_size(settings.size, model), depth=model.input.depth, raw=raw, **options
    )


def _find_size(given: int | list[int] | None, model: OnnxModel) -> tuple[int, int]:
    sides = model.input.size if given is None else (given, given) if isinstance(given, int) else tuple(given)
    if len(sides) != 2 or not all(side is None or side > 0 for side in sides):
        raise ConfigError(f"{WHO}: size must be height and width, or one number for both, got {given!r}")
    height, width = sides
    if height is None or width is None:
        raise ConfigError(
            f"{WHO}: {model.file.name} takes images of any size, and nothing says which it was trained with; give"
            " size=, such as 224"
        )
    return height, width


def _check_size(model: OnnxModel, size: tuple[int, int]) -> None:
    if any(fixed not in (None, side) for fixed, side in zip(model.input.size, size, strict=True)):
        raise ConfigError(
            f"{WHO}: {model.file.name} reads {model.input.size[0]} x {model.input.size[1]} pixels (h w), and the"
            f" settings make {size[0]} x {size[1]}; leave size out, or give the model's"
        )


def _find_labels(given: list[str] | None, model: OnnxModel) -> tuple[str, ...]:
    if given is not None:
        return check_names(WHO, given)
    for name in _LABELS_IN_METADATA:
        if name in model.metadata:
            return check_names(
                f"{WHO}: {name} in the metadata of {model.file.name}", _parse_names(model.metadata[name])
            )
    config = model.file.with_name(_CONFIG)
    if config.is_file():
        try:
            names = json.loads(config.read_text(encoding="utf-8")).get("id2label")
        except (ValueError, AttributeError):
            names = None
        if names is not None:
            return check_names(f"{WHO}: id2label in {str(config)!r}", _order_by_index(names))
    raise ConfigError(f"{WHO}: {model.file.name} does not name its classes; give labels=, in the order of its outputs")


def _parse_names(text: str) -> Any:
    """Names in JSON, as Python writes them, or divided by lines or commas."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return _order_by_index(parse(text))
        except (ValueError, SyntaxError):
            continue
    return [name.strip() for name in (text.splitlines() if "\n" in text.strip() else text.split(",")) if name.strip()]


def _order_by_index(names: Any) -> Any:
    """A table from index to name as a list; other values as they are."""
    if not isinstance(names, Mapping):
        return names
    try:
        by_index = {int(index): name for index, name in names.items()}
    except ValueError:
        return dict(names)
    # With a gap, or from 1 on, it does not say which output is which: not a list, so refused.
    return [by_index[index] for index in range(len(by_index))] if set(by_index) == set(range(len(names))) else by_index
