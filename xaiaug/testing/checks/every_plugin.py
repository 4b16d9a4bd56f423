"""Checks of what every plugin declares and how it travels."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import json
import os
import pickle
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from ...interfaces import Plugin
from ...records import Estimate
from . import items
from .bench import Bench
from .check_registry import NotApplicableError, check, expect
from .equality import same
from .network_guard import guarded

GROUP = "xaiaug"  # of the entry points
USES = {"prompt", "guidance", "image"}
FRAMEWORKS = ("torch", "transformers", "diffusers", "tensorflow", "jax", "ray", "anthropic", "openai", "captum")
LARGEST_PICKLE = 100_000  # bytes: parameters are a few hundred
_UNPICKLE = """
import json, pickle, sys
plugin = pickle.load(sys.stdin.buffer)
sys.stdout.write("\\n" + json.dumps(plugin.parameters(), sort_keys=True))
"""


@check()
def declares_itself_well(bench: Bench) -> None:
    """version is text, batch_size a positive whole number, remote a bool, and uses names what there is."""
    plugin = bench.made()
    expect(isinstance(plugin.version, str) and plugin.version, f"version must be text, got {plugin.version!r}")
    size = plugin.batch_size
    expect(type(size) is int and size > 0, f"batch_size must be a whole number above 0, got {size!r}")
    expect(isinstance(plugin.remote, bool), f"remote must be True or False, got {plugin.remote!r}")
    uses = plugin.uses
    expect(isinstance(uses, frozenset | set), f"uses must be a frozenset, got {type(uses).__name__}")
    expect(uses <= USES, f"uses knows {', '.join(sorted(USES))}, got {', '.join(sorted(map(str, uses)))}")


@check()
def parameters_are_stored(bench: Bench) -> None:
    """__init__ names each parameter, and stores it under its own name as it was given."""
    kind = bench.kind_of_plugin
    if kind.__init__ is not object.__init__:
        for parameter in inspect.signature(kind).parameters.values():
            variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            expect(not variadic, f"__init__ must name its parameters, and has {parameter}")
    made = bench.made()
    parameters = made.parameters()
    again = _again(made, parameters).parameters()
    expect(same(parameters, again, 0), f"made again from its parameters {parameters} it has {again}")
    for name, value in _defaults(kind).items():
        if name in parameters and name not in _asked(bench):
            expect(
                same(parameters[name], value, 0), f"{name} is {value!r} by default and stored as {parameters[name]!r}"
            )


@check()
def parameters_are_plain(bench: Bench) -> None:
    """Parameters are JSON-plain: numbers, text, booleans, None, and lists and tables of these."""
    for name, value in bench.made().parameters().items():
        try:
            kept = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            expect(False, f"{name} = {value!r} is not JSON-plain: {error}")
        expect(kept == _listed(value), f"{name} = {value!r} comes back from JSON as {kept!r}")


@check()
def init_only_stores(bench: Bench) -> None:
    """__init__ opens no file and reaches nobody: weights are loaded in prepare."""
    bench.made()  # imports are done now
    with guarded() as seen:
        bench.made()
    files = [path for path in seen.files if not path.endswith((".py", ".pyc", ".so"))]
    expect(not files, f"__init__ opened {', '.join(files[:3])}")
    expect(not seen.hosts, f"__init__ asked {', '.join(seen.hosts[:3])}")


@check()
def survives_pickling_to_a_worker(bench: Bench) -> None:
    """Pickled after prepare, it comes up in another process with its parameters, and leaves weights behind."""
    plugin = bench.plugin
    parcel = pickle.dumps(plugin)
    expect(len(parcel) <= LARGEST_PICKLE, f"its pickle has {len(parcel)} bytes; what prepare loaded must stay behind")
    done = _python(_UNPICKLE, parcel)
    why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    expect(done.returncode == 0, f"it does not come up in a worker: {why[0]}")
    expected = json.dumps(plugin.parameters(), sort_keys=True)
    got = done.stdout.decode().splitlines()[-1]
    expect(json.loads(got) == json.loads(expected), f"in a worker its parameters are {got}, here {expected}")


@check()
def import_is_light(bench: Bench) -> None:
    """Importing the package that registers it loads no framework: listing plugins stays quick."""
    module = _registering(bench.kind_of_plugin)
    if module is None:
        raise NotApplicableError("no installed package registers it")
    loaded, error = _loaded_by(module)
    expect(not error, f"importing {module} fails: {error}")
    expect(
        not loaded,
        f"importing {module} loads {', '.join(loaded)}: import them when used, or register {bench.name} as "
        f'"module:{bench.name}" from a module of its own',
    )


@check()
def may_be_prepared_again(bench: Bench) -> None:
    """prepare may be called again, with another context too, and results follow the last one."""
    plugin = bench.made()
    plugin.prepare(items.context(bench.till, training=False))
    plugin.prepare(bench.context)
    plugin.prepare(bench.context)
    if bench.kind == "classifier":
        labels = tuple(plugin.labels)
        expect(labels == items.LABELS, f"labels are {labels} after prepare, {items.LABELS} in the context")
        return
    made = bench.work(plugin, bench.items())
    expect(same(made, bench.results), "results differ from those of a plugin that was prepared once")


@check()
def says_what_it_takes(bench: Bench) -> None:
    """estimate returns an Estimate before prepare; its ranges are low to high and grow with the items."""
    plugin = bench.made()
    few, many = plugin.estimate(1), plugin.estimate(100)
    for made in (few, many):
        expect(isinstance(made, Estimate), f"estimate must return an Estimate, got {type(made).__name__}")
    low, high = asdict(few), asdict(many)
    for name in ("calls", "input_tokens", "output_tokens", "upload_bytes"):
        expect(0 <= low[name][0] <= low[name][1], f"estimate: {name} must be (low, high) from 0, got {low[name]}")
        expect(
            low[name][1] <= high[name][1], f"estimate: {name} shrinks from {low[name]} to {high[name]} with more items"
        )


def _again(made: Plugin, parameters: dict[str, Any]) -> Plugin:
    try:
        return type(made)(**parameters)
    except Exception as error:
        raise NotApplicableError(f"cannot be made again from its parameters: {error}") from error


def _defaults(kind: type[Plugin]) -> dict[str, Any]:
    if kind.__init__ is object.__init__:
        return {}
    signature = inspect.signature(kind).parameters
    return {name: value.default for name, value in signature.items() if value.default is not value.empty}


def _asked(bench: Bench) -> set[str]:
    """Parameters that the factory gives, as far as that can be told: all, unless the class itself is the factory."""
    return set() if bench.plain else set(bench.kind_of_plugin.parameter_names())


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_listed(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return value


def _registering(kind: type[Plugin]) -> str | None:
    """The module of the installed package that registers plugins from where the class lives."""
    root = kind.__module__.split(".", maxsplit=1)[0]
    points = importlib.metadata.entry_points(group=GROUP)
    return next((point.module for point in points if point.module.split(".")[0] == root), None)


@functools.cache
def _loaded_by(module: str) -> tuple[tuple[str, ...], str]:
    """Frameworks that importing a module loads in a new process, and why that failed."""
    code = f"import sys, {module}\nsys.stdout.write('\\n' + ','.join(sorted(set(sys.modules) & set({FRAMEWORKS!r}))))"
    done = _python(code)
    if done.returncode:
        return (), done.stderr.decode(errors="replace").strip().splitlines()[-1]
    return tuple(filter(None, done.stdout.decode().splitlines()[-1].split(","))), ""


def _python(code: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, input=given, capture_output=True, env=environment, timeout=300, check=False)  # noqa: S603
