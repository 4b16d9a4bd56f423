"""Parts of a classifier that are given by name, "package.module:function", or as live objects."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import torch
from torch import nn

from ...errors import ConfigError, DataError
from ...records import JSON

_WHO = "TorchClassifier"
_MOST_NAME = 100  # characters of a name in an error


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a classifier, each a name or a live object; shared by its copies.

    Attributes:
        module: a network, or the name of a function that returns one.
        preprocess: a function, or its name.
        fit: a function, its name, or None.
    """

    module: Any
    preprocess: Any
    fit: Any

    @property
    def live(self) -> list[str]:
        """Which parts are live objects, which exist in this process alone."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [name for name, value in values.items() if not isinstance(value, str | None)]

    def describe(self) -> dict[str, str | None]:
        """Each part's name; of a live one where it is defined and a digest, the same in every process of a program."""
        return {field.name: describe_part(getattr(self, field.name)) for field in fields(self)}

    def make_network(self, fresh: bool = False) -> nn.Module:
        """The network, in evaluation mode; a fresh one may be changed."""
        network = import_name(_WHO, self.module) if isinstance(self.module, str) else self.module
        if callable(network) and not isinstance(network, nn.Module):
            network = network()
        elif fresh:
            network = copy.deepcopy(network)
        if not isinstance(network, nn.Module):
            raise ConfigError(f"TorchClassifier: module must give a torch.nn.Module, got {type(network).__name__}")
        if isinstance(network, torch.jit.ScriptModule):
            network = nn.Sequential(network)  # which takes hooks
        evaluated: nn.Module = network.eval()
        return evaluated

    def get_function(self, name: str) -> Callable[..., Any]:
        """The function `preprocess` or `fit`."""
        value = getattr(self, name)
        function = import_name(_WHO, value) if isinstance(value, str) else value
        if not callable(function):
            raise ConfigError(f"TorchClassifier: {name} must be a function, got {type(function).__name__}")
        return function  # type: ignore[no-any-return]


def takes_keyword(function: Callable[..., Any], name: str) -> bool:
    """Whether a function declares a parameter of that name; False where its signature cannot be read."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


# Live parts cannot be written to a file: `load` finds them here, as long as a classifier holds them.
LIVE_PARTS: WeakValueDictionary[str, Any] = WeakValueDictionary()


# Roles and names that code of this process, or the driver that started it, gave to a constructor.
_GIVEN: set[tuple[str, str]] = set()


def remember_names(parts: Parts) -> None:
    """Notes the names of parts that a constructor was given: `load` imports these and no others."""
    _GIVEN.update(_find_names(parts))


def refuse_unknown_names(parts: Parts) -> None:
    """Raises ConfigError where a folder names a part that nobody gave in this process."""
    for role, name in _find_names(parts):
        if (role, name) not in _GIVEN:
            raise ConfigError(
                f"TorchClassifier: the folder names {_shorten(name)} as its {role}, but no name was given in this "
                "process. Importing it may run any code, so a name that only a file gives is not imported: if you "
                "trust it, create TorchClassifier(module, preprocess, labels, fit) with the same names first, then load"
            )


def _find_names(parts: Parts) -> list[tuple[str, str]]:
    values = {field.name: getattr(parts, field.name) for field in fields(parts)}
    return [(role, value) for role, value in values.items() if isinstance(value, str)]


def _shorten(name: str) -> str:
    return repr(name if len(name) <= _MOST_NAME else f"{name[:_MOST_NAME]}…")


def refuse_live_parts(who: str, live: Sequence[str]) -> NoReturn:
    """Raises ConfigError: live parts cannot leave their process."""
    raise ConfigError(
        f"{who}: {', '.join(live)} are live objects and cannot be passed to another process; give names,"
        " 'package.module:function', that it can import"
    )


def digest_weights(module: nn.Module) -> str:
    """A digest of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def import_name(who: str, name: str) -> Any:
    """The object behind "package.module:function".

    Raises:
        ConfigError: there is none.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError(f"{who}: a name must be of the form 'package.module:function', got {name!r}")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{who}: cannot import {name!r}: {error}") from error


def describe_part(part: Any) -> str | None:
    """A part's name; of a live one where it is defined and a digest, the same in every process of a program."""
    if part is None or isinstance(part, str):
        return part
    kind = part if hasattr(part, "__qualname__") else type(part)
    # A network is identified by its weights, and repr may hold addresses, which differ in every process.
    values = "" if isinstance(part, nn.Module) else re.sub(r"0x[0-9a-f]+", "", repr(part) + _describe_values(part))
    digest = hashlib.sha256((_read_source(kind) + values).encode()).hexdigest()[:12]
    return f"live {kind.__module__}:{kind.__qualname__} {digest}"


def _read_source(kind: Any) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


def _describe_values(function: Any) -> str:
    """The values a function closes over, and its defaults; empty where it is no function."""
    if not inspect.isfunction(function):
        return ""
    closure = sorted(inspect.getclosurevars(function).nonlocals.items(), key=lambda item: item[0])
    return repr((closure, function.__defaults__, function.__kwdefaults__))


def restore_parts(state: dict[str, Any], folder: str | Path) -> Parts:
    """The parts of a saved classifier.

    Args:
        state: as it was saved.
        folder: where.

    Raises:
        ConfigError: they are live objects that this process does not hold, or names that were not given in it.
        DataError: the state is damaged.
    """
    _check_state(state, folder)
    parameters = state["parameters"]
    if state["alive"]:
        parts: Parts | None = LIVE_PARTS.get(make_key(parameters, state["start"]))
        return parts or refuse_live_parts("TorchClassifier", state["alive"])
    parts = Parts(parameters["module"], parameters["preprocess"], parameters["fit"])
    refuse_unknown_names(parts)
    return parts


def _check_state(state: Any, folder: str | Path) -> None:
    """Raises DataError where a state is not what `save` wrote."""
    try:
        parameters, roles = state["parameters"], ("module", "preprocess", "fit")
        texts = [parameters["module"], parameters["preprocess"], state["start"], parameters["fit"] or ""]
        texts += [*parameters["labels"], *state["labels"]]
        whole = set(state["alive"]) <= set(roles) and all(isinstance(text, str) for text in texts)
        whole = whole and sorted(parameters["labels"]) == sorted(state["labels"])
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f"TorchClassifier: the state in {str(folder)!r} is damaged; save the classifier again")


def make_key(parameters: dict[str, JSON], start: str) -> str:
    """What live parts are found by: the parameters of a classifier, and a digest of the weights it started from."""
    return json.dumps([parameters, start], sort_keys=True)
