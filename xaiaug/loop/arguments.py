"""The arguments of a loop over its settings: what was given wins, what was not leaves them as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final

from ..config import Settings, merge_tables, parse_settings
from ..errors import ConfigError
from ..interfaces import Plugin
from ..records import Arm, Recipe
from ..records.recipe import SET_BY_ARM


class NotGiven(Enum):
    """The type of `NOT_GIVEN`: an argument that was left out, which None, or the default, is not."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
SOURCE = "FeedbackLoop"


@dataclass(frozen=True)
class Given:
    """Arguments of a loop; each may be `NOT_GIVEN`.

    Attributes:
        plugins: objects or names, by kind.
        experiment: fields of `[experiment]`; arms may be rows.
        recipe: how the arms are trained; None: the default recipe.
        baseline: how the baseline is trained; None: as the arms.
        curation: "default", or a table.
        budget_usd: most a run may spend; None: nothing.
        engine: name of the engine.
    """

    plugins: Mapping[str, str | Plugin | NotGiven]
    experiment: Mapping[str, Any]
    recipe: Recipe | NotGiven | None
    baseline: Recipe | NotGiven | None
    curation: str | Mapping[str, Any] | NotGiven
    budget_usd: float | NotGiven | None
    engine: str | NotGiven

    def objects(self) -> dict[str, Plugin]:
        """The plugins that were given as objects, by kind."""
        return {kind: plugin for kind, plugin in self.plugins.items() if not isinstance(plugin, str | NotGiven)}

    def over(self, settings: Mapping[str, Any] | Settings | None) -> Settings:
        """The settings, with these arguments in place of what they say.

        Raises:
            ConfigError: a table or key is unknown or of the wrong type.
        """
        if isinstance(settings, Settings) and not self._tables():
            return settings
        tables = settings.model_dump() if isinstance(settings, Settings) else {} if settings is None else settings
        if not isinstance(tables, Mapping):
            raise ConfigError(f"{SOURCE}: settings must be a dict of tables, got {type(tables).__name__}")
        replaced = {name: table for name, table in tables.items() if not self._replaces(name, table)}
        return parse_settings(merge_tables(replaced, self._tables()), SOURCE)

    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = {
            kind: {"name": plugin if isinstance(plugin, str) else type(plugin).__name__}
            for kind, plugin in self.plugins.items()
            if plugin is not NOT_GIVEN
        }
        experiment = {name: value for name, value in self.experiment.items() if value is not NOT_GIVEN}
        if "arms" in experiment:
            experiment["arms"] = _arm_tables(experiment["arms"])
        tables |= {"experiment": experiment} if experiment else {}
        for name, recipe in (("recipe", self.recipe), ("baseline", self.baseline)):
            tables |= {} if recipe is NOT_GIVEN else {name: _recipe_table(recipe)}
        if self.curation is not NOT_GIVEN:
            tables["curation"] = {} if self.curation == "default" else self.curation
        tables |= {} if self.engine is NOT_GIVEN else {"engine": {"name": self.engine}}
        return tables if self.budget_usd is NOT_GIVEN else {**tables, "budget": {"usd": self.budget_usd}}

    def _replaces(self, name: str, table: Any) -> bool:
        """Whether an argument replaces a whole table of the settings.

        A recipe is one decision, and parameters in the settings that belong to another plugin or engine are not this
        one's.
        """
        if name in (*self.plugins, "engine") and isinstance(table, Mapping):
            plugin = self._tables().get(name, {})
            return bool(plugin) and table.get("name", plugin["name"]) != plugin["name"]
        whole = {"recipe": self.recipe, "baseline": self.baseline, "curation": self.curation}
        return whole.get(name, NOT_GIVEN) is not NOT_GIVEN


def _arm_tables(arms: str | Sequence[str | Arm]) -> Any:
    return arms if isinstance(arms, str) else [asdict(arm) if isinstance(arm, Arm) else arm for arm in arms]


def _recipe_table(recipe: Recipe | None) -> dict[str, Any]:
    return {} if recipe is None else {name: value for name, value in asdict(recipe).items() if name not in SET_BY_ARM}
