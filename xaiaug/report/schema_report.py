"""What `report.json` holds, version 1.

Everything that may differ between two equal runs stands in `run`, and nowhere else.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from ..errors import RecordError
from ..records.pipeline import Stop
from .schema_arms import ArmResult, LeftOut
from .schema_base import Number, Plain, Row, Text
from .schema_cases import CaseRow, Images, Mistakes
from .schema_maps import MapsRow


class Costs(Row):
    """What outside services cost.

    Attributes:
        usd: cost of all replies, in US dollars.
        calls: replies that were paid for.
        unanswered: calls that were sent and have no reply, cut off or killed in flight.
        unknown_usd: the most these may have cost; it counts against the budget.
        price_date: newest day the prices are from.
    """

    usd: float = 0.0
    calls: int = 0
    unanswered: int = 0
    unknown_usd: float = 0.0
    price_date: str | None = None


class Run(Row):
    """All that may differ between two equal runs: times, dates, costs, and where it ran.

    Attributes:
        name: name of the run folder.
        started, finished: ISO 8601, UTC; `finished` is None for a run that is not done.
        duration_s: seconds of work, over all sittings.
        resumed: how often the run was taken up again.
        hardware: such as {"device": "cpu", "cores": 2}.
        versions: of python, xaiaug, torch and so on.
    """

    name: Text = ""
    started: str | None = None
    finished: str | None = None
    duration_s: float | None = None
    resumed: int = 0
    costs: Costs = Costs()
    hardware: dict[str, Plain] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class Data(Row):
    """What the run worked on.

    Attributes:
        labels: names of the classes.
        counts: images by split and label.
        guide_is_validation: whether validation was used as guide, as in the paper.
        drawn: whether the images are those of the drawn world.
        skipped: unreadable files that were passed over.
        dropped: images left out for another reason, such as standing in two splits.
        fingerprint: digest of all images and labels.
        test_seen: how often this run folder looked at test before, with other settings.
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
    """A plugin as the run used it: its name, its class with module, version and parameters.

    Attributes:
        keyed: whether its source could be read; if not, its results are never reused in a later session.
        drawn_world: whether its results are of a drawn world, and say nothing about photographs.
        licence: of the weights it used; empty where there are none or nobody said.
    """

    name: str
    implementation: str = ""
    version: str = "1"
    parameters: dict[str, Plain] = Field(default_factory=dict)
    keyed: bool = True
    drawn_world: bool = False
    licence: Text = ""


class Plugins(Row):
    """The plugins of a run; None where the run needed none."""

    classifier: PluginUse | None = None
    explainer: PluginUse | None = None
    critic: PluginUse | None = None
    synthesizer: PluginUse | None = None


class Note(Row):
    """What a reader must know before believing a figure, in plain words."""

    kind: Literal["warning", "info"]
    text: Text


class Contrast(Row):
    """How far `arm` lies from `against`: a difference of scores in 0 to 1.

    Attributes:
        low, high: interval over seeds and test images at once, of `level`.
        p: two-sided; of a contrast that is not primary adjusted by Holm's method.
        primary: whether it was named before training and decides the verdict.
        outcome: "no difference", "helps", "hurts" or "inconclusive".
        level: of the interval: 0.95, wider where several contrasts share the doubt.
        crossed: 95 % interval of a bootstrap over seeds and images at once.
        fixed, broken: test images that `arm` alone gets right, and that `against` alone does, by seed.
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
    """Whether it worked, said by the statistics.

    Attributes:
        sentence: the verdict in plain words.
        outcome: a short name that verdicts can be counted by; None when nothing is claimed.
        explanation: whether the explanation helped, in plain words; empty where it was not tested.
        contrasts: the primary contrast first.
    """

    sentence: Text
    outcome: str | None = None
    explanation: Text = ""
    contrasts: tuple[Contrast, ...] = ()


class Report(Row):
    """A run, told whole: what `report.json` holds and `report.html` shows.

    Attributes:
        settings: the resolved settings.
        until: how far the run was asked to go.
        complete: whether it got there.
        rounds: mistakes on guide before each earlier round; the report is of the last one, whose baseline the round
            before promoted.
        maps: how faithful the heatmaps are; None where none was tested.
        cases: the mistakes the run looked into, in its own order.
        verdict: None where nothing was compared.
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
    cases: tuple[CaseRow, ...] = ()
    images: Images = Images()
    verdict: Verdict | None = None

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
                f"the first at {place}: {first['msg']}; write it anew from the run folder with result.write_report()"
            ) from error
