"""What a classifier that is there already gets wrong, and why: no training, no test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data import Splits
from ..errors import ConfigError, DataError
from ..interfaces import Classifier, Critic, Explainer
from ..records import Progress
from ..records.pipeline import Stop
from ..results import Result
from .feedback import FeedbackLoop

LAST_STEP = Stop.CRITIQUE
Settings = dict[str, dict[str, Any]]


def diagnose(  # noqa: PLR0913  each argument is one decision of the user
    classifier: str | Path | Classifier | Callable[..., Any],
    data: str | Path | Splits,
    run_dir: str | Path = "runs/diagnose",
    *,
    labels: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    explainer: str | Explainer = "auto",
    critic: str | Critic = "measured",
    most: int | None = None,
    test_causes: bool = False,
    slices: bool = False,
    budget_usd: float | None = None,
    allow_upload: bool = False,
    offline: bool = False,
    watch: Callable[[Progress], None] | None = None,
) -> Result:
    """Mistakes, heatmaps and critiques of a trained classifier.

    Args:
        classifier: a folder, or a name on the model hub, that the classifier `transformers` reads, with a trained head;
            an ONNX file; your own classifier, such as a `TorchClassifier`; or a function from a list of images to
            probabilities n k.
        data: class/image, all of it taken as the guide: the critic then compares with the images the classifier gets
            right; or split/class/image, whose guide (else validation) split is looked at and whose train split is
            compared with. Splits are taken in the same way.
        run_dir: the run folder.
        labels: of a function, the names of its columns; of an ONNX file, those of its outputs, where it has none.
        parameters: of the classifier `onnx` or `transformers`, by name, such as {"mean": [0, 0, 0], "std": [1, 1, 1]}.
        explainer: an object or a registered name.
        critic: likewise.
        most: mistakes to analyse; None: all.
        test_causes: whether the causes that the critic states are tested by experiment (see `probe_cause`).
        slices: whether to search for groups of mistakes (see `find_slices`).
        budget_usd: most that a paid critic may cost, in US dollars; None: nothing.
        allow_upload: whether a critic may send images to an outside service.
        offline: whether plugins that talk to outside services are refused.
        watch: receives the progress of the run.

    Raises:
        ConfigError: the classifier cannot be used, or something about it is not clear.
        OfflineError: the critic talks to an outside service that is not allowed.
        NotFittedError: the checkpoint has no trained head.
        DataError: the data cannot be used, have other classes than the classifier, or have splits but neither guide nor
            validation.
    """
    settings = diagnosis_settings(
        most, budget_usd, allow_upload=allow_upload, offline=offline, test_causes=test_causes, slices=slices
    )
    loop, splits = prepare_diagnosis(
        classifier, data, explainer, critic, labels=labels, parameters=parameters, settings=settings
    )
    return loop.run(splits, run_dir, until=LAST_STEP, watch=watch)


def diagnosis_settings(
    most: int | None, budget_usd: float | None, *, allow_upload: bool, offline: bool, test_causes: bool, slices: bool
) -> Settings:
    """Tables of the settings of a diagnosis; the arguments are those of `diagnose`."""
    return {
        "mistakes": {"max": most or "all", "slices": slices},
        "critic": {"test_causes": test_causes},
        "experiment": {"fit_baseline": False},
        "budget": {"usd": budget_usd},
        "privacy": {"allow_upload": allow_upload, "offline": offline},
    }


def prepare_diagnosis(
    classifier: str | Path | Classifier | Callable[..., Any],
    data: str | Path | Splits,
    explainer: str | Explainer,
    critic: str | Critic,
    *,
    labels: Sequence[str] | None,
    parameters: Mapping[str, Any] | None,
    settings: Settings,
) -> tuple[FeedbackLoop, Splits]:
    """The loop of a diagnosis and its data, to be planned first, or run up to `LAST_STEP`.

    Args:
        classifier: this and the next five are as of `diagnose`.
        data: likewise.
        explainer: likewise.
        critic: likewise.
        labels: likewise.
        parameters: likewise.
        settings: by `diagnosis_settings`.

    Raises:
        XaiaugError: as of `diagnose`.
    """
    chosen, table = _choose_classifier(classifier, labels, dict(parameters or {}))
    loop = FeedbackLoop(chosen, explainer, critic, settings={**settings, "classifier": table})
    loop.plugins.classifier.check()  # before images are read
    return loop, _as_guide(data)


def _choose_classifier(
    classifier: Any, labels: Sequence[str] | None, parameters: dict[str, Any]
) -> tuple[str | Classifier, dict[str, Any]]:
    """The classifier, an object or a registered name, and its table of the settings."""
    if isinstance(classifier, Classifier):
        given = [name for name, value in (("labels", labels), ("parameters", parameters)) if value]
        if given:
            raise ConfigError(f"diagnose: a classifier has {given[0]} of its own; give them where you create it")
        return classifier, {}
    if isinstance(classifier, str | Path):
        return _choose_by_path(Path(classifier), str(classifier), labels, parameters)
    if not callable(classifier) or isinstance(classifier, type) or hasattr(classifier, "state_dict"):
        raise ConfigError(
            "diagnose: needs a checkpoint, an ONNX file, a classifier or a function from images to probabilities, got"
            f" {classifier!r:.80}; of a torch module make xaiaug.TorchClassifier(module, preprocess, labels)"
        )
    if labels is None:
        raise ConfigError("diagnose: a function does not name its classes; give labels=, in the order of its columns")
    from ..plugins.classifiers.predict_function import PredictClassifier

    return PredictClassifier(classifier, labels, **parameters), {}


def _choose_by_path(
    path: Path, text: str, labels: Sequence[str] | None, parameters: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    if path.suffix.lower() == ".onnx":
        return "onnx", {"file": text, **parameters, **({"labels": list(labels)} if labels is not None else {})}
    if labels is not None:
        raise ConfigError(
            f"diagnose: the checkpoint {text!r} names its own classes; labels= is for an ONNX file or a"
            ' function. To rename them give parameters={"labels": {"its own": "that of the data"}}'
        )
    return "transformers", {"checkpoint": text, **parameters}


def _as_guide(data: str | Path | Splits) -> Splits:
    splits = data if isinstance(data, Splits) else Splits.from_folder(data, guide=0.0, validation=0.0, test=0.0)
    if splits.guide or splits.validation:
        guide = splits.guide or splits.validation
        return replace(splits, guide=guide, validation=(), test=(), reserve=())
    if splits.given:
        name = "the data" if isinstance(data, Splits) else str(data)
        raise DataError(
            f"{name} has the splits {', '.join(splits.given)}, but neither guide nor validation. Mistakes on images "
            "that the classifier was trained on say little, and the test split is used once, at the end: add a folder "
            "guide, or give a folder of class/image that is diagnosed entirely"
        )
    return replace(splits, train=(), guide=splits.train)
