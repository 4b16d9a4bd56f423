"""The registry of plugins: which are installed, and how to load one by name."""

from __future__ import annotations

import functools
import inspect
import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from operator import itemgetter
from types import FrameType, ModuleType
from typing import Any, get_type_hints

import pluggy

from . import hookspecs
from .errors import (
    ConfigError,
    DuplicatePluginError,
    MissingExtraError,
    PluginError,
    UnknownPluginError,
    XaiaugError,
    suggest,
)
from .interfaces import Classifier, Context, Critic, Explainer, Plugin, PluginInfo, Synthesizer

BUILT_IN = f"{__package__}.plugins"
KINDS: dict[str, type[Plugin]] = {
    "classifier": Classifier,
    "explainer": Explainer,
    "critic": Critic,
    "synthesizer": Synthesizer,
}


@dataclass(frozen=True)
class _Registration:
    info: PluginInfo
    factory: type[Plugin] | str


class Registry:
    """The plugins of one process, by kind and name.

    Each plugin package is registered and checked by itself: one that fails is skipped and listed with its error.

    Args:
        specifications: of the hooks; tests use others.
    """

    def __init__(self, specifications: ModuleType | type = hookspecs) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(specifications)
        self._entries: dict[tuple[str, str], _Registration] = {}
        self._broken: list[PluginInfo] = []

    def add(self, package: object, origin: str) -> None:
        """Registers the plugins of one package.

        Raises:
            PluginError: a hook is misspelt or raises.
            DuplicatePluginError: a name is taken; nothing of the package is registered.
        """
        entries = self._collect(package, origin)
        for (kind, name), entry in entries.items():
            taken = self._entries.get((kind, name))
            if taken:
                raise DuplicatePluginError(
                    f"{origin} registers the {kind} {name!r}, which {taken.info.origin} has already registered; "
                    "uninstall one of them or ask its author to rename it"
                )
            self._entries[kind, name] = entry

    def add_entry_points(self, points: Iterable[EntryPoint]) -> None:
        """Registers the built-in plugins, then installed packages; those that fail are kept with their error."""
        self.add(import_module(BUILT_IN), BUILT_IN)
        for point in sorted(points, key=lambda point: (point.name, point.value)):
            if point.value == BUILT_IN:
                continue  # from the metadata of an earlier version
            try:
                self._add_entry_point(point)
            except Exception as error:  # noqa: BLE001  an error in a third-party package must not break the others
                self._broken.append(PluginInfo(point.name, "plugin", point.value, error=_one_line(error)))

    def _add_entry_point(self, point: EntryPoint) -> None:
        if point.name == hookspecs.PROJECT:
            raise PluginError(f"the entry point name {point.name!r} is reserved for the built-in plugins")
        with _contain_exits():
            package = point.load()
        self.add(package, point.value)

    def available(self, kind: str | None = None) -> list[PluginInfo]:
        """The registered plugins, by kind and name, then the packages that failed to load."""
        if kind is not None:
            _check_kind(kind)
        entries = [entry for key, entry in sorted(self._entries.items(), key=itemgetter(0)) if kind in (None, key[0])]
        return [_with_import_error(entry) for entry in entries] + ([] if kind else list(self._broken))

    def plugin_class(self, kind: str, name: str) -> type[Plugin]:
        """The class behind a name, imported.

        Raises:
            UnknownPluginError: no such name; the message lists the known ones.
            MissingExtraError: a requirement is not installed.
            PluginError: it is not a class of that kind.
        """
        _check_kind(kind)
        entry = self._entries.get((kind, name))
        if entry is None:
            raise UnknownPluginError(self._unknown(kind, name))
        return _import_class(entry)

    def create(self, kind: str, name: str, parameters: dict[str, Any]) -> Plugin:
        """Creates a plugin by name, with parameters checked against its signature; not yet prepared.

        Raises:
            ConfigError: a parameter is unknown, missing or of the wrong type.
            PluginError: it lacks a method, or its `__init__` raises.
        """
        factory, who = self.plugin_class(kind, name), f"{kind} {name!r}"
        check_methods(who, factory)
        check_parameters(who, factory, parameters)
        try:
            with _contain_exits():
                return factory(**parameters)
        except XaiaugError:
            raise
        except Exception as error:
            raise PluginError(f"the {who} cannot be created: {_one_line(error)}") from error

    def _collect(self, package: object, origin: str) -> dict[tuple[str, str], _Registration]:
        try:
            self._manager.register(package, name=origin)
            self._manager.check_pending()
            others = [plugin for plugin in self._manager.get_plugins() if plugin is not package]
            entries: dict[tuple[str, str], _Registration] = {}
            for kind in KINDS:
                hook = self._manager.subset_hook_caller(f"register_{kind}s", others)
                with _contain_exits():
                    hook(**self._hook_arguments(kind, origin, entries))
        except Exception as error:
            self._forget(origin)
            if isinstance(error, DuplicatePluginError):
                raise
            raise PluginError(
                f"the plugin package {origin} cannot be registered: {_one_line(error)}{_suggest_hook(package)}"
            ) from error
        if not entries:
            self._forget(origin)
            raise PluginError(
                f"the plugin package {origin} registers nothing: it needs a function such as "
                "register_critics(register) decorated with @xaiaug.hookimpl"
            )
        return entries

    def _hook_arguments(self, kind: str, origin: str, entries: dict[tuple[str, str], _Registration]) -> dict[str, Any]:
        """The arguments of a hook; an implementation takes those it names, so that more can be added later."""
        return {"register": _make_register(kind, origin, entries)}

    def _forget(self, origin: str) -> None:
        if self._manager.has_plugin(origin):
            self._manager.unregister(name=origin)

    def _unknown(self, kind: str, name: str) -> str:
        message = f"there is no {kind} {name!r}. {suggest(name, (known for of, known in self._entries if of == kind))}"
        for info in self._broken:
            message += f" The plugin package {info.origin} failed to load: {info.error}"
        return message


