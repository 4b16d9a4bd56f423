"""The settings of a run, as tables of checked values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..errors import suggest
from ..records import Arm, Recipe
from ..records.pipeline import HEADLINE, MARGIN, PRIMARY, SMALLEST_GROUP, STOPS, WorkKind
from .relative_paths import place_parameter, place_path
from .table_records import parse_arm, parse_recipe
from .toml_writer import to_toml

Fraction = Annotated[float, Field(ge=0, lt=1)]
MOST_SAMPLES = 100  # of one critic and mistake


class Table(BaseModel):
    """A table of the settings file: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class DataTable(Table):
    """`[data]`: where the images are and how they are split.

    Attributes:
        folder: `class/image`, or `split/class/image`; a relative path is relative to the settings file.
        manifest: a CSV file with `file`, `label` and, optionally, `split` and `group:NAME`, in place of a folder.
        guide: share of the images whose mistakes steer the synthesis, or "validation" to use that split.
        validation: share for the learning curves.
        test: share on which the result is measured.
        reserve: share of additional real images, held out for arms that add some.
        seed: of the split.
        split_by: column of the manifest whose values are kept together, such as a patient or a scene.
        window: lowest and highest grey value of 16-bit images, which become black and white; None: such images are
            refused.
        side: images are reduced to this shorter side in pixels when they are read; None: not reduced.
        on_bad_image: whether images that cannot be read are an "error", or "skip"ped and listed.
        on_leak: whether images that are in two splits are an "error", or are "drop"ped from the earlier split.
        on_near_duplicate: likewise for near-duplicates; "allow" keeps them.
        marks: folder of masks of a planted mark, `ID.png`, for the control with an oracle.
    """

    folder: Path | None = None
    manifest: Path | None = None
    guide: Fraction | Literal["validation"] = 0.15
    validation: Fraction = 0.1
    test: Fraction = 0.2
    reserve: Fraction = 0.0
    seed: int = 0
    split_by: str | None = None
    window: tuple[float, float] | None = None
    side: Annotated[int, Field(ge=1)] | None = None
    on_bad_image: Literal["error", "skip"] = "error"
    on_leak: Literal["error", "drop"] = "error"
    on_near_duplicate: Literal["error", "drop", "allow"] = "error"
    marks: Path | None = None  # masks of a planted mark, ID.png

    @property
    def options(self) -> dict[str, Any]:
        """What the constructors of `Splits` take by keyword."""
        return self.model_dump(exclude={"folder", "manifest", "marks"})

    def place(self, base: Path | None) -> Self:
        """The table with its paths relative to a folder, and `~` expanded."""
        places = {name: getattr(self, name) for name in ("folder", "manifest", "marks")}
        return self.model_copy(
            update={name: place_path(path, base) for name, path in places.items() if path is not None}
        )


class PluginTable(BaseModel):
    """`[classifier]`, `[explainer]`, `[critic]`, `[synthesizer]`: a name and that plugin's parameters."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters beside the name."""
        return dict(self.model_extra or {})

    def place(self, base: Path | None) -> Self:
        """The table with its paths relative to a folder, and `~` expanded.

        Raises:
            ConfigError: a relative path is there beside the shell's folder, and not beside the settings.
        """
        extra = {name: place_parameter(name, value, base) for name, value in self.parameters.items()}
        return self.model_copy(update=extra)


class CriticTable(PluginTable):
    """`[critic]`: the critic, its parameters, what it is asked about, and whether the causes it states are tested.

    Attributes:
        test_causes: whether stated causes are tested by experiment before images are made from them.
        per: whether it is asked once per "mistake", or once per "slice" for all mistakes in it.
        unsliced: with `per = "slice"`, whether mistakes in no slice are "ask"ed about one by one or "skip"ped.
        samples: how often each critic is asked about each mistake; the majority decides.
        others: additional critics, each a name or a table with its parameters.
    """

    test_causes: bool = False
    per: Literal["mistake", "slice"] = "mistake"
    unsliced: Literal["ask", "skip"] = "ask"
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 1
    others: tuple[PluginTable, ...] = ()

    @field_validator("others", mode="before")
    @classmethod
    def _name_alone(cls, others: Any) -> Any:
        """A name stands for the critic with its usual parameters."""
        tables = others if isinstance(others, list | tuple) else [others]
        return [{"name": one} if isinstance(one, str) else one for one in tables]

    @property
    def answers(self) -> int:
        """Critiques of each mistake."""
        return self.samples * (1 + len(self.others))

    def place(self, base: Path | None) -> Self:
        """As of `PluginTable`, and of the others."""
        return super().place(base).model_copy(update={"others": tuple(one.place(base) for one in self.others)})


