"""Checks of every plugin: its declarations, parameters, pickling and imports."""

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
from ...registry import BUILT_IN
from . import items
from .assertions import NotApplicableError, equal, expect
from .bench import Bench
from .check_registry import check
from .network_guard import guard_network

GROUP = "xaiaug"  # of the entry points
USES = {"prompt", "guidance", "image", "map"}
FRAMEWORKS = (
    *("torch", "transformers", "diffusers", "tensorflow", "jax", "onnxruntime"),
    *("ray", "anthropic", "openai", "captum"),
)
LARGEST_PICKLE = 100_000  # bytes; parameters take a few hundred
_UNPICKLE = """
import json, pickle, sys
plugin = pickle.load(sys.stdin.buffer)
sys.stdout.write("\\n" + json.dumps(plugin.parameters(), sort_keys=True))
"""


@check()
def declarations_are_valid(bench: Bench) -> None:
    """version is text, batch_size a positive integer, remote a bool, and uses contains known names only."""
    plugin = bench.create()
    expect(isinstance(plugin.version, str) and plugin.version, f"version must be text, got {plugin.version!r}")
    size = plugin.batch_size
    expect(type(size) is int and size > 0, f"batch_size must be an integer above 0, got {size!r}")
    expect(isinstance(plugin.remote, bool), f"remote must be True or False, got {plugin.remote!r}")
    uses = plugin.uses
    expect(isinstance(uses, frozenset | set), f"uses must be a frozenset, got {type(uses).__name__}")
    expect(uses <= USES, f"uses may contain {', '.join(sorted(USES))}, got {', '.join(sorted(map(str, uses)))}")


@check()
def parameters_are_stored(bench: Bench) -> None:
    """__init__ names each parameter, and stores it unchanged under its own name."""
    kind = bench.plugin_class
    if kind.__init__ is not object.__init__:
        for parameter in inspect.signature(kind).parameters.values():
            variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            expect(not variadic, f"__init__ must name its parameters, got {parameter}")
    plugin = bench.create()
    parameters = plugin.parameters()
    copied = _recreate(plugin, parameters).parameters()
    expect(equal(parameters, copied, 0), f"created from its parameters {parameters} it has {copied}")
    for name, value in _defaults(kind).items():
        if name in parameters and name not in _changed_parameters(bench):
            expect(
                equal(parameters[name], value, 0), f"{name} is {value!r} by default, but stored as {parameters[name]!r}"
            )


@check()
def parameters_are_plain(bench: Bench) -> None:
    """Parameters are JSON-plain: numbers, text, booleans, None, and lists and dicts of these."""
    for name, value in bench.create().parameters().items():
        try:
            restored = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            expect(False, f"{name} = {value!r} is not JSON-plain: {error}")
        expect(restored == _tuples_to_lists(value), f"{name} = {value!r} becomes {restored!r} in JSON")


@check()
def init_only_stores(bench: Bench) -> None:
    """__init__ opens no file and connects to nothing: weights are loaded in prepare."""
    bench.create()  # does the imports
    with guard_network() as log:
        bench.create()
    files = [path for path in log.files if not path.endswith((".py", ".pyc", ".so"))]
    expect(not files, f"__init__ opens {', '.join(files[:3])}")
    expect(not log.hosts, f"__init__ connects to {', '.join(log.hosts[:3])}")


@check()
def survives_pickling(bench: Bench) -> None:
    """Pickled after prepare, it can be loaded in another process with its parameters, without its weights."""
    plugin = bench.plugin
    data = pickle.dumps(plugin)
    expect(len(data) <= LARGEST_PICKLE, f"its pickle has {len(data)} bytes; leave out what prepare loads")
    process = _run_python(_UNPICKLE, data)
    reason = process.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    expect(process.returncode == 0, f"it cannot be loaded in a worker: {reason[0]}")
    expected = json.dumps(plugin.parameters(), sort_keys=True)
    got = process.stdout.decode().splitlines()[-1]
    expect(json.loads(got) == json.loads(expected), f"in a worker its parameters are {got}, here {expected}")


