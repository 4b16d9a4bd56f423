"""An ONNX file in onnxruntime: what it reads and answers, found in the file and by trying it."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, MissingExtraError, PluginError, name_some

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# A tensor's entry "location" in the protobuf, and the name of the file beside the model that holds its values.
_LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])", re.DOTALL)
_PROBES = 3
_CLOSE = 1e-3


@dataclass(frozen=True)
class InputForm:
    """What the model reads.

    Attributes:
        name: of the input.
        dtype: of its values.
        depth: channels, 1 or 3.
        channels_last: whether it reads n h w c.
        size: height and width; None where any.
        batch: the one number of images it takes; None where any.
    """

    name: str
    dtype: Any
    depth: int
    channels_last: bool
    size: tuple[int | None, int | None]
    batch: int | None


def find_data_files(file: Path) -> list[Path]:
    """The files beside a model that hold its larger tensors, where it has any; those that are there."""
    names = _find_locations(file, file.stat().st_size, file.stat().st_mtime_ns)
    found = (file.parent / name for name in names if "\0" not in name)
    return [path for path in found if path.is_file() and path.resolve().is_relative_to(file.parent.resolve())]


@functools.cache
def _find_locations(file: Path, size: int, changed_ns: int) -> tuple[str, ...]:  # noqa: ARG001  (part of the key)
    content = file.read_bytes()
    matches = _LOCATION.finditer(content)
    names = {content[match.end() : match.end() + match[1][0]].decode(errors="replace") for match in matches}
    return tuple(sorted(names))


def digest_files(paths: Iterable[Path]) -> str:
    """16 hexadecimal digits over the contents of files, in order; a file that has not changed is read once."""
    digest = hashlib.sha256()
    for path in paths:
        seen = path.stat()
        digest.update(_hash_file(path, seen.st_size, seen.st_mtime_ns))
    return digest.hexdigest()[:16]


@functools.cache
def _hash_file(path: Path, size: int, changed_ns: int) -> bytes:  # noqa: ARG001  (part of the cache's key)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def check_model_file(who: str, file: Path) -> None:
    """Raises early what needs no reading of the model.

    Raises:
        ConfigError: there is no such file.
        MissingExtraError: onnxruntime is not installed.
    """
    if find_spec("onnxruntime") is None:
        import_runtime(who)
    if not file.is_file():
        raise ConfigError(f"{who}: there is no file {str(file)!r}; give the path of an ONNX file")


def import_runtime(who: str) -> Any:
    """The module onnxruntime.

    Args:
        who: needs it, for the message.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(f"{who} needs onnxruntime: pip install 'xaiaug[onnx]'") from error
    return onnxruntime