class MistakesTable(Table):
    """`[mistakes]`: how many of them steer the synthesis, and on how many of these the heatmaps are tested.

    Attributes:
        max: the largest number of mistakes that are explained, critiqued and used to make images, or "all".
        donors: the largest number of correctly classified training images that are edited, or "all".
        faithfulness: number of mistakes whose heatmaps are compared with random ones; 0: none.
        slices: whether to search for groups of mistakes.
    """

    max: Annotated[int, Field(ge=1)] | Literal["all"] = 200
    donors: Annotated[int, Field(ge=1)] | Literal["all"] = 2000
    faithfulness: Annotated[int, Field(ge=0)] = 24
    slices: bool = False


class PanelTable(Table):
    """`[panel]`: how heatmaps are coloured.

    Attributes:
        scale: whether each heatmap is coloured over its own range ("image"), or all of them over one range ("run").
    """

    scale: Literal["image", "run"] = "image"


class ExperimentTable(Table):
    """`[experiment]`: what is compared.

    Attributes:
        arms: a set ("basic", "standard", "remedies", "full", …), or a list of names and of tables that define arms.
        seeds: repetitions; a verdict needs three or more.
        images_per_mistake: number of new images made from each mistake.
        images_per_class_max: largest number of new images of one class; None: no limit.
        metric: the metric by which arms are compared.
        primary: the contrast of the verdict: an arm and its reference.
        smallest_group: smallest number of test images of a group that can be the worst one.
        settings_tried: number of settings that each arm is tried with; validation chooses among them.
        smallest_effect: percentage points below which a difference is too small to matter.
        margin: percentage points by which a recommended remedy may be behind the best one.
        test_explanation: whether to add the arms that show whether the heatmaps matter.
        vary: what is repeated for each seed besides synthesis and training: "critique", "baseline".
        rounds: how often mistakes are collected and images made.
        promote: the arm that the next round starts from.
        fit_baseline: whether the baseline is trained; otherwise the classifier is used as it is.
        test_curves: whether the test split is measured at each point of the training curves, after the last training.
        checkpoint_steps: optimiser steps between two checkpoints of a training; None: a killed training starts again.
        until: the step that the run stops after: "mistakes", "explain", "critique", "images" or "report".
    """

    arms: str | tuple[str | dict[str, Any], ...] = "basic"
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    images_per_mistake: Annotated[int, Field(ge=1)] = 5
    images_per_class_max: Annotated[int, Field(ge=1)] | None = None
    metric: Literal[
        "accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision", "worst-class", "worst-group"
    ] = "accuracy"
    primary: tuple[str, str] = PRIMARY
    smallest_group: Annotated[int, Field(ge=1)] = SMALLEST_GROUP
    settings_tried: Annotated[int, Field(ge=1, le=9)] = 1
    smallest_effect: Annotated[float, Field(gt=0)] = 0.5
    margin: Annotated[float, Field(gt=0)] = MARGIN
    test_explanation: bool = False
    vary: tuple[Literal["critique", "baseline"], ...] = ()
    rounds: Annotated[int, Field(ge=1)] = 1
    promote: str = HEADLINE
    fit_baseline: bool = True
    test_curves: bool = False
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    until: str = STOPS[-1]

    @field_validator("until")
    @classmethod
    def _is_a_stop(cls, until: str) -> str:
        if until not in STOPS:
            raise ValueError(f"there is no such stop. {suggest(until, STOPS)}")
        return until

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("each seed may be there once: the same seed gives the same training")
        return seeds

    @field_validator("primary")
    @classmethod
    def _compares_two_arms(cls, primary: tuple[str, str]) -> tuple[str, str]:
        if primary[0] == primary[1]:
            raise ValueError("a contrast needs two different arms")
        return primary

    @model_validator(mode="after")
    def _baselines_can_vary(self) -> Self:
        if "baseline" in self.vary and not self.fit_baseline:
            raise ValueError("a baseline that is not trained cannot vary: leave it out of vary, or train it")
        if "baseline" in self.vary and self.rounds > 1:
            raise ValueError("rounds continue from one baseline: leave it out of vary, or set rounds = 1")
        return self