@functools.cache
def registry() -> Registry:
    """The plugins installed in this environment."""
    plugins = Registry()
    plugins.add_entry_points(entry_points(group=hookspecs.PROJECT))
    return plugins


def available(kind: str | None = None) -> list[PluginInfo]:
    """The plugins that can be loaded by name.

    Args:
        kind: "classifier", "explainer", "critic" or "synthesizer"; None lists all.
    """
    return registry().available(kind)


def load(kind: str, name: str, **parameters: Any) -> Any:
    """Loads a plugin by name, prepared and ready to use outside a loop.

    Args:
        kind: "classifier", "explainer", "critic" or "synthesizer".
        name: as `available` lists it.
        parameters: of the plugin's `__init__`.

    Raises:
        UnknownPluginError: no such name.
        ConfigError: a parameter is unknown or missing.
        MissingExtraError: a requirement is not installed.
    """
    plugin = registry().create(kind, name, parameters)
    plugin.prepare(Context())
    return plugin


def check_parameters(who: str, factory: type[Plugin], parameters: dict[str, Any]) -> None:
    """Raises ConfigError where `parameters` do not match the signature of a plugin's `__init__`."""
    signature = inspect.signature(factory).parameters if factory.__init__ is not object.__init__ else {}
    for name in parameters:
        if name not in signature:
            raise ConfigError(f"{who} has no parameter {name!r}. {suggest(name, signature)}")
    for name, parameter in signature.items():
        if parameter.default is inspect.Parameter.empty and name not in parameters:
            raise ConfigError(f"{who} needs the parameter {name!r}")
    _check_types(who, factory, parameters)


def _check_types(who: str, factory: type[Plugin], parameters: dict[str, Any]) -> None:
    """Raises ConfigError where a value is not of its parameter's annotated type."""
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

    types = _parameter_types(factory)
    for name, value in parameters.items():
        try:
            # As JSON, since a settings file has no tuples; strictly, since "7" is not a number there.
            TypeAdapter(types[name]).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ConfigError(f"{who}: parameter {name!r} is invalid: {reason}, got {value!r}") from None
        except (KeyError, TypeError, ValueError, PydanticSchemaGenerationError, PydanticUserError):
            continue  # not annotated, not plain JSON, or a type that only the plugin can check


