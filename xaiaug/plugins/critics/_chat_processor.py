"""Loads the processor of a vision-language model; where its videos need torchvision, one that reads images alone."""

from __future__ import annotations

import re
from typing import Any

from ...errors import ConfigError, MissingExtraError

# How transformers names a package that is missing; each has its own way.
_MISSING = (
    re.compile(r"requires the (?:\w+ )?(\w+) library", re.I),
    re.compile(r"[Pp]ackage [`'\"](\w+)[`'\"] is required"),
    re.compile(r"pip install ([\w-]+(?: [\w-]+)*)"),
    re.compile(r"No module named [`'\"](\w+)"),
)


def load_chat_processor(source: str) -> Any:
    """The processor of a model, with a tokenizer, and with an image processor if it has one.

    Args:
        source: a folder written by `save_pretrained`, or a name on the model hub.

    Raises:
        MissingExtraError: its family needs packages that are not installed; it names them.
        OSError, ValueError, KeyError: there is no such processor.
    """
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(source)  # type: ignore[no-untyped-call]
    except ImportError as error:
        missing = error
    try:
        return _load_without_videos(source)
    except ImportError as error:
        missing = error
    except ConfigError:
        pass  # its family has no processor of that kind
    raise MissingExtraError(describe_missing(source, missing)) from missing


def describe_missing(source: str, error: ImportError) -> str:
    """One line that names the packages of a family that are not installed."""
    names = [name.lower() for pattern in _MISSING for found in pattern.findall(str(error)) for name in found.split()]
    packages = sorted({name for name in names if name not in ("install", "u", "upgrade")})
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    advice = f"pip install {' '.join(packages)}" if packages else "install what it names"
    return f"local-vlm: the model {source!r} is of a family that needs more packages: {advice} ({first})"


def _load_without_videos(source: str) -> Any:
    """The parts of a processor without the one for videos, which a critic does not show."""
    import transformers
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
    from transformers.models.auto import processing_auto  # its table is not exported

    family = AutoConfig.from_pretrained(source).model_type
    base: Any = getattr(transformers, str(vars(processing_auto)["PROCESSOR_MAPPING_NAMES"].get(family)), None)
    if base is None:
        raise ConfigError(f"local-vlm: the family {family!r} has no processor")
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    images: Any = AutoImageProcessor.from_pretrained(source)  # type: ignore[no-untyped-call]
    kind = type(base.__name__, (base,), {"check_argument_for_proper_class": _check_argument})
    return kind(
        image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=tokenizer.chat_template
    )


def _check_argument(self: Any, name: str, argument: Any) -> Any:
    """As the processor's own, which looks up the class of a part even where there is none."""
    return None if argument is None else super(type(self), self).check_argument_for_proper_class(name, argument)
