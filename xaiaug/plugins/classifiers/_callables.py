"""Parts of a classifier given by name, "package.module:function", or alive."""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import torch
from torch import nn

from ...errors import ConfigError


@dataclass(frozen=True, eq=False)
class Parts:
    """What a classifier is made of, each part a name or alive; shared by its copies.

    Attributes:
        module: a network, or the name of a function that makes one.
        preprocess: a function, or its name.
        fit: a function, its name, or None.
    """

    module: Any
    preprocess: Any
    fit: Any

    @property
    def alive(self) -> list[str]:
        """The parts that exist in this process alone."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return [name for name, value in given.items() if not isinstance(value, str | None)]

    def described(self) -> dict[str, str | None]:
        """Each part's name; for a live one its place and a digest, the same in every process of one program."""
        return {field.name: _describe(getattr(self, field.name)) for field in fields(self)}

    def network(self, fresh: bool = False) -> nn.Module:
        """The network, in evaluation mode; a fresh one may be changed."""
        found = _find(self.module) if isinstance(self.module, str) else self.module
        if callable(found) and not isinstance(found, nn.Module):
            found = found()
        elif fresh:
            found = copy.deepcopy(found)
        if not isinstance(found, nn.Module):
            raise ConfigError(f"TorchClassifier: module must give a torch.nn.Module, got {type(found).__name__}")
        return found.eval()

    def function(self, name: str) -> Callable[..., Any]:
        """The function `preprocess` or `fit`."""
        given = getattr(self, name)
        found = _find(given) if isinstance(given, str) else given
        if not callable(found):
            raise ConfigError(f"TorchClassifier: {name} must be a function, got {type(found).__name__}")
        return found  # type: ignore[no-any-return]


# Live parts cannot be written to a file: what was saved finds them here, as long as a classifier holds them.
LIVING: WeakValueDictionary[str, Parts] = WeakValueDictionary()


def stay(alive: Sequence[str]) -> NoReturn:
    """Says that live parts cannot leave their process."""
    raise ConfigError(
        f"TorchClassifier: {', '.join(alive)} are live objects of the process that made them and cannot be handed to"
        " another; give names, 'package.module:function', that it can import"
    )


def weights_digest(module: nn.Module) -> str:
    """A digest of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _find(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError(f"TorchClassifier: a name must be of the form 'package.module:function', got {name!r}")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"TorchClassifier: cannot find {name!r}: {error}") from error


def _describe(given: Any) -> str | None:
    if given is None or isinstance(given, str):
        return given
    kind = given if hasattr(given, "__qualname__") else type(given)
    # A network is told apart by its weights, and repr may hold addresses, which differ in every process.
    shown = "" if isinstance(given, nn.Module) else re.sub(r"0x[0-9a-f]+", "", repr(given) + _held(given))
    digest = hashlib.sha256((_source(kind) + shown).encode()).hexdigest()[:12]
    return f"live {kind.__module__}:{kind.__qualname__} {digest}"


def _source(given: Any) -> str:
    try:
        return inspect.getsource(given)
    except (OSError, TypeError):
        return ""


def _held(given: Any) -> str:
    """Values a function closes over, and its defaults."""
    if not inspect.isfunction(given):
        return ""
    held = sorted(inspect.getclosurevars(given).nonlocals.items(), key=lambda item: item[0])
    return repr((held, given.__defaults__, given.__kwdefaults__))
