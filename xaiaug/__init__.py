"""Find out why an image classifier fails, make the training images that fix it, and measure whether they did."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Splits
    from .errors import DataError, XaiaugError
    from .hookspecs import hookimpl
    from .interfaces import Classifier, Context, Critic, Explainer, Synthesizer
    from .loop import FeedbackLoop
    from .loop.cause_probe import probe_cause
    from .loop.critic_exam import examine
    from .loop.diagnose import diagnose
    from .loop.slice_search import find_slices
    from .plugins.classifiers.predict_function import PredictClassifier
    from .plugins.classifiers.torch_module import TorchClassifier
    from .quality import faithfulness
    from .records import (
        Arm,
        Case,
        Cause,
        Critique,
        Explanation,
        Failure,
        History,
        ImageSource,
        MistakeSlice,
        Recipe,
        Sample,
        Sheet,
        SynthesisRequest,
        SyntheticImage,
    )
    from .registry import available, load
    from .results import Result, open_run
    from .statistics import compare_predictions

__version__ = "0.1.0"

_HOMES = {
    "Arm": "records",
    "Case": "records",
    "Cause": "records",
    "Classifier": "interfaces",
    "Context": "interfaces",
    "Critic": "interfaces",
    "Critique": "records",
    "DataError": "errors",
    "Explainer": "interfaces",
    "Explanation": "records",
    "Failure": "records",
    "FeedbackLoop": "loop",
    "History": "records",
    "ImageSource": "records",
    "MistakeSlice": "records",
    "PredictClassifier": "plugins.classifiers.predict_function",
    "Recipe": "records",
    "Result": "results",
    "Sample": "records",
    "Sheet": "records",
    "Splits": "data",
    "SynthesisRequest": "records",
    "SyntheticImage": "records",
    "Synthesizer": "interfaces",
    "TorchClassifier": "plugins.classifiers.torch_module",
    "XaiaugError": "errors",
    "available": "registry",
    "compare_predictions": "statistics",
    "diagnose": "loop.diagnose",
    "examine": "loop.critic_exam",
    "faithfulness": "quality",
    "find_slices": "loop.slice_search",
    "hookimpl": "hookspecs",
    "load": "registry",
    "open_run": "results",
    "probe_cause": "loop.cause_probe",
}

__all__ = [
    "Arm",
    "Case",
    "Cause",
    "Classifier",
    "Context",
    "Critic",
    "Critique",
    "DataError",
    "Explainer",
    "Explanation",
    "Failure",
    "FeedbackLoop",
    "History",
    "ImageSource",
    "MistakeSlice",
    "PredictClassifier",
    "Recipe",
    "Result",
    "Sample",
    "Sheet",
    "Splits",
    "SynthesisRequest",
    "Synthesizer",
    "SyntheticImage",
    "TorchClassifier",
    "XaiaugError",
    "available",
    "compare_predictions",
    "diagnose",
    "examine",
    "faithfulness",
    "find_slices",
    "hookimpl",
    "load",
    "open_run",
    "probe_cause",
]


def __getattr__(name: str) -> Any:
    # Names are imported on first use, so that `import xaiaug` is light and `xaiaug --help` fast.
    if name not in _HOMES:
        raise AttributeError(f"module 'xaiaug' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
