"""The built-in plugins, registered through the same entry point and hooks as anybody's."""

from ..hookspecs import Register, hookimpl


@hookimpl
def register_classifiers(register: Register) -> None:
    """Registers the built-in classifiers."""
    register("transformers", f"{__name__}.classifiers.transformers:TransformersClassifier")


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
    register("diffusers", f"{__name__}.synthesizers.diffusers:DiffusersSynthesizer", extra="diffusion")
    register("petworld", f"{__name__}.synthesizers.petworld:PetworldSynthesizer")
    register("remix", f"{__name__}.synthesizers.remix:RemixSynthesizer")
    register("sdxl", f"{__name__}.synthesizers.sdxl:SdxlSynthesizer", extra="diffusion")
    register("sdxl-controlnet", f"{__name__}.synthesizers.sdxl_controlnet:SdxlControlNetSynthesizer", extra="diffusion")
    register("sdxl-img2img", f"{__name__}.synthesizers.sdxl_img2img:SdxlImageToImageSynthesizer", extra="diffusion")
    register("sdxl-inpaint", f"{__name__}.synthesizers.sdxl_inpaint:SdxlInpaintSynthesizer", extra="diffusion")
    register("sdxl-lightning", f"{__name__}.synthesizers.sdxl:SdxlLightningSynthesizer", extra="diffusion")
    register("sdxl-refiner", f"{__name__}.synthesizers.sdxl_refiner:SdxlRefinerSynthesizer", extra="diffusion")
    register("sdxl-turbo", f"{__name__}.synthesizers.sdxl:SdxlTurboSynthesizer", extra="diffusion")