class OnnxModel:
    """An open ONNX file.

    Args:
        file: the model.
        device: "auto", or the name of a torch device.
        who: uses it, for messages.

    Raises:
        ConfigError: the file cannot be opened, or is not one input of images.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, file: Path, device: str = "auto", who: str = "OnnxClassifier") -> None:
        runtime = import_runtime(who)
        _check_file(who, file)
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors, which are raised as well
        cuda = device != "cpu" and "CUDAExecutionProvider" in runtime.get_available_providers()
        providers = ["CUDAExecutionProvider"] * cuda + ["CPUExecutionProvider"]
        try:
            self._session = runtime.InferenceSession(str(file), options, providers=providers)
        except Exception as error:
            raise ConfigError(f"{who}: {str(file)!r} cannot be opened: {_shorten(error)}") from error
        self.file, self.who = file, who
        self.input = _read_input(who, file, self._session.get_inputs())
        self._together = self.input.batch is None

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the exporter wrote into the file."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @cached_property
    def outputs(self) -> dict[str, list[Any]]:
        """The shape of each output by name, in order; a side that may vary is None or a name."""
        return {output.name: list(output.shape) for output in self._session.get_outputs()}

    def choose_output(self, wanted: str | None, count: int | None) -> str:
        """The name of the output that has a number for each class.

        Args:
            wanted: its name; None to find it.
            count: number of classes; None where not known.

        Raises:
            ConfigError: there is none, or several.
        """
        outputs = self.outputs
        if wanted is not None and wanted not in outputs:
            raise ConfigError(f"{self.who}: {self.file.name} has no output {wanted!r}; it has {list_outputs(outputs)}")
        widths = {count, 1} if count == 2 else {count}
        fitting = [
            name
            for name, shape in outputs.items()
            if wanted in (None, name)
            and len(shape) == 2
            and (count is None or not isinstance(shape[1], int) or shape[1] in widths)
        ]
        if len(fitting) == 1:
            return fitting[0]
        expected = "n k" if count is None else f"n {count}, one number for each label"
        if fitting:
            raise ConfigError(
                f"{self.who}: {self.file.name} has several outputs of shape {expected}: {list_outputs(outputs)}; name"
                " the one with the classes, output="
            )
        raise ConfigError(
            f"{self.who}: {self.file.name} has no output of shape {expected}; it has {list_outputs(outputs)}. Give as"
            " many labels as it has classes, or export a model that returns one number for each class"
        )

    def run(self, output: str, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """The output for images: n …; as many at a time as the model takes.

        Args:
            output: its name.
            pixels: n h w c.
        """
        step = self.input.batch or (len(pixels) if self._together else 1)
        parts = [self._run_batch(output, pixels[start : start + step]) for start in range(0, len(pixels), step)]
        return np.concatenate(parts)

    def probe(self, output: str, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """The output for a few different images, each asked for alone; learns whether several may be asked at once.

        Raises:
            ConfigError: together they get other answers than alone, or a second time others than the first.
        """
        alone = np.concatenate([self._run_batch(output, pixels[i : i + 1]) for i in range(len(pixels))])
        again = np.concatenate([self._run_batch(output, pixels[i : i + 1]) for i in range(len(pixels))])
        if not np.allclose(alone, again, _CLOSE, _CLOSE):
            raise ConfigError(
                f"{self.who}: {self.file.name} answers differently every time; export it in evaluation mode, without"
                " dropout"
            )
        try:
            together = self.run(output, pixels)
        except PluginError:
            self._together = False
            return alone
        if together.shape != alone.shape or not np.allclose(alone, together, _CLOSE, _CLOSE):
            raise ConfigError(
                f"{self.who}: {self.file.name} answers differently for several images at once than for each"
                " alone; export it in evaluation mode"
            )
        return alone

    def _run_batch(self, output: str, pixels: NDArray[Any]) -> NDArray[np.float64]:
        count = len(pixels)
        if self.input.batch is not None and count < self.input.batch:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], self.input.batch - count, axis=0)])
        if not self.input.channels_last:
            pixels = pixels.transpose(0, 3, 1, 2)
        feed = {self.input.name: np.ascontiguousarray(pixels.astype(self.input.dtype))}
        try:
            (answer,) = self._session.run([output], feed)
        except Exception as error:
            raise PluginError(
                f"{self.who}: {self.file.name} failed on images of shape {feed[self.input.name].shape}:"
                f" {_shorten(error)}"
            ) from error
        if len(answer) != len(pixels):
            raise PluginError(
                f"{self.who}: {self.file.name} must answer for each of {len(pixels)} images, got shape {answer.shape}"
            )
        values: NDArray[np.float64] = np.asarray(answer, np.float64)[:count]
        return values


def make_noise(model: OnnxModel, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A few different images: n h w c."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (_PROBES, *size, model.input.depth), dtype=np.uint8)


def _check_file(who: str, file: Path) -> None:
    if not file.is_file():
        raise ConfigError(f"{who}: there is no file {str(file)!r}")
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise ConfigError(f"{who}: {str(file)!r} is a Git LFS pointer, not the model; fetch it with `git lfs pull`")


def _read_input(who: str, file: Path, inputs: Sequence[Any]) -> InputForm:
    form = f"{who}: {file.name} must have one input of images, n c h w or n h w c; it has "
    if len(inputs) != 1:
        raise ConfigError(f"{form}{len(inputs)}: {name_some(one.name for one in inputs)}")
    (one,) = inputs
    shape = [side if isinstance(side, int) and side > 0 else None for side in one.shape]
    if one.type not in _TYPES or len(shape) != 4:
        raise ConfigError(f"{form}{one.name}: {one.type} of shape {list(one.shape)!r:.80}")
    first, last = (shape[at] if shape[at] in (1, 3) else None for at in (1, 3))
    depth = first or last
    if depth is None or (first and last):
        raise ConfigError(
            f"{form}{one.name} of shape {list(one.shape)!r:.80}, which does not show where its 3 channels (1 for grey)"
            " are; export it with a fixed number of channels"
        )
    height, width = shape[1:3] if last else shape[2:4]
    return InputForm(one.name, _TYPES[one.type], depth, last is not None, (height, width), shape[0])


def list_outputs(outputs: dict[str, list[Any]]) -> str:
    """Names and shapes of outputs, for messages."""
    return name_some(f"{name} {shape}" for name, shape in outputs.items())


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