class JudgeTable(PluginTable):
    """`[curation.judge]`: a classifier that checks new images, its parameters, and what it was trained on.

    Attributes:
        trained_on: in words, for the report.
    """

    trained_on: str = ""


class CurationTable(Table):
    """`[curation]`: which checks new images must pass, how often a rejected one is made again, and who suspects labels.

    Attributes:
        checks: names of the checks, in the order in which they run.
        judge: the classifier for the check "label": "auto", a name, or a table with its parameters.
        remakes: how often an image that was rejected is made again.
        suspects: who decides that a label looks wrong: no image is made from such a mistake.
        review: whether the run waits until a person has reviewed the new images.
        vlm: a critic, by name or as a table, that is asked whether each image shows what its prompt asks for.
    """

    checks: tuple[str, ...] = ("broken", "nan", "constant", "duplicate", "repeat", "label", "alike")
    judge: str | JudgeTable = "auto"
    remakes: Annotated[int, Field(ge=0)] = 3
    suspects: tuple[Literal["critic", "confident-learning"], ...] = ("critic",)
    review: bool = False
    vlm: PluginTable | None = None

    @field_validator("vlm", mode="before")
    @classmethod
    def _name_alone(cls, vlm: Any) -> Any:
        """A name stands for the critic with its usual parameters."""
        return {"name": vlm} if isinstance(vlm, str) else vlm


class PrivacyTable(Table):
    """`[privacy]`: what may leave the machine.

    Attributes:
        allow_upload: whether images may be sent to a service.
        offline: whether outside services, including the model hub, are blocked.
    """

    allow_upload: bool = False
    offline: bool = False


class BudgetTable(Table):
    """`[budget]`: what a run may cost, and prices that override the published ones (see `Prices`).

    Attributes:
        usd: the most that the run may spend, in dollars; None: nothing.
        prices: by model: `input_usd_per_mtok`, `output_usd_per_mtok` and others, or `local = true`.
    """

    usd: Annotated[float, Field(ge=0)] | None = None
    prices: dict[str, dict[str, Any]] = {}


