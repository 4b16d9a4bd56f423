"""The test bench: creates a plugin, gives it items, and runs it."""

from __future__ import annotations

import inspect
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import UndefinedMethodError, UnsupportedRecipeError
from ...interfaces import Classifier, Context, Plugin
from ...records import Failure, Recipe
from ...registry import KINDS, registry
from ..fakes import NearestColour
from ..loopback import Loopback
from ..small import small_splits
from . import items
from .answers import answer_with_class
from .assertions import NotApplicableError, expect
from .network_guard import AccessLog, guard_network
from .paid_calls import CountedCalls

Factory = Callable[..., Plugin]
RECIPE = Recipe(steps=2, batch_size=4)


class Bench:
    """A plugin under test.

    Args:
        factory: creates the plugin; if it has a parameter, it gets the server.
        classifier: for explainers; None: one without a network, or a tiny vision transformer if that is not supported.
        service: script of the stand-in server for remote plugins; None: it answers by the request's schema, in words
            about the class that the request calls true.

    Attributes:
        server: the stand-in server of a remote plugin, within `session`.
        log: what the plugin accessed.
        paid: its paid calls.
    """

    def __init__(self, factory: Factory, *, classifier: Classifier | None = None, service: Any = None) -> None:
        self._factory, self._given, self._service = factory, classifier, service
        self.server: Loopback | None = None
        self.log = AccessLog()
        self.paid = CountedCalls()

    @contextmanager
    def session(self) -> Iterator[Bench]:
        """Runs a check offline, with a stand-in server for a remote plugin."""
        with guard_network() as log:
            self.log = log
            if not self.plugin_class.remote:
                yield self
                return
            # The shared plugin is bound to the server of its session.
            for name in ("plugin", "results"):
                self.__dict__.pop(name, None)
            self.paid = CountedCalls()
            with Loopback(self._service if self._service is not None else answer_with_class) as server:
                self.server = server
                with _environment(server.environment()):
                    yield self

    @cached_property
    def plugin_class(self) -> type[Plugin]:
        """The plugin's class; a factory is called once to find out."""
        if isinstance(self._factory, type):
            return self._factory
        return type(self.create())

    @cached_property
    def kind(self) -> str:
        """The plugin's kind, by name."""
        return plugin_kind(self.plugin_class)

    @property
    def name(self) -> str:
        """Name of the plugin's class."""
        return self.plugin_class.__name__

    @property
    def has_defaults(self) -> bool:
        """Whether the plugin has default parameters: its class itself is the factory."""
        return isinstance(self._factory, type)

    @property
    def context(self) -> Context:
        """The context the plugin is prepared with."""
        return items.make_context(self.paid)

    def create(self) -> Any:
        """A new plugin, not prepared."""
        if not _takes_server(self._factory):
            return self._factory()
        if self.server is not None:
            return self._factory(self.server)
        with Loopback() as server:  # only to find out its class
            return self._factory(server)

    def create_prepared(self) -> Any:
        """A new plugin, prepared; a classifier is also trained if it can be."""
        plugin = self.create()
        plugin.prepare(self.context)
        if isinstance(plugin, Classifier):
            fit_briefly(plugin)
        return plugin

    @cached_property
    def plugin(self) -> Any:
        """A prepared plugin that checks share."""
        return self.create_prepared()

    @cached_property
    def results(self) -> Any:
        """The shared plugin's results for the items."""
        return self.run(self.plugin, self.items())

    def successes(self) -> list[Any]:
        """The results that are not failures; a classifier's are the rows of its probabilities.

        Raises:
            NotApplicableError: there are none, which the check succeeds-on-an-item reports.
        """
        successes = [result for result in self.results if not isinstance(result, Failure)]
        if not successes:
            raise NotApplicableError("it fails on all items")
        return successes

    def items(self) -> list[Any]:
        """New items for the plugin: images, images with targets, cases or requests."""
        if self.kind == "explainer":
            return [(image, number % 2) for number, image in enumerate(items.make_images())]
        makers: dict[str, Callable[[], list[Any]]] = {
            "classifier": items.make_images,
            "critic": items.make_cases,
            "synthesizer": items.make_requests,
        }
        return makers[self.kind]()

    def run(self, plugin: Any, items: Sequence[Any]) -> Any:
        """The plugin's results for the items.

        Raises:
            NotApplicableError: a remote plugin calls a service on another machine.
        """
        before = len(self.log.hosts)
        try:
            return self._run(plugin, items)
        finally:
            hosts = self.log.hosts[before:]
            if hosts and plugin.remote:
                raise NotApplicableError(
                    f"it connects to {hosts[0]}, and checks are offline: give it the address of a local server"
                )

    def _run(self, plugin: Any, items: Sequence[Any]) -> Any:
        if self.kind == "explainer":
            return plugin.explain(self.classifier, [image for image, _ in items], [target for _, target in items])
        method = {"classifier": "predict_proba", "critic": "critique", "synthesizer": "synthesize"}[self.kind]
        return getattr(plugin, method)(list(items))

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier to be explained, shared by the checks."""
        return self.new_classifier()

    def new_classifier(self) -> Classifier:
        """A copy of the given classifier, or else the simplest one that the explainer supports."""
        if self._given is not None:
            return self._given.fork()
        simple = make_simple_classifier()
        explainer = self.create()
        explainer.prepare(self.context)
        image = items.make_images()[0]
        try:
            explainer.explain(simple, [image], [0])
        except UndefinedMethodError:
            return make_tiny_vit()
        except Exception:  # noqa: BLE001  reported by the checks that run it
            return simple
        return simple

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """An empty folder, removed after use."""
        return tempfile.TemporaryDirectory(prefix="xaiaug-check-")


def plugin_kind(plugin: type[Plugin]) -> str:
    """The kind of a plugin's class, by name.

    Raises:
        CheckFailedError: it derives from no base class of plugins.
    """
    for name, base in KINDS.items():
        if issubclass(plugin, base):
            return name
    bases = ", ".join(base.__name__ for base in KINDS.values())
    expect(False, f"{plugin.__name__} must derive from one of {bases}")
    raise AssertionError


def make_simple_classifier() -> Classifier:
    """A classifier of cats and dogs by their colour, without a network."""
    classifier = NearestColour()
    classifier.prepare(items.make_context())
    classifier.fit(items.train(), (), recipe=RECIPE, seed=0)
    return classifier


def make_tiny_vit() -> Classifier:
    """A vision transformer of eight thousand parameters with a random head for cats and dogs."""
    plugin: Any = registry().create("classifier", "transformers", {"checkpoint": str(tiny_vit_folder())})
    plugin.prepare(items.make_context())
    vit: Classifier = plugin
    return vit


def tiny_vit_folder() -> Path:
    """The folder with the weights of the tiny vision transformer."""
    return Path(__file__).with_name("tiny_vit")


def fit_briefly(classifier: Classifier, seed: int = 0) -> bool:
    """Trains for two steps; returns False if the classifier cannot be trained."""
    splits = small_splits({"train": 10, "validation": 2}, items.LABELS, side=40, seed=7)
    try:
        classifier.fit(splits.train, splits.validation, recipe=RECIPE, seed=seed)
    except UnsupportedRecipeError:
        return False
    return True


def _takes_server(factory: Factory) -> bool:
    return not isinstance(factory, type) and bool(inspect.signature(factory).parameters)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
