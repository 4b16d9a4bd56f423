"""How far several critiques of the same mistakes agree."""

from __future__ import annotations

from .schema_base import Number, Row, Text


class VoteRow(Row):
    """One of several critiques of a mistake.

    Attributes:
        critic: its name.
        sample: how often it was asked before.
        cause: what the stated cause is counted as, such as "backdrop" or "region missing"; empty where it failed.
        stated: the cause in its words.
        failure: kind of the failure; empty where there is a critique.
    """

    critic: Text
    sample: int = 0
    cause: Text = ""
    stated: Text = ""
    failure: Text = ""


class Agreement(Row):
    """How far the critics agree on the causes of the mistakes.

    Attributes:
        critics: their names.
        samples: how often each was asked about a mistake.
        cases: mistakes with two critiques or more.
        unanimous: of these, those whose critiques state the same cause.
        majority: those where more than half state the same cause, but not all.
        divided: those without a majority; the most frequent cause stands, of equally frequent ones the first.
        failed: answers that are no critique.
        kappa: Fleiss' kappa of the stated causes; None where all are the same.
        low, high: its 95 % interval over the mistakes.
        observed: share of the pairs of critiques of a mistake that agree, 0 to 1.
    """

    critics: tuple[Text, ...]
    samples: int
    cases: int
    unanimous: int
    majority: int
    divided: int
    failed: int = 0
    kappa: Number = None
    low: Number = None
    high: Number = None
    observed: Number = None

    @property
    def sentence(self) -> str:
        """In words."""
        times = f", {self.samples} times each" if self.samples > 1 and len(self.critics) > 1 else ""
        times = f" {self.samples} times" if self.samples > 1 and len(self.critics) == 1 else times
        head = f"Asked {' and '.join(self.critics)}{times} about each mistake"
        if not self.cases:
            return f"{head}: none has two critiques to compare."
        text = (
            f"{head}: of {self.cases}, {self.unanimous} get the same cause from all, {self.majority} from most, "
            f"{self.divided} from no majority"
        )
        if self.kappa is None:
            return f"{text}; all critiques state one cause, so kappa is not defined."
        interval = f" ({self.low:.2f} to {self.high:.2f})" if self.low is not None and self.high is not None else ""
        return f"{text}; Fleiss' kappa {self.kappa:.2f}{interval}.".replace("-", "−")
