"""Settings: TOML tables become checked values; unknown keys are refused with the nearest name."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .credentials import looks_like_key
from .errors import ConfigError, RecordError, suggest
from .records import Arm, ImageSource, Recipe
from .records.pipeline import HEADLINE, MARGIN, PRIMARY, SMALLEST_GROUP, STOPS
from .records.recipe import SET_BY_ARM
from .registry import KINDS, registry

Fraction = Annotated[float, Field(ge=0, lt=1)]
_SECRET_NAME = re.compile(
    r"^(.*[_-])?(api[_-]?key|private[_-]?key|secret([_-]key)?|password|passwd|bearer|authorization|credentials?)$"
    r"|^((hf|auth|access|api|refresh|bearer|github|gitlab|id)[_-])?token$",
    re.IGNORECASE,
)


# Parameters of plugins that may be a path; each may be a name on the model hub, too, or nothing that is there yet.
_PATH_PARAMETERS = (
    "checkpoint",
    "weights",
    "masks",
    "run",
    "loras",
    "controlnet",
    "vae",
    "model",
    "folder",
    "file",
    "segmenter",
)
_LONGEST_VALUE = 200
MOST_SAMPLES = 100  # of one critic and mistake


class Table(BaseModel):
    """A table of the settings file: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class DataTable(Table):
    """`[data]`: where the images are and how they are split."""

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
        return self.model_copy(update={name: _place(path, base) for name, path in places.items() if path is not None})


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
        extra = {name: _place_parameter(name, value, base) for name, value in self.parameters.items()}
        return self.model_copy(update=extra)


class CriticTable(PluginTable):
    """`[critic]`: the critic, its parameters, what it is asked about, and whether the causes it states are tested.

    With `per = "slice"` it is asked once for all mistakes of a slice; `unsliced` says what becomes of those in none.
    Each mistake is asked about `samples` times, of this critic and of each of the `others`; the majority decides.
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

    `donors` is the most correctly classified training images that edits are made from; with `slices` groups of mistakes
    are looked for.
    """

    max: Annotated[int, Field(ge=1)] | Literal["all"] = 200
    donors: Annotated[int, Field(ge=1)] | Literal["all"] = 2000
    faithfulness: Annotated[int, Field(ge=0)] = 24
    slices: bool = False


class PanelTable(Table):
    """`[panel]`: whether the colours of each heatmap use its own range, or one range of all heatmaps of the run."""

    scale: Literal["image", "run"] = "image"


class ExperimentTable(Table):
    """`[experiment]`: what is compared."""

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

    @model_validator(mode="after")
    def _baselines_can_vary(self) -> Self:
        if "baseline" in self.vary and not self.fit_baseline:
            raise ValueError("a baseline that is taken as it is cannot vary: leave it out of vary, or train it")
        if "baseline" in self.vary and self.rounds > 1:
            raise ValueError("rounds go on from one baseline: leave it out of vary, or set rounds = 1")
        return self


class JudgeTable(PluginTable):
    """`[curation.judge]`: a classifier that checks new images, its parameters, and what it was trained on."""

    trained_on: str = ""


