"""Opens a checkpoint as a network with its labels, or says why it cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

from ...errors import ConfigError, MissingExtraError, XaiaugError, name_some
from .._logits import interpolates_positions
from ._adapters import open_adapter
from ._head import split_output
from ._hub import is_adapter, locate
from ._isolation import isolate_randomness, silence_transformers
from ._preprocessor import Preprocessor
from ._weight_files import Loaded, check_number_types, check_weight_files, judge_weights

_WHO = "TransformersClassifier"
_MANY_CONVOLUTIONS = 8
_MOST_ON_CPU = 8  # images in a pass of a convolutional network
_FOLDER = (
    "Give a folder with config.json, model.safetensors and preprocessor_config.json, or the name of such a checkpoint"
    " on the model hub."
)


@dataclass
class Network:
    """A loaded checkpoint.

    Attributes:
        module: the network, in evaluation mode; returns logits.
        preprocessor: prepares its images.
        labels: names of the classes, in the order of its logits, no two the same.
        fitted: whether its head was trained.
        trained: whether `fit` has trained it, so that its head belongs to the run.
        lacks: why its head cannot be used as it is; empty where it can.
        unused: whether the checkpoint has a head that cannot be used.
        repeated: names that stand for several of its outputs in the checkpoint.
        negative: our name for what a head with one output is against; empty for other heads.
        cautions: what a reader must know of how it reads images and names its outputs.
    """

    module: Any
    preprocessor: Preprocessor
    labels: tuple[str, ...]
    fitted: bool
    trained: bool = False
    lacks: str = ""
    unused: bool = False
    repeated: tuple[str, ...] = ()
    negative: str = ""
    cautions: tuple[str, ...] = ()

    @property
    def is_convolutional(self) -> bool:
        """Whether most of its work is convolutions, not one that cuts patches."""
        return sum(isinstance(part, nn.Conv2d) for part in self.module.modules()) >= _MANY_CONVOLUTIONS

    def to_device(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels where the network is, in the memory layout that it reads fastest: n c h w."""
        layout = torch.channels_last if self.is_convolutional else torch.preserve_format
        return pixels.to(self.module.device, memory_format=layout)

    def count_at_once(self, most: int) -> int:
        """How many images to predict in one pass, at most so many.

        On a CPU large maps are slow: the C library takes what exceeds 32 MB from the system anew each time.
        """
        small = self.is_convolutional and self.module.device.type == "cpu"
        return min(most, _MOST_ON_CPU) if small else most


def open_checkpoint(checkpoint: str, revision: str | None = None) -> Network:
    """The network in a folder that `save_pretrained` wrote, or of a name on the model hub, in float32.

    A folder that peft wrote is merged into its base.

    Raises:
        ConfigError: there is no such checkpoint, or it is not one of an image classifier or its backbone.
        MissingExtraError: it needs a package that is not installed.
    """
    path = locate(checkpoint, revision)
    # `fit` draws new heads again; isolation only keeps the caller's random state as it was.
    with silence_transformers(), isolate_randomness(0), blame_checkpoint(_WHO, checkpoint, "be loaded", _FOLDER):
        check_weight_files(_WHO, checkpoint, Path(path))
        if is_adapter(Path(path)):
            loaded, source = open_adapter(checkpoint, Path(path), _load_module)
        else:
            loaded, source = _load_module(checkpoint, path, revision), path
        _check_input(checkpoint, loaded.module)
        labels = _read_labels(checkpoint, loaded.module.config)
        untrained, misfit = judge_weights(checkpoint, loaded), _judge_meaning(checkpoint, loaded.module.config)
        processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            source, revision=revision, backend="pil", trust_remote_code=False
        )
        _align_memory(loaded.module)
        network = Network(loaded.module.eval(), Preprocessor(processor), labels, not (untrained or misfit))
    network.cautions = (*_compare_sizes(checkpoint, network), *_compare_tables(checkpoint, loaded.module.config))
    network.lacks, network.unused = untrained or misfit, bool(loaded.mismatched or misfit)
    return _split_one_output(network) if len(labels) == 1 else _number_repeated_labels(network)


def _compare_sizes(checkpoint: str, network: Network) -> tuple[str, ...]:
    """A caution where the family would refuse the processor's images, unless told to interpolate its positions."""
    pixels = network.preprocessor.normalize([network.preprocessor.make_frame(Image.new("RGB", (64, 48)))])
    if not interpolates_positions(network.module, pixels):
        return ()
    config = getattr(network.module.config, "vision_config", network.module.config)
    return (
        f"preprocessor_config.json of {checkpoint!r} makes images of {pixels.shape[2]} × {pixels.shape[3]} pixels"
        f" for a network of {config.image_size}, whose positions are interpolated: right only if it was trained so.",
    )


