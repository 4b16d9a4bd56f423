"""More families of real diffusers pipelines with tiny random weights, saved as folders: a function for each family."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from tiny_pipelines import autoencoder, clip_tokenizer, denoising_unet, t5_encoder, t5_tokenizer, text_encoder

WORDS = ("a", "photo", "of", "cat", "dog", "the", "on", "sofa", "red", "small", "and", "in", "at", "night", "one")
FAMILIES: dict[str, Callable[[], Any]] = {}


def family(make: Callable[[], Any]) -> Callable[[], Any]:
    FAMILIES[make.__name__] = make
    return make


def build(name: str, folder: Path) -> Path:
    """The folder with the pipeline of a family."""
    torch.manual_seed(sum(name.encode()))
    FAMILIES[name]().save_pretrained(folder)
    return folder


def chat_tokenizer() -> Any:
    """A byte-level tokenizer as language models have it: common words are a token, others a token a byte."""
    from transformers import Qwen2Tokenizer

    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in (*shown, *range(256, 256 + 256 - len(shown)))]
    symbols = [*letters, "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>"]
    symbols.append("<|vision_end|>")
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        whole = "Ġ"
        for letter in word:
            merges[whole, letter] = None
            whole += letter
            symbols.append(whole)
    vocabulary = {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=list(merges),
        model_max_length=8192,
        **{"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"},
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
        "{% endfor %}<|im_start|>assistant\n"
    )
    return tokenizer


def _flow() -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler()


def _shallow(channels: int) -> Any:
    """An autoencoder that keeps the sides."""
    return diffusers.AutoencoderKL(
        block_out_channels=(4,),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=1,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.06,
        scaling_factor=1.5,
    ).eval()


def _movq() -> Any:
    return diffusers.VQModel(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        latent_channels=4,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    ).eval()


def _language_model(kind: str, tokenizer: Any, **config: Any) -> Any:
    import transformers

    shared = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "initializer_range": 0.5,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    configuration = getattr(transformers, f"{kind}Config")(**{**shared, **config})
    return getattr(transformers, f"{kind}Model")(configuration).eval()


def flux_parts(guidance_embeds: bool = True) -> dict[str, Any]:
    """The parts of a FLUX pipeline: CLIP for the whole prompt, T5 for its words."""
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
        guidance_embeds=guidance_embeds,
    ).eval()
    return {
        "vae": _shallow(1),
        "text_encoder": text_encoder(clip, 32, projected=False),
        "text_encoder_2": t5_encoder(t5),
        "tokenizer": clip,
        "tokenizer_2": t5,
        "transformer": transformer,
        "scheduler": _flow(),
    }


@family
def flux() -> Any:
    return diffusers.FluxPipeline(**flux_parts())


@family
def flux_schnell() -> Any:
    return diffusers.FluxPipeline(**flux_parts(guidance_embeds=False))


@family
def flux_kontext() -> Any:
    return diffusers.FluxKontextPipeline(**flux_parts())


@family
def instruct_pix2pix() -> Any:
    tokenizer = clip_tokenizer()
    return diffusers.StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(tokenizer, 16, projected=False),
        tokenizer=tokenizer,
        unet=denoising_unet(16, None, channels=8),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@family
def chroma() -> Any:
    t5 = t5_tokenizer()
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        axes_dims_rope=[4, 4, 8],
        approximator_hidden_dim=32,
        approximator_layers=1,
        approximator_num_channels=16,
    ).eval()
    return diffusers.ChromaPipeline(
        vae=_shallow(1), text_encoder=t5_encoder(t5), tokenizer=t5, transformer=transformer, scheduler=_flow()
    )


def _pixart(kind: Any) -> Any:
    t5 = t5_tokenizer()
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=32,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
    ).eval()
    return kind(
        tokenizer=t5,
        text_encoder=t5_encoder(t5),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=diffusers.DDIMScheduler(),
    )


@family
def pixart_alpha() -> Any:
    return _pixart(diffusers.PixArtAlphaPipeline)


@family
def pixart_sigma() -> Any:
    return _pixart(diffusers.PixArtSigmaPipeline)


@family
def aura_flow() -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    t5 = t5_tokenizer()
    config = UMT5Config(vocab_size=len(t5), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        out_channels=4,
        pos_embed_max_size=256,
    ).eval()
    return diffusers.AuraFlowPipeline(
        tokenizer=t5,
        text_encoder=UMT5EncoderModel(config).eval(),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=_flow(),
    )


@family
def sana() -> Any:
    tokenizer = chat_tokenizer()
    blocks = ("ResBlock", "EfficientViTBlock")
    vae = diffusers.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_act_fns="silu",
    ).eval()
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=16,
        sample_size=32,
    ).eval()
    gemma = _language_model("Gemma2", tokenizer, head_dim=8, attn_implementation="eager")
    return diffusers.SanaPipeline(
        tokenizer=tokenizer, text_encoder=gemma, vae=vae, transformer=transformer, scheduler=_flow()
    )


@family
def lumina2() -> Any:
    tokenizer = chat_tokenizer()
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=4,
        hidden_size=8,
        num_layers=2,
        num_attention_heads=1,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=[4, 2, 2],
        cap_feat_dim=16,
    ).eval()
    gemma = _language_model("Gemma2", tokenizer, head_dim=8, attn_implementation="eager")
    return diffusers.Lumina2Pipeline(
        transformer=transformer, vae=_shallow(4), text_encoder=gemma, tokenizer=tokenizer, scheduler=_flow()
    )


@family
def z_image() -> Any:
    tokenizer = chat_tokenizer()
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=16,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[8, 4, 4],
        axes_lens=[1024, 64, 64],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.ones_(token)
    qwen = _language_model("Qwen3", tokenizer, head_dim=8, max_position_embeddings=1024)
    return diffusers.ZImagePipeline(
        transformer=transformer.eval(),
        vae=autoencoder(16, shift=0.1),
        text_encoder=qwen,
        tokenizer=tokenizer,
        scheduler=_flow(),
    )


def qwen_parts() -> dict[str, Any]:
    """The parts of a Qwen-Image pipeline, whose text encoder sees images too."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = chat_tokenizer()
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=3,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    ).eval()
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=24,
        z_dim=4,
        dim_mult=[1, 2, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()
    number = tokenizer.convert_tokens_to_ids
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        "rope_theta": 1e6,
        "vocab_size": len(tokenizer),
        "initializer_range": 0.5,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        image_token_id=number("<|image_pad|>"),
    )
    return {
        "transformer": transformer,
        "vae": vae,
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config).eval(),
        "tokenizer": tokenizer,
        "scheduler": _flow(),
    }


