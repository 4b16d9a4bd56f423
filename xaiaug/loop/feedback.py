"""FeedbackLoop: composes plugins into a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from .. import arms as rows
from ..calls import Calls, Prices
from ..config import STOPS, Settings, read_settings
from ..curation import ImageFilter
from ..data import Splits
from ..engines import engine as engine_named
from ..errors import CallsStoppedError, ConfigError, PluginError, RunStopped, suggest
from ..interfaces import Classifier, Critic, Explainer, Plugin, Synthesizer
from ..plan import Plan, PlanRequest
from ..records import Arm, Progress, Recipe
from ..results import Result, open_run
from ..stages import StageRuntime, TimeLimits
from ..store import CallLedger, Store
from .judge import create_judge
from .planning import is_finished, plan_run
from .plugin_set import arms_as_tables, build_plugins, settings_from_arguments
from .run import run_stages
from .session import RunStatus, stop_on_signals


class FeedbackLoop:
    """Finds a classifier's mistakes, has them explained and criticised, makes images, trains, and compares.

    Args:
        classifier: an object or a registered name; its parameters then stand in `settings`.
        explainer: likewise.
        critic: likewise.
        synthesizer: likewise.
        arms: a set's name, or names and rows.
        seeds: repetitions of synthesis and of each arm's training.
        images_per_mistake: new images for each mistake, ≥ 1.
        recipe: how the arms are trained.
        baseline_recipe: how the baseline is trained; None: as the arms.
        curation: "default", or a `[curation]` table.
        budget_usd: most a run may spend on outside services.
        engine: how work is spread: "local".
        settings: further tables of a settings file, such as {"mistakes": {"max": 50}}.

    Raises:
        ConfigError: an argument or setting cannot be used.
        OfflineError: a plugin talks to an outside service that the settings do not allow.
    """

    def __init__(  # noqa: PLR0913  the public signature: each argument is one decision of the user
        self,
        classifier: str | Classifier,
        explainer: str | Explainer = "auto",
        critic: str | Critic = "measured",
        synthesizer: str | Synthesizer = "remix",
        *,
        arms: str | Sequence[str | Arm] = "basic",
        seeds: Sequence[int] = (0,),
        images_per_mistake: int = 5,
        recipe: Recipe | None = None,
        baseline_recipe: Recipe | None = None,
        curation: str | Mapping[str, Any] = "default",
        budget_usd: float | None = None,
        engine: str = "local",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        given: dict[str, str | Plugin] = {
            "classifier": classifier,
            **_said(explainer=(explainer, "auto"), critic=(critic, "measured"), synthesizer=(synthesizer, "remix")),
        }
        experiment = _said(
            arms=(arms_as_tables(arms), "basic"),
            seeds=(tuple(seeds), (0,)),
            images_per_mistake=(images_per_mistake, 5),
        )
        said = _said(
            experiment=(experiment, {}),
            recipe=(recipe, None),
            baseline=(baseline_recipe, None),
            curation=(curation, "default"),
            budget=({"usd": budget_usd}, {"usd": None}),
        )
        self._take(settings_from_arguments(given, said, settings), given, engine)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        budget_usd: float | None = None,
        allow_upload: bool | None = None,
        offline: bool | None = None,
        planning: bool = False,
    ) -> Self:
        """The loop a settings file describes; `run` then finds the data by itself.

        Args:
            path: of a TOML file.
            budget_usd: most a run may spend; None: as the file says.
            allow_upload: whether plugins may send images to outside services; None: as the file says.
            offline: whether plugins that talk to outside services are refused; None: as the file says.
            planning: whether it is only planned: the plan then tells what is not allowed, and `run` refuses it.

        Raises:
            ConfigError: the file is missing or holds what cannot be used.
            OfflineError: a plugin talks to an outside service that the settings do not allow.
        """
        said: dict[str, dict[str, Any]] = {
            "budget": {"usd": budget_usd},
            "privacy": {"allow_upload": allow_upload, "offline": offline},
        }
        loop = cls.__new__(cls)
        loop._take(_with(read_settings(path), said), {}, "local", planning=planning)
        return loop

    def check(self) -> None:
        """Raises what would stop a run later, such as a missing key; asked before there are any data.

        Raises:
            ConfigError: a parameter or a key is missing or wrong.
            MissingExtraError: a package is not installed.
        """
        for plugin in self.plugins.by_kind.values():
            plugin.check()

    def plan(
        self,
        splits: Splits | None = None,
        run_dir: str | Path = "runs/first",
        until: str | None = None,
        *,
        probe: bool = False,
    ) -> Plan:
        """What `run` with the same arguments would take; needs no key and no network.

        Args:
            splits: the data; None reads the settings' `[data]`.
            run_dir: what is known from a run in it is not assumed.
            until: as in `run`.
            probe: whether to measure this machine's speed on a few images first, which loads the weights; nothing is
                sent away.

        Raises:
            DataError: the data cannot be found.
            RunLockedError: another process is writing the run folder.
        """
        splits = splits if splits is not None else self.splits()
        names = {kind: getattr(self.settings, kind).name for kind in self.plugins.by_kind}
        asked = PlanRequest(self.settings, self.plugins.by_kind, names, self.arms, self.prices, self._stop(until))
        return plan_run(asked, self.plugins, splits, run_dir, probe=probe)

    def run(
        self,
        splits: Splits | None = None,
        run_dir: str | Path = "runs/first",
        until: str | None = None,
        *,
        watch: Callable[[Progress], None] | None = None,
    ) -> Result:
        """Runs, or goes on where an earlier run in `run_dir` stopped.

        Args:
            splits: the data; None reads the settings' `[data]`.
            run_dir: the run folder; made when it is not there.
            until: "mistakes", "explain", "critique", "images" or "report"; None: as set.
            watch: is told how far the run has come.

        Raises:
            DataError: the data cannot be used; the message names the files.
            RunLockedError: another process owns the run folder.
            PluginError: a plugin broke its contract; what was committed stays.
            CallsStoppedError: paid calls cannot go on (the budget is spent, the service refuses); what was paid for is
                kept, and the same command goes on.
            RunStopped: a first Ctrl-C or SIGTERM; a second one raises KeyboardInterrupt at once.
        """
        stop = self._stop(until)
        self.plugins.check_allowed(self.settings)
        if not is_finished(run_dir, self.settings, self.plugins, stop):
            self.plugins.check_paid(self.settings, self.prices, stop)
        splits = splits if splits is not None else self.splits()
        try:
            self._conduct(splits, run_dir, stop, watch)
        except (RunStopped, CallsStoppedError, PluginError):
            open_run(run_dir).write_report()  # it says how far the run came
            raise
        result = open_run(run_dir)
        result.write_report()
        return result

    def _conduct(
        self, splits: Splits, run_dir: str | Path, until: str, watch: Callable[[Progress], None] | None
    ) -> None:
        with Store(run_dir) as store, stop_on_signals() as stop:
            calls = Calls(
                CallLedger(store.ledger, store.blobs), budget_usd=self.settings.budget.usd, prices=self.prices
            )
            stop.then(lambda: calls.stop(RunStopped("stopped between two calls: the same command goes on")))
            status = RunStatus(store, watch)
            limits = self.settings.limits
            patience = TimeLimits(limits.chunk_seconds, limits.training_seconds)
            runtime = StageRuntime(store, self.engine, status.watch, stop, patience=patience)
            with status.session():
                run_stages(self.settings, self.plugins, self.arms, runtime, splits, calls, stop=until)
                store.finish()

    def _take(
        self, settings: Settings, given: Mapping[str, str | Plugin], engine: str, *, planning: bool = False
    ) -> None:
        self.settings = settings
        self.plugins = build_plugins(settings, given)
        if not planning:
            self.plugins.check_allowed(settings)
        self.prices = Prices(settings.budget.prices)
        self.arms = rows.resolve_arms(settings.arms(), settings.experiment.test_explanation)
        ImageFilter(settings.curation.checks)  # an unknown check is told now, not after hours of work; a judge likewise
        create_judge(settings, self.plugins.classifier)
        self.engine = engine_named(engine)

    def allow(self, budget_usd: float) -> None:
        """Lets the run spend so much, whatever its settings say."""
        self.settings = _with(self.settings, {"budget": {"usd": budget_usd}})

    def _stop(self, until: str | None) -> str:
        stop = until or self.settings.experiment.until
        if stop not in STOPS:
            raise ConfigError(f"until = {stop!r}: there is no such stop. {suggest(stop, STOPS)}")
        return stop

    def splits(self) -> Splits:
        """The data that the settings name.

        Raises:
            ConfigError: they name none.
            DataError: they cannot be found.
        """
        data = self.settings.data
        if data.manifest is not None:
            return Splits.from_manifest(data.manifest, data.folder, **data.options)
        if data.folder is not None:
            return Splits.from_folder(data.folder, **data.options)
        raise ConfigError("this loop has no data: give run() the splits, or the settings a [data] folder")


def _with(settings: Settings, said: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with what was said besides; None says nothing."""
    tables = {}
    for name, values in said.items():
        update = {key: value for key, value in values.items() if value is not None}
        tables[name] = getattr(settings, name).model_copy(update=update)
    return settings.model_copy(update=tables)


def _said(**arguments: tuple[Any, Any]) -> dict[str, Any]:
    """The arguments that differ from their default: only those win over the settings."""
    return {name: value for name, (value, default) in arguments.items() if value != default}
