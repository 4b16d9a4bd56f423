"""The plugins of a run, from settings and objects, and whether they may do what it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..calls import Prices
from ..config import Settings, create_plugin
from ..errors import ConfigError, PluginError, UnsupportedRecipeError, name_some
from ..interfaces import Classifier, Critic, Explainer, Plugin, Synthesizer
from ..plan import forbidden, unpaid
from ..records import JSON, Arm
from ..records.pipeline import STARTS, Stop, reaches
from ..registry import KINDS


@dataclass(frozen=True, eq=False)
class PluginSet:
    """The plugins of a run, none of them prepared."""

    classifier: Classifier
    explainer: Explainer
    critic: Critic
    synthesizer: Synthesizer

    @property
    def by_kind(self) -> dict[str, Plugin]:
        """The plugins by kind."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def check_allowed(self, settings: Settings) -> None:
        """Raises OfflineError where a plugin talks to an outside service that the settings do not allow."""
        for kind, plugin in self.by_kind.items():
            if error := forbidden(kind, getattr(settings, kind).name, plugin, settings):
                raise error

    def check_paid(self, settings: Settings, prices: Prices, until: str) -> None:
        """Refuses a run whose calls cannot be paid, before its first hour rather than after it.

        Raises:
            ConfigError: a plugin costs money, and there is no budget.
            UnknownPriceError: the price of its model is not known.
        """
        for kind, plugin in self.by_kind.items():
            if reaches(until, STARTS[kind]) and (
                error := unpaid(kind, getattr(settings, kind).name, plugin, settings, prices)
            ):
                raise error

    def check_trainable(self, settings: Settings, arms: Sequence[Arm], until: str) -> None:
        """Refuses a run that would train a classifier that cannot be trained.

        Raises:
            UnsupportedRecipeError: the baseline, or an arm that the run comes to, would be trained.
        """
        if self.classifier.trainable:
            return
        name, experiment = settings.classifier.name, settings.experiment
        if experiment.fit_baseline:
            raise UnsupportedRecipeError(
                f"the classifier {name} cannot be trained: take it as it is with [experiment] fit_baseline = false, or"
                " train another one, such as transformers"
            )
        trained = [arm.name for arm in arms if arm.trained]
        last = Stop.IMAGES if experiment.rounds > 1 else Stop.REPORT
        if trained and reaches(until, last):
            raise UnsupportedRecipeError(
                f"the classifier {name} cannot be trained, and {name_some(trained)} would train it: end the run earlier"
                ' (until = "critique", or "images" with one round), or keep the baseline alone, arms = ["baseline"]'
            )

    def to_json(self, settings: Settings) -> dict[str, Any]:
        """Name, class, version and parameters of each, JSON-plain."""
        return {kind: _describe(getattr(settings, kind).name, getattr(self, kind)) for kind in KINDS}

    def identities(self) -> dict[str, Any]:
        """What the results of each depend on, JSON-plain."""
        return {kind: getattr(self, kind).identity() for kind in KINDS}


def build_plugins(settings: Settings, objects: Mapping[str, Plugin]) -> PluginSet:
    """The plugins that were given as objects, and those the settings name.

    Args:
        settings: of the run.
        objects: plugins by kind; the settings name the others.

    Raises:
        ConfigError: an object is not a plugin of its kind, or parameters do not fit.
        PluginError: a plugin's parameters are not plain, or not stored.
    """
    plugins = {}
    for kind, base in KINDS.items():
        plugin = objects[kind] if kind in objects else create_plugin(kind, getattr(settings, kind))
        if not isinstance(plugin, base):
            raise ConfigError(f"the {kind} must be a {base.__name__} or its name, got {type(plugin).__name__}")
        _check_plain(kind, plugin)
        plugins[kind] = plugin
    return PluginSet(**plugins)  # type: ignore[arg-type]


def _describe(name: str, plugin: Plugin) -> dict[str, Any]:
    identity, parameters = plugin.identity(), plugin.parameters()
    keyed = cast(dict[str, JSON], identity["parameters"])
    return {
        "name": name,
        "implementation": identity["class"],
        "version": plugin.version,
        "parameters": {key: value for key, value in parameters.items() if key in keyed},
        "keyed": identity["source"] is not None,
        "drawn_world": plugin.drawn_world,
        "licence": plugin.estimate(0).licence,
    }


def _check_plain(kind: str, plugin: Plugin) -> None:
    for name, value in plugin.parameters().items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"the {kind} {type(plugin).__name__}: parameter {name!r} must be plain (numbers, text, lists, tables), "
                f"since it is part of the key of every result; {error}"
            ) from error