class WorkersTable(Table):
    """`[engine.KIND]`: the workers of one kind of work, where they differ from those of `[engine]`.

    Attributes:
        workers: pieces of work of this kind that are done at once; None: as in `[engine]`.
        num_cpus: cores that Ray reserves for a worker; None: as in `[engine]`.
        num_gpus: GPUs that Ray reserves for a worker; None: as in `[engine]`.
        memory_gb: memory in GiB that Ray reserves for a worker; None: as in `[engine]`.
    """

    workers: Annotated[int, Field(ge=1)] | None = None
    num_cpus: Annotated[float, Field(gt=0)] | None = None
    num_gpus: Annotated[float, Field(ge=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None

    @property
    def given(self) -> dict[str, float]:
        """What differs."""
        return self.model_dump(exclude_none=True)


class EngineTable(Table):
    """`[engine]`: where the work is done that no outside service does.

    Attributes:
        name: "local", this machine, or "ray", the machines of a Ray cluster.
        workers: pieces of work that are done at once; None: one in this process, or with Ray as many as the cluster
            has room for.
        address: of a Ray cluster, such as "auto"; None: that of the variable RAY_ADDRESS, or one that is started here.
        num_cpus: cores that Ray reserves for a worker.
        num_gpus: GPUs that Ray reserves for a worker; 0.5 lets two share one.
        memory_gb: memory in GiB that Ray reserves for a worker; None: none in particular.
        classifier: workers that predict and embed images, test heatmaps and causes, and evaluate.
        training: workers that train.
        explainer: workers that make heatmaps.
        critic: workers of critics that are no outside service.
        synthesizer: workers of synthesizers that are no outside service.
        curation: workers that check new images.
    """

    name: str = "local"
    workers: Annotated[int, Field(ge=1)] | None = None
    address: str | None = None
    num_cpus: Annotated[float, Field(gt=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0)] = 0.0
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    classifier: WorkersTable | None = None
    training: WorkersTable | None = None
    explainer: WorkersTable | None = None
    critic: WorkersTable | None = None
    synthesizer: WorkersTable | None = None
    curation: WorkersTable | None = None

    @property
    def kinds(self) -> dict[WorkKind, WorkersTable]:
        """The kinds of work whose workers differ."""
        tables = {kind: getattr(self, kind) for kind in WorkKind}
        return {kind: table for kind, table in tables.items() if table is not None}


class ReportTable(Table):
    """`[report]`: what the report shows.

    Attributes:
        paths: whether report.json and report.html name files: images by path, folders of data and weights.
    """

    paths: bool = True


class LimitsTable(Table):
    """`[limits]`: how long a plugin may take before the run stops and names it.

    Attributes:
        chunk_seconds: for one chunk of work; None: no limit.
        training_seconds: for one training; None: no limit.
    """

    chunk_seconds: Annotated[float, Field(gt=0)] | None = None
    training_seconds: Annotated[float, Field(gt=0)] | None = None


class Settings(Table):
    """All settings of a run; each has a default but the data folder."""

    data: DataTable = DataTable()
    classifier: PluginTable = PluginTable(name="transformers")
    explainer: PluginTable = PluginTable(name="auto")
    critic: CriticTable = CriticTable(name="measured")
    synthesizer: PluginTable = PluginTable(name="remix")
    synthesizers: dict[str, dict[str, Any]] = {}
    mistakes: MistakesTable = MistakesTable()
    panel: PanelTable = PanelTable()
    experiment: ExperimentTable = ExperimentTable()
    recipe: dict[str, Any] = {}
    baseline: dict[str, Any] = {}
    curation: CurationTable = CurationTable()
    privacy: PrivacyTable = PrivacyTable()
    budget: BudgetTable = BudgetTable()
    limits: LimitsTable = LimitsTable()
    engine: EngineTable = EngineTable()
    report: ReportTable = ReportTable()

    @model_validator(mode="after")
    def _slices_are_looked_for(self) -> Self:
        if self.critic.per == "slice" and not self.mistakes.slices:
            raise ValueError('[critic] per = "slice" needs slices: set [mistakes] slices = true')
        if self.critic.per == "mistake" and self.critic.unsliced == "skip":
            raise ValueError(
                '[critic] unsliced = "skip" needs per = "slice": otherwise no mistake would be asked about'
            )
        return self

    def recipes(self) -> tuple[Recipe, Recipe]:
        """The arms' recipe and the baseline's, which is the arms' unless `[baseline]` overrides it.

        Raises:
            ConfigError: a field is unknown, set by the arm, or out of range.
        """
        return parse_recipe("recipe", self.recipe), parse_recipe("baseline", {**self.recipe, **self.baseline})

    def arms(self) -> str | tuple[str | Arm, ...]:
        """The arms as asked for, with tables made into rows."""
        chosen = self.experiment.arms
        return chosen if isinstance(chosen, str) else tuple(parse_arm(entry) for entry in chosen)

    def cap(self, mistakes: int | None = None, steps: int | None = None) -> Self:
        """The settings with at most so many mistakes looked into, and steps of each training.

        Args:
            mistakes: None leaves their number as it is.
            steps: None leaves their number as it is.
        """
        update: dict[str, Any] = {}
        if mistakes is not None:
            most = self.mistakes.max
            fewer = mistakes if isinstance(most, str) else min(mistakes, most)
            update["mistakes"] = self.mistakes.model_copy(update={"max": fewer})
        if steps is not None:
            recipe, baseline = self.recipes()
            update["recipe"] = {**self.recipe, "steps": min(steps, recipe.steps)}
            if "steps" in self.baseline:
                update["baseline"] = {**self.baseline, "steps": min(steps, baseline.steps)}
        return self.model_copy(update=update)

    def with_data(self, table: Mapping[str, Any]) -> Self:
        """The settings with the data that were read, whatever they name themselves.

        Args:
            table: as in `Splits.table`; an empty one changes nothing.
        """
        if not table:
            return self
        known = {name: value for name, value in table.items() if name in DataTable.model_fields}
        data = self.data.model_copy(update={"folder": None, "manifest": None, **known})
        return self.model_copy(update={"data": data})

    def to_toml(self) -> str:
        """The resolved settings, as a file that `read_settings` takes."""
        return to_toml(self.model_dump(mode="json", exclude_none=True))