@check()
def import_is_light(bench: Bench) -> None:
    """Importing the package that registers it loads no framework: listing plugins stays quick."""
    module = _registering_module(bench.plugin_class)
    if module is None:
        raise NotApplicableError("no installed package registers it")
    loaded, error = _find_loaded_frameworks(module)
    expect(not error, f"importing {module} fails: {error}")
    expect(
        not loaded,
        f"importing {module} loads {', '.join(loaded)}: import them when used, or register {bench.name} as "
        f'"module:{bench.name}" from a separate module',
    )


@check()
def can_be_prepared_again(bench: Bench) -> None:
    """prepare may be called again, also with another context; the results follow the last one."""
    plugin = bench.create()
    plugin.prepare(items.make_context(bench.paid, training=False))
    plugin.prepare(bench.context)
    plugin.prepare(bench.context)
    if bench.kind == "classifier":
        labels = tuple(plugin.labels)
        expect(labels == items.LABELS, f"labels are {labels} after prepare, but {items.LABELS} in the context")
        return
    results = bench.run(plugin, bench.items())
    expect(equal(results, bench.results), "results differ from those of a plugin that was prepared once")


@check()
def estimates_before_prepare(bench: Bench) -> None:
    """estimate returns an Estimate before prepare; its ranges are low to high and grow with the items."""
    plugin = bench.create()
    few, many = plugin.estimate(1), plugin.estimate(100)
    for estimate in (few, many):
        expect(isinstance(estimate, Estimate), f"estimate must return an Estimate, got {type(estimate).__name__}")
    low, high = asdict(few), asdict(many)
    for name in ("calls", "input_tokens", "output_tokens", "upload_bytes"):
        expect(0 <= low[name][0] <= low[name][1], f"estimate: {name} must be (low, high) from 0, got {low[name]}")
        expect(
            low[name][1] <= high[name][1], f"estimate: {name} shrinks from {low[name]} to {high[name]} with more items"
        )


def _recreate(plugin: Plugin, parameters: dict[str, Any]) -> Plugin:
    try:
        return type(plugin)(**parameters)
    except Exception as error:
        raise NotApplicableError(f"it cannot be created from its parameters: {error}") from error


def _defaults(kind: type[Plugin]) -> dict[str, Any]:
    if kind.__init__ is object.__init__:
        return {}
    signature = inspect.signature(kind).parameters
    return {name: value.default for name, value in signature.items() if value.default is not value.empty}


def _changed_parameters(bench: Bench) -> set[str]:
    """Parameters that may not have their default: all, unless the class itself is the factory."""
    return set() if bench.has_defaults else set(bench.plugin_class.parameter_names())


def _tuples_to_lists(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_tuples_to_lists(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _tuples_to_lists(inner) for key, inner in value.items()}
    return value


def _registering_module(kind: type[Plugin]) -> str | None:
    """The module of the installed package that registers the plugins of the class's package."""
    root = kind.__module__.split(".", maxsplit=1)[0]
    if root == BUILT_IN.split(".", maxsplit=1)[0]:
        return BUILT_IN
    points = importlib.metadata.entry_points(group=GROUP)
    return next((point.module for point in points if point.module.split(".")[0] == root), None)


@functools.cache
def _find_loaded_frameworks(module: str) -> tuple[tuple[str, ...], str]:
    """Frameworks that importing a module loads in a new process, and the error if the import fails."""
    code = f"import sys, {module}\nsys.stdout.write('\\n' + ','.join(sorted(set(sys.modules) & set({FRAMEWORKS!r}))))"
    process = _run_python(code)
    if process.returncode:
        return (), process.stderr.decode(errors="replace").strip().splitlines()[-1]
    return tuple(filter(None, process.stdout.decode().splitlines()[-1].split(","))), ""


def _run_python(code: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, input=data, capture_output=True, env=environment, timeout=300, check=False)  # noqa: S603
