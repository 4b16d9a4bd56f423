"""The interfaces of plugins: the abstract classes that authors implement, and what they receive."""

from ..records import RawReply
from .classifier import Checkpoints, Classifier, PartialViewer, Prepared, TorchModel, TrainingMonitor
from .context import Context, MaskCache, PaidCalls
from .critic import Critic
from .explainer import Explainer
from .plugin import Plugin, PluginInfo
from .synthesizer import Synthesizer

__all__ = [
    "Checkpoints",
    "Classifier",
    "Context",
    "Critic",
    "Explainer",
    "MaskCache",
    "PaidCalls",
    "PartialViewer",
    "Plugin",
    "PluginInfo",
    "Prepared",
    "RawReply",
    "Synthesizer",
    "TorchModel",
    "TrainingMonitor",
]
