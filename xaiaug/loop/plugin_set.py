"""The plugins of a run, from settings and objects, and whether they may do what it needs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..calls import Prices
from ..config import PluginTable, Settings, create_plugin
from ..engines import Engine, EngineOptions, make_engine
from ..errors import ConfigError, PluginError, UnsupportedRecipeError, name_some, suggest
from ..interfaces import Classifier, Critic, Explainer, Plugin, Synthesizer
from ..plan import forbidden, forbidden_tracker, unpaid
from ..records import JSON, METHODS, Arm, ImageSource
from ..records.pipeline import IMAGE_CRITIC, STARTS, Stop, WorkKind, reaches
from ..registry import KINDS
from .offline import SWITCHES


@dataclass(frozen=True, eq=False)
class PluginSet:
    """The plugins of a run, none of them prepared.

    Attributes:
        synthesizers: those that arms name beside the run's, by name.
        others: critics that are asked beside the run's, in the order of the settings.
        image_critic: the one that is asked whether new images show what was wished for; None where none is.
    """

    classifier: Classifier
    explainer: Explainer
    critic: Critic
    synthesizer: Synthesizer
    synthesizers: Mapping[str, Synthesizer] = field(default_factory=dict)
    others: tuple[Critic, ...] = ()
    image_critic: Critic | None = None

    @property
    def by_kind(self) -> dict[str, Plugin]:
        """The plugins by kind, without those of single arms."""
        return {kind: getattr(self, kind) for kind in KINDS}

    def synthesizer_of(self, source: ImageSource | None) -> Synthesizer:
        """The synthesizer that makes the images of a source."""
        name = None if source is None else source.synthesizer
        return self.synthesizer if name is None else self.synthesizers.get(name, self.synthesizer)

    def critics(self, settings: Settings) -> list[tuple[str, Critic]]:
        """Name and critic of all that are asked, the run's own first."""
        names = (settings.critic.name, *(table.name for table in settings.critic.others))
        return list(zip(names, (self.critic, *self.others), strict=True))

    def by_name(self, settings: Settings) -> Iterator[tuple[str, str, Plugin]]:
        """Kind, name and plugin, those of single arms, and critics asked beside the run's, last."""
        yield from ((kind, getattr(settings, kind).name, plugin) for kind, plugin in self.by_kind.items())
        yield from (("synthesizer", name, plugin) for name, plugin in self.synthesizers.items())
        yield from (("critic", name, critic) for name, critic in self.critics(settings)[1:])
        if self.image_critic is not None and settings.curation.vlm is not None:
            yield IMAGE_CRITIC, settings.curation.vlm.name, self.image_critic

    @property
    def default_prices(self) -> dict[str, Mapping[str, JSON]]:
        """Those of all critics: of servers on this machine."""
        return {model: price for critic in self._all_critics for model, price in critic.default_prices.items()}

    @property
    def _all_critics(self) -> list[Critic]:
        """The run's own last: its prices count."""
        asked = [] if self.image_critic is None else [self.image_critic]
        return [*asked, *self.others, self.critic]

    def check_allowed(self, settings: Settings) -> None:
        """Raises OfflineError where a plugin or tracker talks to an outside service that the settings do not allow."""
        if error := forbidden_tracker(settings):
            raise error
        for kind, name, plugin in self.by_name(settings):
            if error := forbidden(kind, name, plugin, settings):
                raise error

    def check_travel(self, settings: Settings, engine: Engine) -> None:
        """Raises ConfigError where a plugin cannot work on a worker of the engine; remote ones stay with the driver."""
        for kind, name, plugin in self.by_name(settings):
            if not plugin.remote:
                engine.check(f"the {kind} {name}", plugin)

    def check_sheets(self, settings: Settings) -> None:
        """Raises ConfigError where a critic is to be asked once a slice, and cannot read a sheet."""
        for name, critic in self.critics(settings) if settings.critic.per == "slice" else ():
            if not critic.reads_sheets:
                raise ConfigError(
                    f'[critic] per = "slice": the critic {name} judges images one by one. Set per = '
                    '"mistake", or take one that reads a sheet of images: claude, openai, local-vlm, or a critic of '
                    "yours with reads_sheets = True"
                )

    def check_image_critic(self, settings: Settings) -> None:
        """Raises ConfigError where new images are to be checked by a critic that cannot, or have no prompt."""
        table = settings.curation.vlm
        if table is None or self.image_critic is None:
            return
        if not self.image_critic.checks_images:
            raise ConfigError(
                f"[curation] vlm: the critic {table.name} does not look at new images. Take claude, openai, a provider "
                "by name, local-vlm, or your own critic with checks_images = True and check_images"
            )
        if not any("prompt" in one.uses for one in (self.synthesizer, *self.synthesizers.values())):
            raise ConfigError(
                "[curation] vlm asks whether an image shows its prompt, and the synthesizer "
                f"{settings.synthesizer.name} reads none: leave vlm out, or take a synthesizer that reads prompts"
            )

    def check_samples(self, settings: Settings) -> None:
        """Raises ConfigError where a critic is to be asked several times, and always answers alike."""
        for name, critic in self.critics(settings) if settings.critic.samples > 1 else ():
            if not critic.stochastic:
                raise ConfigError(
                    f"[critic] samples = {settings.critic.samples}: the critic {name} always gives the same answer to "
                    "a question, so more samples would show nothing. Set samples = 1, and for agreement use several "
                    'critics: others = ["…"]; your own critic, if its answers vary, declares stochastic = True'
                )

    def check_paid(self, settings: Settings, prices: Prices, until: str) -> None:
        """Refuses a run whose calls cannot be paid, before its first hour rather than after it.

        Raises:
            ConfigError: a plugin costs money, and there is no budget.
            UnknownPriceError: the price of its model is not known.
        """
        for kind, name, plugin in self.by_name(settings):
            if reaches(until, STARTS.get(kind, Stop.IMAGES)) and (
                error := unpaid(kind, name, plugin, settings, prices)
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
        trained = [arm.name for arm in arms if arm.trained and not self._trains_head(arm)]
        last = Stop.IMAGES if experiment.rounds > 1 else Stop.REPORT
        if trained and reaches(until, last):
            raise UnsupportedRecipeError(
                f"the classifier {name} cannot be trained, and {name_some(trained)} would train it: end the run earlier"
                ' (until = "critique", or "images" with one round), or keep the baseline alone, arms = ["baseline"]'
            )

    def _trains_head(self, arm: Arm) -> bool:
        """Whether an arm trains the last layer alone, which a classifier may do that cannot be trained as a whole."""
        return METHODS[arm.method].head_only and arm.method in self.classifier.training_methods

    def to_json(self, settings: Settings) -> dict[str, Any]:
        """Name, class, version and parameters of each, JSON-plain."""
        return {kind: _describe(getattr(settings, kind).name, getattr(self, kind)) for kind in KINDS}

    def identities(self) -> dict[str, Any]:
        """What the results of each depend on, JSON-plain; of "synthesizers" by name, where arms name any."""
        own = {name: synthesizer.identity() for name, synthesizer in self.synthesizers.items()}
        found = {kind: getattr(self, kind).identity() for kind in KINDS} | ({"synthesizers": own} if own else {})
        if self.others:
            others = {str(number): critic.identity() for number, critic in enumerate(self.others, 1)}
            found["critic"] = {**found["critic"], "others": others}
        return found


def build_plugins(settings: Settings, objects: Mapping[str, Plugin], arms: Sequence[Arm] = ()) -> PluginSet:
    """The plugins that were given as objects, and those that the settings or arms name.

    Args:
        settings: of the run.
        objects: plugins by kind; the settings name the others.
        arms: as resolved; an arm that names the run's synthesizer takes it with its parameters.

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
    others = tuple(create_plugin("critic", table) for table in settings.critic.others)
    vlm = settings.curation.vlm
    return PluginSet(
        **plugins,  # type: ignore[arg-type]
        synthesizers=_create_synthesizers(settings, arms),
        others=others,
        image_critic=None if vlm is None else create_plugin("critic", vlm),
    )


def refuse_ranks() -> None:
    """Raises ConfigError where torchrun started several processes: each would be a run in the same folder."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "a run is one process, and torchrun or accelerate started several. Start the run without them, and spread "
            "its work by [engine]; to train one classifier over several GPUs, call its fit under torchrun"
        )