def _parameter_types(factory: type[Plugin]) -> dict[str, Any]:
    """The annotated types of a plugin's parameters, including those of its parents, which `**options` stands for."""
    types: dict[str, Any] = {}
    for kind in factory.__mro__[:-1]:  # without object
        init = vars(kind).get("__init__")
        if init is None:
            continue
        try:
            hints = get_type_hints(init)
        except Exception:  # noqa: BLE001  names for type checkers only, or custom annotations
            hints = {}
        types = {name: hints.get(name, Any) for name in inspect.signature(init).parameters} | types
    return types


def check_methods(who: str, factory: type[Plugin]) -> None:
    """Raises PluginError where a class lacks a method of its kind; the message names a misspelt one."""
    methods = [name for name in vars(factory) if not name.startswith("_")]
    for name in sorted(getattr(factory, "__abstractmethods__", ())):
        raise PluginError(
            f"the {who}: {factory.__name__} has no method {name!r}. {_suggest_spelling(name, methods)}".rstrip()
        )


def _suggest_spelling(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"Is {close[0]!r} misspelt?" if close else ""


def _suggest_hook(package: object) -> str:
    """The end of a message: the hook that a function of the package misspells; empty if there is none."""
    hooks = [f"register_{kind}s" for kind in KINDS]
    for name in vars(package):
        if name.startswith("register") and name not in hooks:
            return f". {suggest(name, hooks)}"
    return ""


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UnknownPluginError(f"there is no kind of plugin {kind!r}. {suggest(kind, KINDS)}")


def _make_register(kind: str, origin: str, entries: dict[tuple[str, str], _Registration]) -> Callable[..., None]:
    def register(name: str, factory: type[Plugin] | str, *, extra: str | None = None) -> None:
        if (kind, name) in entries:
            raise DuplicatePluginError(f"{origin} registers the {kind} {name!r} twice")
        entries[kind, name] = _Registration(PluginInfo(name, kind, origin, extra), factory)

    return register


def _with_import_error(entry: _Registration) -> PluginInfo:
    # Listing imports no plugin; finding its module imports the enclosing package only.
    if isinstance(entry.factory, type):
        return entry.info
    module = entry.factory.partition(":")[0]
    try:
        with _contain_exits():
            exists = find_spec(module) is not None
    except ModuleNotFoundError:
        exists = False
    except Exception as error:  # noqa: BLE001  an error in a third-party package must not break the others
        return replace(entry.info, error=_one_line(error))
    return entry.info if exists else replace(entry.info, error=f"there is no module {module}")


def _import_class(entry: _Registration) -> type[Plugin]:
    info, factory = entry.info, entry.factory
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        try:
            with _contain_exits():
                imported = import_module(module)
        except ImportError as error:
            if info.extra is None:
                raise PluginError(f"the {info.kind} {info.name!r} cannot be imported: {_one_line(error)}") from error
            raise MissingExtraError(
                f"the {info.kind} {info.name!r} needs {error.name or 'a package'}: pip install 'xaiaug[{info.extra}]'"
            ) from error
        except Exception as error:
            raise PluginError(f"the {info.kind} {info.name!r} cannot be imported: {_one_line(error)}") from error
        if not hasattr(imported, attribute):
            names = [name for name, value in vars(imported).items() if isinstance(value, type)]
            raise PluginError(
                f"the {info.kind} {info.name!r}: {module} has no {attribute!r}. {suggest(attribute, names)}"
            )
        factory = getattr(imported, attribute)
    if not (isinstance(factory, type) and issubclass(factory, KINDS[info.kind])):
        wanted = KINDS[info.kind].__name__
        raise PluginError(f"the {info.kind} {info.name!r} from {info.origin} is not an xaiaug {wanted}")
    return factory


@contextmanager
def _contain_exits() -> Iterator[None]:
    """Turns what would end the process, such as sys.exit in an import, into an error; the user's Ctrl-C passes."""
    with _note_interrupts() as interrupts:
        try:
            yield
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and interrupts:
                raise
            raise RuntimeError(f"its code raised {_one_line(error)}") from error


@contextmanager
def _note_interrupts() -> Iterator[list[int]]:
    """A list that is filled once the user presses Ctrl-C."""
    interrupts: list[int] = []
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield interrupts  # no signal raises here
        return

    def note(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        previous(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, previous)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