class CurationTable(Table):
    """`[curation]`: which checks new images pass, how often a rejected one is made again, and who suspects labels.

    `vlm` names a critic that is asked whether each image shows what its prompt wished for.
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
    """`[privacy]`: what may leave the machine."""

    allow_upload: bool = False
    offline: bool = False


class BudgetTable(Table):
    """`[budget]`: what a run may cost, and prices that win over the published ones (see `Prices`)."""

    usd: Annotated[float, Field(ge=0)] | None = None
    prices: dict[str, dict[str, Any]] = {}


class ReportTable(Table):
    """`[report]`: whether report.json and report.html name files: images by path, folders of data and weights."""

    paths: bool = True


class LimitsTable(Table):
    """`[limits]`: seconds that a plugin may take for one chunk, or one training, before the run stops and names it."""

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
    report: ReportTable = ReportTable()

    @model_validator(mode="after")
    def _slices_are_looked_for(self) -> Self:
        if self.critic.per == "slice" and not self.mistakes.slices:
            raise ValueError('[critic] per = "slice" needs slices: set [mistakes] slices = true')
        if self.critic.per == "mistake" and self.critic.unsliced == "skip":
            raise ValueError(
                '[critic] unsliced = "skip" needs per = "slice": else no mistake would be left to ask about'
            )
        return self

    def recipes(self) -> tuple[Recipe, Recipe]:
        """The arms' recipe and the baseline's, which is the arms' unless `[baseline]` overrides it.

        Raises:
            ConfigError: a field is unknown, set by the arm, or out of range.
        """
        return _recipe("recipe", self.recipe), _recipe("baseline", {**self.recipe, **self.baseline})

    def arms(self) -> str | tuple[str | Arm, ...]:
        """The arms as asked for, with tables made into rows."""
        chosen = self.experiment.arms
        return chosen if isinstance(chosen, str) else tuple(_arm(entry) for entry in chosen)

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


def parse_settings(tables: Mapping[str, Any], source: str = "settings") -> Settings:
    """Checked settings from tables.

    Args:
        tables: as a settings file holds them.
        source: what to call them in an error.

    Raises:
        ConfigError: names each wrong key with what was expected, what came and the nearest name.
    """
    _refuse_keys(tables, source)
    try:
        found = Settings.model_validate(_with_default_names(tables))
    except ValidationError as error:
        problems = "\n".join(f"  {_problem(detail)}" for detail in error.errors())
        raise ConfigError(f"{source} cannot be used:\n{problems}") from None
    found.recipes()
    found.arms()
    return _place_all(found, None)


def read_settings(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Checked settings from a TOML file; relative paths are relative to the file.

    Args:
        path: of the file.
        overrides: tables that win over those of the file; one that names another plugin replaces the plugin's table.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds what `parse_settings` refuses.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  (a Path raises where there is no such user)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no settings file {path}; write one, or run `xaiaug demo` to see one made"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    found = parse_settings(_override(tables, overrides or {}), str(path))
    if found.data.folder is None and found.data.manifest is None:
        raise ConfigError(f'{path} has no data folder: add\n  [data]\n  folder = "photos"')
    return _place_all(found, path.parent)


def _override(tables: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    replaced = {
        kind
        for kind in KINDS
        if isinstance(overrides.get(kind), Mapping)
        and "name" in overrides[kind]
        and isinstance(tables.get(kind), Mapping)
        and tables[kind].get("name", Settings.model_fields[kind].default.name) != overrides[kind]["name"]
    }
    return merge_tables({name: table for name, table in tables.items() if name not in replaced}, overrides)


def _place_all(found: Settings, base: Path | None) -> Settings:
    judge, vlm = found.curation.judge, found.curation.vlm
    placed = judge.place(base) if isinstance(judge, JudgeTable) else judge
    return found.model_copy(
        update={
            "data": found.data.place(base),
            "curation": found.curation.model_copy(update={"judge": placed, "vlm": vlm and vlm.place(base)}),
            **{kind: getattr(found, kind).place(base) for kind in KINDS},
            "synthesizers": {
                name: PluginTable(name=name, **table).place(base).parameters
                for name, table in found.synthesizers.items()
            },
        }
    )


def _place(path: Path, base: Path | None) -> Path:
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111
    return expanded if base is None else base / expanded


def _place_parameter(name: str, value: Any, base: Path | None) -> Any:
    """A plugin's parameter, with the paths in it from the settings' folder."""
    if isinstance(value, list | tuple):
        return type(value)(_place_parameter(name, inner, base) for inner in value)
    if isinstance(value, Mapping):
        return {inner: _place_parameter(inner, content, base) for inner, content in value.items()}
    if not isinstance(value, str):
        return value
    if value.startswith("~"):
        return os.path.expanduser(value)  # noqa: PTH111
    relative = value and name in _PATH_PARAMETERS and not Path(value).is_absolute()
    return _place_relative(name, value, base) if relative and base is not None else value


def _place_relative(name: str, value: str, base: Path) -> str:
    beside = base / value
    if beside.exists() or value.startswith("."):
        return str(beside.absolute())
    if Path(value).exists():
        raise ConfigError(
            f"{name} = {value!r}: relative paths are relative to the settings file, and there is no {beside}; write "
            f"the path from there, or {str(Path(value).absolute())!r}"
        )
    return value  # a name on the model hub


def create_plugin(kind: str, table: PluginTable) -> Any:
    """The plugin a table names, its parameters checked; not yet prepared."""
    return registry().create(kind, table.name, table.parameters)


def merge_tables(base: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of tables as one; where both have a key, `further` wins."""
    result = dict(base)
    for key, value in further.items():
        old = result.get(key)
        result[key] = merge_tables(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def to_toml(tables: Mapping[str, Any]) -> str:
    """Tables of plain values as TOML; a key whose value is None is left out."""
    blocks = []
    for name, table in tables.items():
        lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]
        if lines:
            blocks.append("\n".join([f"[{_key(name)}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    # JSON's strings, numbers and booleans are TOML's too, but for characters TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _refuse_keys(value: Any, source: str, place: tuple[str, ...] = ()) -> None:
    """Raises ConfigError where a setting looks like a key; the message names its place and never what it holds."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if looks_like_key(str(name)):
                _refuse_keys(str(name), source, (*place, "a name"))
            _refuse_keys(inner, source, (*place, str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_keys(inner, source, place)
    elif isinstance(value, str) and (looks_like_key(value) or (value and place and _SECRET_NAME.search(place[-1]))):
        raise ConfigError(
            f"{source}: {'.'.join(place)} looks like a key, or an address with one. Settings are kept in the run "
            "folder, so keys come from the environment alone (such as ANTHROPIC_API_KEY); take it out, and revoke it "
            "if others may have seen it"
        )


def _with_default_names(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables, where a plugin's table without a name has the default one."""
    usual = {kind: Settings.model_fields[kind].default.name for kind in KINDS}
    return {
        key: {"name": usual[key], **table} if key in usual and isinstance(table, Mapping) else table
        for key, table in tables.items()
    }


def _recipe(table: str, values: Mapping[str, Any]) -> Recipe:
    known = {field.name for field in fields(Recipe)} - set(SET_BY_ARM)
    for name in values:
        if name not in known:
            hint = "it is set by the arm" if name in SET_BY_ARM else suggest(name, known)
            raise ConfigError(f"[{table}] has no key {name!r}. {hint}")
    weights = values.get("class_weights")
    try:
        return Recipe(**{**values, "class_weights": tuple(weights) if isinstance(weights, list) else weights})
    except (RecordError, TypeError) as error:
        raise ConfigError(f"[{table}]: {error}") from error


def _arm(entry: str | Mapping[str, Any]) -> str | Arm:
    if isinstance(entry, str):
        return entry
    known = {field.name for field in fields(Arm)}
    for name in entry:
        if name not in known:
            raise ConfigError(f"[experiment] arms: an arm has no key {name!r}. {suggest(name, known)}")
    if not entry.get("name"):
        raise ConfigError(f"[experiment] arms: an arm needs a name, got {str(dict(entry))[:_LONGEST_VALUE]}")
    images = entry.get("images")
    if images is not None and not isinstance(images, Mapping):
        raise ConfigError(f"[experiment] arms: images must be a table, got {str(images)[:_LONGEST_VALUE]!r}")
    for name in images or ():
        if name not in (sources := {field.name for field in fields(ImageSource)}):
            raise ConfigError(f"[experiment] arms: images has no key {name!r}. {suggest(name, sources)}")
    try:
        return Arm(**{"isolates": "", **entry, "images": ImageSource(**images) if images is not None else None})
    except (RecordError, TypeError) as error:
        raise ConfigError(f"[experiment] arms: {error}") from error


def _problem(detail: Any) -> str:
    place = [str(part) for part in detail["loc"]]
    if not place:  # about tables together
        return str(detail["msg"]).removeprefix("Value error, ")
    where = f"[{place[0]}]" + (f" {place[1]}" if len(place) > 1 else "")
    if detail["type"] == "extra_forbidden":
        if len(place) == 1:
            return f"there is no table [{place[0]}]. {suggest(place[0], Settings.model_fields)}"
        return f"[{place[0]}] has no key {place[1]!r}. {suggest(place[1], _keys(place[0]))}"
    value = repr(detail["input"])
    return f"{where}: {detail['msg']}, got {value[:_LONGEST_VALUE] + ' …' if len(value) > _LONGEST_VALUE else value}"


def _keys(table: str) -> list[str]:
    model = Settings.model_fields[table].annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