def create_engine(settings: Settings) -> Engine:
    """The engine that the settings name; it starts nothing yet.

    Raises:
        ConfigError: there is none of that name, or a setting is not for it.
        MissingExtraError: its package is not installed.
    """
    table = settings.engine.model_dump(exclude={*WorkKind})
    kinds = {str(kind): workers.given for kind, workers in settings.engine.kinds.items()}
    switches = SWITCHES if settings.privacy.offline else {}
    return make_engine(table.pop("name"), EngineOptions(**table, environment=switches, kinds=kinds))


def _create_synthesizers(settings: Settings, arms: Sequence[Arm]) -> dict[str, Synthesizer]:
    """The synthesizers that arms name beside the run's, each with the parameters of its table.

    Raises:
        ConfigError: a table is of a synthesizer that no arm names.
    """
    named = {arm.images.synthesizer for arm in arms if arm.images and arm.images.synthesizer}
    names = sorted(named - {settings.synthesizer.name})
    for name in settings.synthesizers:
        if name == settings.synthesizer.name:
            raise ConfigError(
                f"[synthesizers.{name}] is the run's own synthesizer: set its parameters in [synthesizer]"
            )
        if name not in names:
            raise ConfigError(f"[synthesizers.{name}]: no arm of this run makes images with it. {suggest(name, names)}")
    tables = {name: PluginTable(name=name, **settings.synthesizers.get(name, {})) for name in names}
    return {name: create_plugin("synthesizer", table) for name, table in tables.items()}


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
