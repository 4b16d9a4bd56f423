"""The bench: a plugin under test, what it is tested with, and how it is put to work."""

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
from .answers import about_the_class
from .check_registry import NotApplicableError, expect
from .network_guard import Seen, guarded
from .paid_calls import Till

Factory = Callable[..., Plugin]
RECIPE = Recipe(steps=2, batch_size=4)


class Bench:
    """A plugin under test.

    Args:
        factory: makes the plugin; it takes the server where it has a parameter for it.
        classifier: what an explainer explains; None: one that shows no network, else a tiny vision transformer.
        service: script of the server that remote plugins talk to; None: it answers what the request's schema asks for,
            in words about the class that the request calls true.
    """

    def __init__(self, factory: Factory, *, classifier: Classifier | None = None, service: Any = None) -> None:
        self._factory, self._given, self._service = factory, classifier, service
        self.server: Loopback | None = None
        self.seen = Seen()
        self.till = Till()

    @contextmanager
    def at_work(self) -> Iterator[Bench]:
        """The bench while a check runs: nothing but this machine is reached, and a remote plugin finds a server."""
        with guarded() as seen:
            self.seen = seen
            if not self.kind_of_plugin.remote:
                yield self
                return
            # What it was told lives as long as its server does.
            for name in ("plugin", "results"):
                self.__dict__.pop(name, None)
            self.till = Till()
            with Loopback(self._service if self._service is not None else about_the_class) as server:
                self.server = server
                with _environment(server.environment()):
                    yield self

    @cached_property
    def kind_of_plugin(self) -> type[Plugin]:
        """The plugin's class; it is made once to know it."""
        if isinstance(self._factory, type):
            return self._factory
        return type(self.made())

    @cached_property
    def kind(self) -> str:
        """The plugin's kind, by name."""
        return kind_of(self.kind_of_plugin)

    @property
    def name(self) -> str:
        """Name of the plugin's class."""
        return self.kind_of_plugin.__name__

    @property
    def plain(self) -> bool:
        """Whether the plugin is made without parameters, by its class alone."""
        return isinstance(self._factory, type)

    @property
    def context(self) -> Context:
        """What the plugin is prepared with."""
        return items.context(self.till)

    def made(self) -> Any:
        """A new plugin, as its `__init__` leaves it."""
        if not _takes_server(self._factory):
            return self._factory()
        if self.server is not None:
            return self._factory(self.server)
        with Loopback() as server:  # only to see of which class it is
            return self._factory(server)

    def fresh(self) -> Any:
        """A new plugin, prepared; a classifier is trained where it can be."""
        plugin = self.made()
        plugin.prepare(self.context)
        if isinstance(plugin, Classifier):
            fit_briefly(plugin)
        return plugin

    @cached_property
    def plugin(self) -> Any:
        """One prepared plugin that checks share."""
        return self.fresh()

    @cached_property
    def results(self) -> Any:
        """What it makes of the items."""
        return self.work(self.plugin, self.items())

    def done(self) -> list[Any]:
        """The results that are no failures; a classifier's are the rows of its probabilities.

        Raises:
            NotApplicableError: there are none, which does-its-work tells.
        """
        made = [result for result in self.results if not isinstance(result, Failure)]
        if not made:
            raise NotApplicableError("it does none of the items")
        return made

    def items(self) -> list[Any]:
        """What it works on: images, images with targets, cases or requests; new ones each time."""
        if self.kind == "explainer":
            return [(image, number % 2) for number, image in enumerate(items.images())]
        makers: dict[str, Callable[[], list[Any]]] = {
            "classifier": items.images,
            "critic": items.cases,
            "synthesizer": items.requests,
        }
        return makers[self.kind]()

    def work(self, plugin: Any, items: Sequence[Any]) -> Any:
        """What the plugin makes of the items.

        Raises:
            NotApplicableError: a remote plugin asks for a service that is not on this machine.
        """
        before = len(self.seen.hosts)
        try:
            return self._work(plugin, items)
        finally:
            hosts = self.seen.hosts[before:]
            if hosts and plugin.remote:
                raise NotApplicableError(
                    f"it asks {hosts[0]}, and checks reach this machine alone: give it the address of a server here"
                )

    def _work(self, plugin: Any, items: Sequence[Any]) -> Any:
        if self.kind == "explainer":
            return plugin.explain(self.classifier, [image for image, _ in items], [target for _, target in items])
        method = {"classifier": "predict_proba", "critic": "critique", "synthesizer": "synthesize"}[self.kind]
        return getattr(plugin, method)(list(items))

    @cached_property
    def classifier(self) -> Classifier:
        """What is explained, shared by the checks."""
        return self.new_classifier()

    def new_classifier(self) -> Classifier:
        """A copy of the classifier that was given, else the simplest that the explainer is defined for."""
        if self._given is not None:
            return self._given.fork()
        simple = simple_classifier()
        explainer = self.made()
        explainer.prepare(self.context)
        image = items.images()[0]
        try:
            explainer.explain(simple, [image], [0])
        except UndefinedMethodError:
            return tiny_vit()
        except Exception:  # noqa: BLE001  told by the checks that put it to work
            return simple
        return simple

    def folder(self) -> tempfile.TemporaryDirectory[str]:
        """An empty folder, gone after use."""
        return tempfile.TemporaryDirectory(prefix="xaiaug-check-")


def kind_of(plugin: type[Plugin]) -> str:
    """The kind of a plugin's class, by name.

    Raises:
        CheckFailedError: it is of no kind.
    """
    for name, base in KINDS.items():
        if issubclass(plugin, base):
            return name
    wanted = ", ".join(base.__name__ for base in KINDS.values())
    expect(False, f"{plugin.__name__} must derive from one of {wanted}")
    raise AssertionError


def simple_classifier() -> Classifier:
    """A classifier of cats and dogs by their colour, which shows no network."""
    classifier = NearestColour()
    classifier.prepare(items.context())
    classifier.fit(items.train(), (), recipe=RECIPE, seed=0)
    return classifier


def tiny_vit() -> Classifier:
    """A vision transformer with a random head for cats and dogs, of eight thousand parameters."""
    made: Any = registry().create("classifier", "transformers", {"checkpoint": str(checkpoint())})
    made.prepare(items.context())
    vit: Classifier = made
    return vit


def checkpoint() -> Path:
    """The folder of its weights."""
    return Path(__file__).with_name("tiny_vit")


def fit_briefly(classifier: Classifier, seed: int = 0) -> bool:
    """Trains for two steps; False where the classifier cannot be trained."""
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
