"""The schema of `report.json`, version 1.

What may differ between two equal runs is in `run` only.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from ..errors import RecordError
from ..records.pipeline import Stop
from .schema_agreement import Agreement
from .schema_arms import ArmResult, ChangedImageRow, LeftOut
from .schema_base import Number, Plain, Row, Text
from .schema_cases import CaseRow, Images, Mistakes
from .schema_causes import TestedCauseRow
from .schema_maps import MapsRow
from .schema_recommendation import Recommendation
from .schema_slices import SlicesRow


class Overrun(Row):
    """A model whose service billed more than the worst case of a call.

    Attributes:
        model: its name in requests.
        usd: what was billed above the worst cases, in US dollars.
        ratio: the largest ratio of a bill to its worst case.
    """

    model: str
    usd: float
    ratio: float


class Costs(Row):
    """Costs of external services.

    Attributes:
        usd: cost of all replies with a usage, in US dollars.
        calls: replies that were paid for.
        unanswered: calls that were sent but have no reply: interrupted or killed in flight.
        unreported: replies whose usage the service did not report.
        unknown_usd: most that these two may have cost; counts against the budget.
        price_date: newest date of the prices.
        overruns: the models that were billed more than the worst case of a call.
    """

    usd: float = 0.0
    calls: int = 0
    unanswered: int = 0
    unreported: int = 0
    unknown_usd: float = 0.0
    price_date: str | None = None
    overruns: tuple[Overrun, ...] = ()


class ArmCost(Row):
    """What one arm took, for one seed.

    Attributes:
        name: of the arm.
        minutes: of its training, on average over the seeds; 0 for an arm that is not trained. Of a training that was
            resumed, those of the last session.
        usd: what was paid for the critiques and images of its first seed, in US dollars; arms that share them have the
            same. A call in flight when its process was killed is not in it, though in `costs`.
    """

    name: Text
    minutes: float = 0.0
    usd: float = 0.0


class AgreementCost(Row):
    """What asking more than once about each mistake took, beyond the first time.

    Attributes:
        critiques: further ones that were asked for, over all sources of images and seeds.
        usd: what was paid for them, in US dollars.
    """

    critiques: int
    usd: float = 0.0


class Run(Row):
    """What may differ between two equal runs: times, dates, costs and hardware.

    Attributes:
        name: name of the run folder.
        started, finished: ISO 8601, UTC; `finished` is None for an unfinished run.
        duration_s: seconds of work, over all sessions.
        resumed: how often the run was resumed.
        arms: what each arm took.
        agreement: what several critiques of a mistake took; None where there is one.
        hardware: such as {"device": "cpu", "cores": 2}.
        engine: the settings of `[engine]`: how the work was spread, which changes no result.
        versions: of python, xaiaug, torch and so on.
    """

    name: Text = ""
    started: str | None = None
    finished: str | None = None
    duration_s: float | None = None
    resumed: int = 0
    costs: Costs = Costs()
    arms: tuple[ArmCost, ...] = ()
    agreement: AgreementCost | None = None
    hardware: dict[str, Plain] = Field(default_factory=dict)
    engine: dict[str, Plain] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class Data(Row):
    """The data of the run.

    Attributes:
        labels: names of the classes.
        counts: images by split and label.
        guide_is_validation: whether validation was used as guide, as in the paper.
        drawn: whether the images are of the drawn world.
        skipped: unreadable files.
        dropped: images left out for another reason, such as being in two splits.
        fingerprint: digest of all images and labels.
        test_seen: how often this run folder evaluated on test before, with other settings.
    """

    labels: tuple[Text, ...]
    counts: dict[str, dict[Text, int]] = Field(default_factory=dict)
    guide_is_validation: bool = False
    drawn: bool = False
    skipped: int = 0
    dropped: int = 0
    fingerprint: str = ""
    test_seen: int = 0
    warnings: tuple[Text, ...] = ()


class PluginUse(Row):
    """A plugin as the run used it: its name, class with module, version and parameters.

    Attributes:
        keyed: whether its source could be read; if not, its results are never reused from an earlier session.
        drawn_world: whether its results are of a drawn world, and say nothing about photographs.
        licence: of the weights it used; empty if there are none or it is unknown.
        notes: what it told when it was prepared, such as a trained head that it does not use.
    """

    name: str
    implementation: str = ""
    version: str = "1"
    parameters: dict[str, Plain] = Field(default_factory=dict)
    keyed: bool = True
    drawn_world: bool = False
    licence: Text = ""
    notes: tuple[Text, ...] = ()


class Plugins(Row):
    """The plugins of a run; None if the run needed none."""

    classifier: PluginUse | None = None
    explainer: PluginUse | None = None
    critic: PluginUse | None = None
    synthesizer: PluginUse | None = None


class Note(Row):
    """A caveat for the reader, in plain words."""

    kind: Literal["warning", "info"]
    text: Text


class Contrast(Row):
    """The difference between `arm` and `against`, of scores in 0 to 1.

    Attributes:
        low, high: interval over both seeds and test images, of `level`.
        p: two-sided; for secondary contrasts adjusted by Holm's method.
        primary: whether it was named before training; then it decides the verdict.
        outcome: "no difference", "helps", "hurts" or "inconclusive".
        level: of the interval: 0.95, higher where several contrasts share the error rate.
        crossed: 95 % interval of a bootstrap over both seeds and images.
        fixed, broken: test images that only `arm`, or only `against`, classifies correctly, by seed.
    """

    arm: Text
    against: Text
    metric: str = "accuracy"
    estimate: float
    low: Number = None
    high: Number = None
    p: Number = None
    primary: bool = False
    outcome: str | None = None
    level: float = 0.95
    crossed: tuple[float, float] | None = None
    fixed: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()


class Verdict(Row):
    """Whether the new images helped, according to the statistics.

    Attributes:
        sentence: the verdict in plain words.
        outcome: a short name, for counting verdicts; None if nothing is claimed.
        explanation: whether the explanation helped, in plain words; empty if not tested.
        contrasts: the primary contrast first.
    """

    sentence: Text
    outcome: str | None = None
    explanation: Text = ""
    contrasts: tuple[Contrast, ...] = ()


class Report(Row):
    """A run: what `report.json` holds and `report.html` shows.

    Attributes:
        settings: the resolved settings, but those of the engine, which stand in `run`.
        until: the last stage requested.
        complete: whether that stage is finished.
        rounds: mistakes on guide before each earlier round; the report is of the last round, whose baseline is the
            arm that the previous round promoted.
        maps: how faithful the heatmaps are; None if not tested.
        slices: what the search for slices came to; None where none was asked for.
        causes: what the tests of stated causes came to, one row a slice; empty where causes were not tested.
        agreement: how far several critiques of the same mistakes agree; None where there is one.
        cases: the mistakes that the run analysed, in its order.
        changed: test images that some arm fixes or breaks.
        verdict: None if nothing was compared.
        recommendation: None if there were too few seeds or remedies to recommend one.
    """

    schema_version: Literal[1] = 1
    run: Run = Run()
    settings: dict[str, Plain] = Field(default_factory=dict)
    until: Stop = Stop.REPORT
    complete: bool = True
    data: Data
    plugins: Plugins = Plugins()
    notes: tuple[Note, ...] = ()
    arms: tuple[ArmResult, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    mistakes: Mistakes = Mistakes()
    rounds: tuple[int, ...] = ()
    maps: MapsRow | None = None
    slices: SlicesRow | None = None
    causes: tuple[TestedCauseRow, ...] = ()
    agreement: Agreement | None = None
    cases: tuple[CaseRow, ...] = ()
    changed: tuple[ChangedImageRow, ...] = ()
    images: Images = Images()
    verdict: Verdict | None = None
    recommendation: Recommendation | None = None

    def dump(self) -> str:
        """The text of `report.json`: UTF-8, indented by two, fields in the order of the schema, one final newline."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def read(cls, text: str | bytes) -> Report:
        """The report that `dump` wrote.

        Raises:
            RecordError: the text is not a report of this version; says where and why.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = "/" + "/".join(map(str, first["loc"]))
            raise RecordError(
                f"report.json: expected a report of schema version 1, got one with {error.error_count()} errors, "
                f"the first at {place}: {first['msg']}; write it again from the run folder with result.write_report()"
            ) from error