def _compare_tables(checkpoint: str, config: Any) -> tuple[str, ...]:
    """A caution where the two tables of labels give one name to different outputs: one of them swaps classes."""
    names = {str(name): index for index, name in config.id2label.items()}
    other = config.label2id if isinstance(config.label2id, dict) else {}
    differ = [label for label, index in other.items() if label in names and str(names[label]) != str(index)]
    if not differ or len(names) < len(config.id2label):  # a name that stands twice is in label2id once
        return ()
    return (
        f"id2label and label2id in config.json of {checkpoint!r} disagree about {name_some(differ)}; id2label counts,"
        " as in transformers. If the other one is right, the classes are swapped.",
    )


def _number_repeated_labels(network: Network) -> Network:
    """Gives outputs of the same name names of their own: two of ImageNet's classes are called crane."""
    counts = Counter(network.labels)
    network.repeated = tuple(name for name, count in counts.items() if count > 1)
    network.labels = tuple(
        f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(network.labels)
    )
    return network


def _split_one_output(network: Network) -> Network:
    """Makes two classes of one output, that of its label and the other one."""
    network.negative = f"not {network.labels[0]}"
    network.labels = (network.negative, *network.labels)
    network.module = split_output(network.module, network.labels)
    return network


@contextmanager
def blame_checkpoint(who: str, checkpoint: str, action: str, way_out: str) -> Iterator[None]:
    """Turns what loading and predicting raise into an error of ours that names the checkpoint.

    Args:
        who: the classifier.
        checkpoint: as the user named it.
        action: what cannot be done, such as "be loaded".
        way_out: what to do.

    Raises:
        MissingExtraError: a package is not installed.
        ConfigError: anything else but an XaiaugError was raised.
    """
    try:
        yield
    except XaiaugError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"{who}: the checkpoint {checkpoint!r} needs a package that is not installed:"
            f" {_first_line(error)} Install it, or give a checkpoint of another kind."
        ) from error
    except Exception as error:
        raise ConfigError(
            f"{who}: the checkpoint {checkpoint!r} cannot {action}: {type(error).__name__}:"
            f" {_first_line(error)} {way_out}"
        ) from error


def _load_module(checkpoint: str, path: str, revision: str | None) -> Loaded:
    module, loading = AutoModelForImageClassification.from_pretrained(
        path,
        revision=revision,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    if getattr(module, "_hf_peft_config_loaded", False):
        advice = (
            "holds adapters beside the weights of a whole network; move one of them elsewhere"
            if Path(path).is_dir()
            else "on the model hub is an adapter; download it, and give its folder"
        )
        raise ConfigError(f"TransformersClassifier: {checkpoint!r} {advice}")
    if Path(path).is_dir() and not getattr(module, "is_quantized", False):
        check_number_types(checkpoint, Path(path))
    mismatched = {entry[0]: (tuple(entry[1]), tuple(entry[2])) for entry in loading["mismatched_keys"]}
    return Loaded(module, frozenset(loading["missing_keys"]), frozenset(loading["unexpected_keys"]), mismatched)


def _check_input(checkpoint: str, module: Any) -> None:
    """Refuses networks that do not read colour images."""
    if getattr(module, "main_input_name", "pixel_values") == "input_ids":
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} is a {type(module).__name__}, which reads tokens, not pixels; give"
            " another checkpoint, or pass the network to TorchClassifier"
        )
    config = getattr(module.config, "vision_config", module.config)
    channels = getattr(config, "num_channels", 3)
    if channels != 3:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} reads images of {channels} channel{'s' * (channels != 1)}, not of"
            " 3 (RGB); pass the network to TorchClassifier, with a preprocess that returns what it reads"
        )


def _read_labels(checkpoint: str, config: Any) -> tuple[str, ...]:
    """The names of the outputs, as the checkpoint has them."""
    names = config.id2label
    if not names:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} names no labels: id2label of its config.json is empty; name its"
            " outputs there, in their order"
        )
    if sorted(names) != list(range(len(names))) or len(names) != config.num_labels:
        raise ConfigError(
            f"TransformersClassifier: {checkpoint!r} numbers its labels {name_some(map(str, sorted(names)))} in"
            f" id2label of config.json. Its {config.num_labels} outputs are 0 to {config.num_labels - 1}:"
            " number them so, in the order of the outputs"
        )
    # As transformers calls outputs without names.
    return tuple(
        f"LABEL_{index}" if names[index] is None or not str(names[index]).strip() else str(names[index])
        for index in range(len(names))
    )


def _judge_meaning(checkpoint: str, config: Any) -> str:
    """Why a trained head's outputs are no classes of which an image has one; empty where they are."""
    if config.problem_type == "multi_label_classification":
        return (
            f"the head of {checkpoint!r} is multi-label (problem_type): an image may have several of its classes, or"
            " none"
        )
    if config.problem_type == "regression":
        return f"the head of {checkpoint!r} is a regression (problem_type): its output is a number, not a class"
    return ""


def _align_memory(module: nn.Module) -> None:
    """Moves weights into memory with torch's own alignment.

    A file's tensors start where its header ends, and kernels round differently there: without this a loaded network
    and a copy of it would differ in the last bits.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = (lines[0] if lines else "no message")[:300]
    return line if line.endswith((".", ":", "…")) else f"{line}."
