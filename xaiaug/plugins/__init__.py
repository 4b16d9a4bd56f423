"""The built-in plugins, registered through the same hooks as anybody's, and before them."""

from ..hookspecs import Register, hookimpl


@hookimpl
def register_classifiers(register: Register) -> None:
    """Registers the built-in classifiers."""
    register("hog", f"{__name__}.classifiers.hog:HogClassifier")
    register("onnx", f"{__name__}.classifiers.onnx:OnnxClassifier", extra="onnx")
    register("transformers", f"{__name__}.classifiers.transformers:TransformersClassifier")
    register("zero-shot", f"{__name__}.classifiers.zero_shot:ZeroShotClassifier")


@hookimpl
def register_explainers(register: Register) -> None:
    """Registers the built-in explainers."""
    register("attention-last", f"{__name__}.explainers.attention_last:AttentionLast")
    register("attention-relevance", f"{__name__}.explainers.attention_relevance:AttentionRelevance")
    register("attention-rollout", f"{__name__}.explainers.attention_rollout:AttentionRollout")
    register("auto", f"{__name__}.explainers.auto:AutoExplainer")
    register("grad-cam", f"{__name__}.explainers.grad_cam:GradCam")
    register("integrated-gradients", f"{__name__}.explainers.integrated_gradients:IntegratedGradients")
    register("occlusion", f"{__name__}.explainers.occlusion:Occlusion")
    register("random", f"{__name__}.explainers.random:RandomMap")
    register("rise", f"{__name__}.explainers.rise:Rise")
    register("uniform", f"{__name__}.explainers.uniform:UniformMap")


@hookimpl
def register_critics(register: Register) -> None:
    """Registers the built-in critics."""
    register("claude", f"{__name__}.critics.claude:ClaudeCritic", extra="claude")
    register("gpt-4v", f"{__name__}.critics.openai:OpenAICritic", extra="openai")
    register("interventions", f"{__name__}.critics.interventions:InterventionsCritic")
    register("gemini", f"{__name__}.critics.providers:GeminiCritic", extra="openai")
    register("openrouter", f"{__name__}.critics.providers:OpenRouterCritic", extra="openai")
    register("azure", f"{__name__}.critics.providers:AzureCritic", extra="openai")
    register("ollama", f"{__name__}.critics.providers:OllamaCritic", extra="openai")
    register("vllm", f"{__name__}.critics.providers:VLLMCritic", extra="openai")
    register("lmstudio", f"{__name__}.critics.providers:LMStudioCritic", extra="openai")
    register("local-vlm", f"{__name__}.critics.local_vlm:LocalVLMCritic")
    register("measured", f"{__name__}.critics.measured:MeasuredCritic")
    register("openai", f"{__name__}.critics.openai:OpenAICritic", extra="openai")
    register("replay", f"{__name__}.critics.replay:ReplayCritic")


@hookimpl
def register_synthesizers(register: Register) -> None:
    """Registers the built-in synthesizers."""
    register("diffusers", f"{__name__}.synthesizers.diffusers:DiffusersSynthesizer", extra="diffusion")
    edits = f"{__name__}.synthesizers.instruction_edit"
    register("flux-kontext", f"{edits}:FluxKontextSynthesizer", extra="diffusion")
    register("instruct-pix2pix", f"{edits}:InstructPix2PixSynthesizer", extra="diffusion")
    register("openai-images", f"{__name__}.synthesizers.openai_images:OpenAIImagesSynthesizer", extra="openai")
    register("petworld", f"{__name__}.synthesizers.petworld:PetworldSynthesizer")
    register("qwen-image-edit", f"{edits}:QwenImageEditSynthesizer", extra="diffusion")
    register("remix", f"{__name__}.synthesizers.remix:RemixSynthesizer")
    register("saliency-edit", f"{__name__}.synthesizers.saliency_edit:SaliencyEditSynthesizer")
    register("saliency-mask", f"{__name__}.synthesizers.saliency_mask:SaliencyMaskSynthesizer")
    register("sdxl", f"{__name__}.synthesizers.sdxl:SdxlSynthesizer", extra="diffusion")
    register("sdxl-controlnet", f"{__name__}.synthesizers.sdxl_controlnet:SdxlControlNetSynthesizer", extra="diffusion")
    register("sdxl-img2img", f"{__name__}.synthesizers.sdxl_img2img:SdxlImageToImageSynthesizer", extra="diffusion")
    register("sdxl-inpaint", f"{__name__}.synthesizers.sdxl_inpaint:SdxlInpaintSynthesizer", extra="diffusion")
    register("sdxl-lightning", f"{__name__}.synthesizers.sdxl:SdxlLightningSynthesizer", extra="diffusion")
    register("sdxl-refiner", f"{__name__}.synthesizers.sdxl_refiner:SdxlRefinerSynthesizer", extra="diffusion")
    register("sdxl-turbo", f"{__name__}.synthesizers.sdxl:SdxlTurboSynthesizer", extra="diffusion")
