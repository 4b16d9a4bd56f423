"""FeedbackLoop: composes plugins into a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Self

from .. import arms as rows
from ..calls import Calls, Prices
from ..config import Settings, read_settings
from ..curation import ImageFilter
from ..data import Splits
from ..display.stage_bars import show_stages
from ..errors import CallsStoppedError, ConfigError, DataError, PluginError, RunStopped, suggest
from ..interfaces import Classifier, Critic, Explainer, Synthesizer
from ..plan import Plan, PlanRequest
from ..records import Arm, Progress, Recipe
from ..records.pipeline import STOPS, Stop, reaches
from ..results import Result, open_run
from ..stages import StageRuntime, TimeLimits
from ..store import CallLedger, Store
from .arguments import NOT_GIVEN, Given, NotGiven
from .judge import create_judge
from .offline import go_offline, warn_if_offline
from .planning import is_finished, plan_run
from .plugin_set import build_plugins, create_engine, refuse_ranks
from .run import prepare_run, run_stages
from .run_context import list_available
from .session import RunStatus, stop_on_signals


class FeedbackLoop:
    """Finds a classifier's mistakes, has them explained and critiqued, makes images, trains, and compares.

    An argument overrides `settings`. An argument that is not given is taken from `settings`, or has the default named
    here.

    Args:
        classifier: an object or a registered name; parameters of a named plugin are in `settings`. By default
            "transformers".
        explainer: likewise; by default "auto".
        critic: likewise; by default "measured".
        synthesizer: likewise; by default "remix".
        arms: the name of a set, or a list of names and rows; by default "basic".
        seeds: repetitions of synthesis and of each arm's training; by default (0,).
        images_per_mistake: new images for each mistake, ≥ 1; by default 5.
        recipe: how the arms are trained; None: `Recipe()`.
        baseline_recipe: how the baseline is trained; None: as the arms.
        curation: "default", or a `[curation]` table.
        budget_usd: the most that a run may spend on outside services, in US dollars; None: nothing.
        engine: how work is spread: "local" or "ray"; "local". Its workers and resources are set in `settings`.
        settings: a dict of other tables of a settings file, such as {"mistakes": {"max": 50}}, or checked settings.
        planning: whether the loop only plans: `plan` then lists what the settings do not allow, and `run` refuses it.

    Raises:
        ConfigError: an argument or setting cannot be used.
        OfflineError: a plugin talks to an outside service that the settings do not allow, or the run is offline and
            the model hub's client was imported before, without its offline switch.
    """

    def __init__(  # noqa: PLR0913  the public signature: each argument is one decision of the user
        self,
        classifier: str | Classifier | NotGiven = NOT_GIVEN,
        explainer: str | Explainer | NotGiven = NOT_GIVEN,
        critic: str | Critic | NotGiven = NOT_GIVEN,
        synthesizer: str | Synthesizer | NotGiven = NOT_GIVEN,
        *,
        arms: str | Sequence[str | Arm] | NotGiven = NOT_GIVEN,
        seeds: Sequence[int] | NotGiven = NOT_GIVEN,
        images_per_mistake: int | NotGiven = NOT_GIVEN,
        recipe: Recipe | NotGiven | None = NOT_GIVEN,
        baseline_recipe: Recipe | NotGiven | None = NOT_GIVEN,
        curation: str | Mapping[str, Any] | NotGiven = NOT_GIVEN,
        budget_usd: float | NotGiven | None = NOT_GIVEN,
        engine: str | NotGiven = NOT_GIVEN,
        settings: Mapping[str, Any] | Settings | None = None,
        planning: bool = False,
    ) -> None:
        given = Given(
            plugins={
                "classifier": classifier,
                "explainer": explainer,
                "critic": critic,
                "synthesizer": synthesizer,
            },
            experiment={"arms": arms, "seeds": seeds, "images_per_mistake": images_per_mistake},
            recipe=recipe,
            baseline=baseline_recipe,
            curation=curation,
            budget_usd=budget_usd,
            engine=engine,
        )
        self.settings = given.over(settings)
        if self.settings.privacy.offline:
            go_offline()  # before plugins import what reads the switches
        else:
            warn_if_offline()
        self.arms = rows.resolve_arms(self.settings.arms(), self.settings.experiment.test_explanation)
        rows.check_primary(self.settings.experiment.primary, self.arms)
        if self.settings.experiment.rounds > 1:
            rows.find_promoted(self.settings.experiment.promote, self.arms)
        self.plugins = build_plugins(self.settings, given.objects(), self.arms)
        self.plugins.check_sheets(self.settings)
        self.plugins.check_samples(self.settings)
        self.plugins.check_image_critic(self.settings)
        if not planning:
            self.plugins.check_allowed(self.settings)
        self.prices = Prices({**self.plugins.default_prices, **self.settings.budget.prices})
        # An unknown check or judge is refused now, not after hours of work.
        ImageFilter(self.settings.curation.checks)
        create_judge(self.settings, self.plugins.classifier)
        self.engine = create_engine(self.settings)

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        overrides: Mapping[str, Any] | None = None,
        limit: int | None = None,
        steps: int | None = None,
        budget_usd: float | None = None,
        allow_upload: bool | None = None,
        offline: bool | None = None,
        planning: bool = False,
    ) -> Self:
        """The loop a settings file describes; `run` then finds the data by itself.

        Args:
            path: of a TOML file.
            overrides: tables that override those of the file, such as {"experiment": {"seeds": [1]}}.
            limit: largest number of mistakes to analyse; None: as in the file.
            steps: most steps of each training; None: as in the file.
            budget_usd: the most that a run may spend; None: as in the file.
            allow_upload: whether plugins may send images to outside services; None: as in the file.
            offline: whether plugins that talk to outside services are refused; None: as in the file.
            planning: whether it is only planned: `plan` then lists what is not allowed, and `run` refuses it.

        Raises:
            ConfigError: the file is missing or invalid.
            OfflineError: a plugin talks to an outside service that the settings do not allow.
        """
        updates: dict[str, dict[str, Any]] = {
            "budget": {"usd": budget_usd},
            "privacy": {"allow_upload": allow_upload, "offline": offline},
        }
        settings = read_settings(path, overrides).cap(limit, steps)
        return cls(settings=_update(settings, updates), planning=planning)

    def check(self) -> None:
        """Raises what would stop a run later, such as a missing key; needs no data.

        Raises:
            ConfigError: a parameter or a key is missing or wrong.
            MissingExtraError: a package is not installed.
        """
        for _, _, plugin in self.plugins.by_name(self.settings):
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
            run_dir: replaces assumptions by what a run in it recorded.
            until: as in `run`.
            probe: whether to measure this machine's speed on a few images first, which loads the weights; nothing is
                sent away.

        Raises:
            DataError: the data cannot be found.
            RunLockedError: another process is writing the run folder.
        """
        splits = self._choose_splits(splits, until)
        names = {kind: getattr(self.settings, kind).name for kind in self.plugins.by_kind}
        request = PlanRequest(
            self.settings,
            self.plugins.by_kind,
            names,
            self.arms,
            self.prices,
            self._until(until),
            self.plugins.synthesizers,
            list_available(self.settings, self.plugins.classifier, splits),
            self.plugins.critics(self.settings)[1:],
            self.plugins.image_critic,
        )
        return plan_run(request, self.plugins, splits, run_dir, probe=probe)

    def run(
        self,
        splits: Splits | None = None,
        run_dir: str | Path = "runs/first",
        until: str | None = None,
        *,
        watch: Callable[[Progress], None] | None = None,
        progress: bool | None = None,
    ) -> Result:
        """Runs, or resumes an earlier run in `run_dir`.

        Args:
            splits: the data; None reads the settings' `[data]`.
            run_dir: the run folder; created if it does not exist.
            until: "mistakes", "explain", "critique", "images" or "report"; None: as set.
            watch: receives the progress of the run, which is then not shown otherwise.
            progress: whether it is shown on stderr: a bar on a terminal or in a notebook, lines elsewhere;
                None: on a terminal and in a notebook.

        Raises:
            DataError: the data cannot be used; the message names the files.
            RunLockedError: another process owns the run folder.
            UnsupportedRecipeError: the classifier cannot be trained, and the run would train it.
            PluginError: a plugin broke its contract; what was committed stays.
            CallsStoppedError: paid calls cannot continue (the budget is spent, the service refuses); paid replies are
                kept: rerun to resume.
            RunStopped: a first Ctrl-C or SIGTERM; a second one raises KeyboardInterrupt at once.
        """
        until = self._until(until)
        refuse_ranks()
        self.plugins.check_allowed(self.settings)
        self.plugins.check_trainable(self.settings, self.arms, until)
        if not is_finished(run_dir, self.settings, self.plugins, until):
            self.plugins.check_paid(self.settings, self.prices, until)
            self.plugins.check_travel(self.settings, self.engine)
        splits = self._choose_splits(splits, until)
        shown = show_stages(lines=bool(progress)) if watch is None and progress is not False else nullcontext(watch)
        try:
            with shown as shows:
                self._run(splits, run_dir, until, shows)
        except (RunStopped, CallsStoppedError, PluginError):
            open_run(run_dir).write_report()  # it shows how far the run came
            raise
        result = open_run(run_dir)
        result.write_report()
        return result

    def _run(self, splits: Splits, run_dir: str | Path, until: str, watch: Callable[[Progress], None] | None) -> None:
        with Store(run_dir) as store, closing(self.engine), stop_on_signals() as stop:
            calls = Calls(
                CallLedger(store.ledger, store.blobs), budget_usd=self.settings.budget.usd, prices=self.prices
            )
            status = RunStatus(store, watch)
            stop.then(status.announce_stop)
            stop.then(lambda: calls.stop(RunStopped("stopped between two calls: rerun the same command to resume")))
            limits = self.settings.limits
            times = TimeLimits(limits.chunk_seconds, limits.training_seconds)
            runtime = StageRuntime(store, self.engine, status.watch, stopping=stop, limits=times)
            with status.session():
                run_stages(prepare_run(self.settings, self.plugins, self.arms, runtime, splits, calls, until=until))
                store.finish()

    def _choose_splits(self, given: Splits | None, until: str | None) -> Splits:
        if given is None:
            return self.splits(until)
        if not isinstance(given, Splits):
            raise DataError(
                f"FeedbackLoop: splits must be Splits, got {type(given).__name__}: give Splits.from_folder(…), or None "
                "to read [data]"
            )
        return given

    def allow(self, budget_usd: float) -> None:
        """Sets the most that the run may spend, in US dollars, whatever its settings are."""
        self.settings = _update(self.settings, {"budget": {"usd": budget_usd}})

    def _until(self, until: str | None) -> str:
        stop = until or self.settings.experiment.until
        if stop not in STOPS:
            raise ConfigError(f"until = {stop!r}: there is no such stop. {suggest(stop, STOPS)}")
        return stop

    def splits(self, until: str | None = None) -> Splits:
        """The data that the settings name.

        Args:
            until: as in `run`: a run that stops before the report needs no test split.

        Raises:
            ConfigError: they name none.
            DataError: they cannot be found.
        """
        data = self.settings.data
        options = {**data.options, "require_test": reaches(self._until(until), Stop.REPORT)}
        if data.manifest is not None:
            return Splits.from_manifest(data.manifest, data.folder, **options)
        if data.folder is not None:
            return Splits.from_folder(data.folder, **options)
        raise ConfigError("this loop has no data: give run() the splits, or the settings a [data] folder")


def _update(settings: Settings, updates: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with some values replaced; None replaces nothing."""
    tables = {}
    for name, values in updates.items():
        update = {key: value for key, value in values.items() if value is not None}
        tables[name] = getattr(settings, name).model_copy(update=update)
    return settings.model_copy(update=tables)
