"""The built-in plugins, registered through the same entry point and hooks as anybody's."""

from ..hookspecs import Register, hookimpl


@hookimpl
def register_classifiers(register: Register) -> None:
    """Registers the built-in classifiers."""
    register("hog", f"{__name__}.classifiers.hog:HogClassifier")
    register("transformers", f"{__name__}.classifiers.transformers:TransformersClassifier")
    register("zero-shot", f"{__name__}.classifiers.zero_shot:ZeroShotClassifier")


@hookimpl
def register_explainers(register: Register) -> None:
    """Registers the built-in explainers."""
    register("attention-rollout", f"{__name__}.explainers.attention_rollout:AttentionRollout")
    register("auto", f"{__name__}.explainers.auto:AutoExplainer")
    register("grad-cam", f"{__name__}.explainers.grad_cam:GradCam", extra="captum")


@hookimpl
def register_critics(register: Register) -> None:
    """Registers the built-in critics."""
    register("measured", f"{__name__}.critics.measured:MeasuredCritic")


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Registers the built-in synthesizers."""
    register("petworld", f"{__name__}.synthesizers.petworld:PetworldSynthesizer")
    register("remix", f"{__name__}.synthesizers.remix:RemixSynthesizer")
