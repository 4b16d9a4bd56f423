"""Who takes part in a run: settings and objects become plugins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..calls import Prices
from ..config import STOPS, Settings, create_plugin, merge_tables, parse_settings
from ..errors import ConfigError, PluginError
from ..interfaces import Classifier, Critic, Explainer, Plugin, Synthesizer
from ..plan import FROM, forbidden, unpaid
from ..records import Arm, Recipe
from ..registry import KINDS

SET_BY_ARM = ("sampling", "adapter", "augment")


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
            UnknownPriceError: nobody knows what its model costs.
        """
        for kind, plugin in self.by_kind.items():
            needed = STOPS.index(FROM[kind]) <= STOPS.index(until)
            if needed and (error := unpaid(kind, getattr(settings, kind).name, plugin, settings, prices)):
                raise error

    def told(self, settings: Settings) -> dict[str, Any]:
        """Name, class, version and parameters of each, JSON-plain."""
        return {kind: _told(getattr(settings, kind).name, getattr(self, kind)) for kind in KINDS}

    def identities(self) -> dict[str, Any]:
        """What the results of each depend on, JSON-plain."""
        return {kind: getattr(self, kind).identity() for kind in KINDS}


def build_plugins(settings: Settings, given: Mapping[str, str | Plugin]) -> PluginSet:
    """The plugins that were given as objects, and those the settings name.

    Raises:
        ConfigError: an object is not a plugin of its kind, or parameters do not fit.
        PluginError: a plugin's parameters are not plain, or not stored.
    """
    plugins = {}
    for kind, base in KINDS.items():
        plugin = given.get(kind)
        if plugin is None or isinstance(plugin, str):
            plugin = create_plugin(kind, getattr(settings, kind))
        if not isinstance(plugin, base):
            raise ConfigError(f"the {kind} must be a {base.__name__} or its name, got {type(plugin).__name__}")
        _check_plain(kind, plugin)
        plugins[kind] = plugin
    return PluginSet(**plugins)  # type: ignore[arg-type]


def settings_from_arguments(given: Mapping[str, str | Plugin], said: Mapping[str, Any], further: Any) -> Settings:
    """Checked settings from the arguments of a loop.

    Args:
        given: the plugins, by kind.
        said: other tables that arguments speak of; a recipe may be a record.
        further: the `parse_settings` argument; what the other arguments say wins over it.

    Raises:
        ConfigError: a table or key is unknown or of the wrong type.
    """
    if further is not None and not isinstance(further, Mapping):
        raise ConfigError(f"FeedbackLoop: settings must be a dict of tables, got {type(further).__name__}")
    names = {kind: {"name": _name(plugin)} for kind, plugin in given.items()}
    plain = {table: _recipe_table(value) if isinstance(value, Recipe) else value for table, value in said.items()}
    return parse_settings(merge_tables(further or {}, {**names, **plain}), "FeedbackLoop")


def arms_as_tables(arms: str | Sequence[str | Arm]) -> Any:
    """The `arms` argument as the settings hold it."""
    return arms if isinstance(arms, str) else [asdict(arm) if isinstance(arm, Arm) else arm for arm in arms]


def _recipe_table(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in asdict(recipe).items() if name not in SET_BY_ARM}


def _name(plugin: str | Plugin) -> str:
    return plugin if isinstance(plugin, str) else type(plugin).__name__


def _told(name: str, plugin: Plugin) -> dict[str, Any]:
    identity = plugin.identity()
    return {
        "name": name,
        "implementation": identity["class"],
        "version": plugin.version,
        "parameters": identity["parameters"],
        "keyed": identity["source"] is not None,
        "licence": plugin.estimate(0).licence,
    }


def _check_plain(kind: str, plugin: Plugin) -> None:
    for name, value in plugin.parameters().items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"the {kind} {_name(plugin)}: parameter {name!r} must be plain (numbers, text, lists, tables), "
                f"since it is part of what results are kept under; {error}"
            ) from error