@family
def qwen_image() -> Any:
    return diffusers.QwenImagePipeline(**qwen_parts())


@family
def hunyuan() -> Any:
    from transformers import BertConfig, BertModel, BertTokenizer

    t5 = t5_tokenizer()
    pieces = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase), *WORDS]
    vocabulary = {
        word: number for number, word in enumerate(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces]))
    }
    bert = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    vae = diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[4] * 4,
        norm_num_groups=2,
        latent_channels=4,
        sample_size=1024,
    ).eval()
    transformer = diffusers.HunyuanDiT2DModel(
        sample_size=128,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        in_channels=4,
        cross_attention_dim=32,
        cross_attention_dim_t5=32,
        pooled_projection_dim=16,
        hidden_size=24,
        activation_fn="gelu-approximate",
    ).eval()
    return diffusers.HunyuanDiTPipeline(
        vae=vae,
        text_encoder=BertModel(bert).eval(),
        tokenizer=BertTokenizer(vocab=vocabulary, model_max_length=77),
        transformer=transformer,
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        text_encoder_2=t5_encoder(t5),
        tokenizer_2=t5,
    )


@family
def kandinsky3() -> Any:
    t5 = t5_tokenizer()
    unet = diffusers.Kandinsky3UNet(
        in_channels=4,
        time_embedding_dim=4,
        groups=2,
        attention_head_dim=4,
        block_out_channels=(32, 64),
        cross_attention_dim=4,
        encoder_hid_dim=32,
    ).eval()
    scheduler = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2", thresholding=False)
    return diffusers.Kandinsky3Pipeline(
        tokenizer=t5, text_encoder=t5_encoder(t5), unet=unet, scheduler=scheduler, movq=_movq()
    )


@family
def kandinsky22() -> Any:
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    tokenizer = clip_tokenizer()
    unet = diffusers.UNet2DConditionModel(
        in_channels=4,
        out_channels=8,
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        encoder_hid_dim=32,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=32,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    ).eval()
    prior = diffusers.PriorTransformer(num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1)
    torch.nn.init.ones_(prior.clip_std)
    vision = CLIPVisionConfig(
        hidden_size=32,
        projection_dim=32,
        intermediate_size=32,
        num_attention_heads=4,
        num_hidden_layers=1,
        patch_size=14,
    )
    return diffusers.KandinskyV22CombinedPipeline(
        unet=unet,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        movq=_movq(),
        prior_prior=prior.eval(),
        prior_image_encoder=CLIPVisionModelWithProjection(vision).eval(),
        prior_text_encoder=text_encoder(tokenizer, 32, projected=True),
        prior_tokenizer=tokenizer,
        prior_scheduler=diffusers.UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample"),
        prior_image_processor=CLIPImageProcessorPil(crop_size=224, size=224),
    )


@family
def deepfloyd_if() -> Any:
    t5 = t5_tokenizer()
    unet = diffusers.UNet2DConditionModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=[32, 64],
        down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
        in_channels=3,
        out_channels=6,
        cross_attention_dim=32,
        encoder_hid_dim=32,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
    ).eval()
    scheduler = diffusers.DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", thresholding=True, variance_type="learned_range"
    )
    return diffusers.IFPipeline(
        tokenizer=t5,
        text_encoder=t5_encoder(t5),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
