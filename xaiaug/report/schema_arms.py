"""Arms in a report: how each was trained, and its scores on test."""

from __future__ import annotations

from pydantic import Field, model_validator

from .schema_base import Number, Row, Text


class ClassScore(Row):
    """Scores of one class; None if undefined, as for a class without images."""

    name: Text
    precision: Number = None
    recall: Number = None
    f1: Number = None
    support: int


class GroupScore(Row):
    """Accuracy on the images whose `attribute` is `value`."""

    attribute: Text
    value: Text
    n: int
    accuracy: float


class Scores(Row):
    """Scores of one trained classifier on the test split, as `Metrics.to_json()` returns them.

    Attributes:
        accuracy_interval: 95 % Wilson interval, from the number of test images; seeds are not considered.
        precision, recall, f1: means over the classes (macro).
        scaled_calibration_error: expected calibration error after temperature scaling, cross-fitted.
        classes: one row per class, in the order of the labels.
        confusion: k k, images by true (row) and predicted class (column), in the order of the labels.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float] | None = None
    balanced_accuracy: float
    precision: float
    recall: float
    f1: float
    log_loss: Number = None
    calibration_error: Number = None
    scaled_calibration_error: Number = None
    roc_auc: Number = None
    classes: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    groups: tuple[GroupScore, ...] = ()
    worst_group: GroupScore | None = None


class Curves(Row):
    """The curves of one training, all of equal length; None where a value was not finite.

    Attributes:
        test_accuracy: measured after the end of the run if requested; else empty.
    """

    steps: tuple[int, ...] = ()
    train_loss: tuple[Number, ...] = ()
    train_accuracy: tuple[Number, ...] = ()
    validation_loss: tuple[Number, ...] = ()
    validation_accuracy: tuple[Number, ...] = ()
    test_accuracy: tuple[Number, ...] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Curves:
        lengths = {name: len(getattr(self, name)) for name in type(self).model_fields}
        if not self.test_accuracy:
            del lengths["test_accuracy"]
        if len(set(lengths.values())) > 1:
            raise ValueError(f"all curves must have equal length, got {lengths}")
        return self


class SeedResult(Row):
    """One training of an arm.

    Attributes:
        metrics: scores on test; None if the run stopped before.
        chosen: the score by the metric of the settings, where no column of the table shows it in any case; by the worst
            group or class on that of lowest mean accuracy over the seeds.
        model: the folder of the weights, relative to the run; None if nothing was trained or kept.
    """

    seed: int
    metrics: Scores | None = None
    chosen: Number = None
    history: Curves = Curves()
    model: str | None = None


class WorstGroupRow(Row):
    """The group that an arm is worst at: that of the lowest mean accuracy over its seeds.

    Attributes:
        low, high: 95 % interval of the lowest accuracy of all groups that are large enough, simultaneous over them;
            over both seeds and test images, or test images alone for one seed.
    """

    attribute: Text
    value: Text
    n: int
    accuracy: float
    low: float
    high: float


class ChangedImages(Row):
    """Ids of test images that an arm changes, in more than half of its seeds.

    Attributes:
        fixed: the baseline gets them wrong, the arm right.
        broken: the other way round.
    """

    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


class ChangedImageRow(Row):
    """A test image that an arm fixes or breaks.

    Attributes:
        path: its file, relative to the folder of the data, or its row; None if it is not known or left out.
        predicted: by the baseline.
        fixed_by, broken_by: names of the arms.
    """

    id: str
    path: Text | None = None
    label: Text
    predicted: Text
    fixed_by: tuple[Text, ...] = ()
    broken_by: tuple[Text, ...] = ()


class LabelsUsedRow(Row):
    """What an arm used besides the labelled training images.

    Attributes:
        guide_labels: guide images whose label it used, to train on them or to find mistakes among them.
        group_labels_in_training: images whose groups its training used.
        group_labels_in_selection: images whose groups chose among settings.
        reserve_images: distinct real images of the reserve that it trained on.
        settings_tried: settings of the method that were tried, on validation.
    """

    guide_labels: int = 0
    group_labels_in_training: int = 0
    group_labels_in_selection: int = 0
    reserve_images: int = 0
    settings_tried: int = 1

    @property
    def labels(self) -> int:
        """Labels it used beyond those of the training images."""
        return self.guide_labels + self.group_labels_in_training + self.group_labels_in_selection + self.reserve_images


class ArmResult(Row):
    """One training condition and its budget.

    Attributes:
        isolates: one line: what a comparison with this arm measures.
        advice: what to do to get what the arm got.
        control: whether it only isolates something and is no remedy.
        trained: whether it trains at all; the baseline does not.
        method: the training method.
        head_only: whether it trains the last layer alone, and so has no steps of the network.
        steps: optimiser steps of the network; 0 for an arm that trains its last layer alone.
        image_passes: images seen in training, counted with repetition.
        real: real images it draws from, repeated mistakes counted as often as they are repeated.
        synthetic: distinct new images it draws from, by label.
        added_share: share of its passes that images added to the real ones take: new, repeated or further real ones.
        ratio_limit: most added images for each real one in the passes, where that keeps some out; else None.
        ratio_warning: that its own ratio is beyond what is known to be safe; empty if not.
        worst_group: None without groups that are large enough, or before test was looked at.
        changed: None for the baseline, or before test was looked at.
        used: labels and further real images that it used.
    """

    name: Text
    isolates: Text = ""
    advice: Text = ""
    control: bool = False
    trained: bool = True
    method: Text = "erm"
    head_only: bool = False
    steps: int = 0
    batch_size: int = 0
    learning_rate: float | None = None
    image_passes: int = 0
    real: int = 0
    synthetic: dict[Text, int] = Field(default_factory=dict)
    added_share: float = 0.0
    ratio_limit: float | None = None
    ratio_warning: Text = ""
    used: LabelsUsedRow = LabelsUsedRow()
    seeds: tuple[SeedResult, ...] = ()
    worst_group: WorstGroupRow | None = None
    changed: ChangedImages | None = None


class LeftOut(Row):
    """An arm that was requested but not trained."""

    name: Text
    reason: Text
