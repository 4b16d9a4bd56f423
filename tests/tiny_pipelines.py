"""Real diffusers pipelines with tiny random weights, saved as folders."""

from __future__ import annotations

import gzip
import json
import string
from pathlib import Path
from typing import Any

import torch

VOCABULARY = Path(__file__).resolve().parents[2] / "shared" / "data" / "clip-bpe" / "bpe_simple_vocab_16e6.txt.gz"
START, END = "<|startoftext|>", "<|endoftext|>"
MODEL_CARD = "---\nlicense: openrail++\n---\nTiny random weights.\n"


def clip_tokenizer(real: bool = False) -> Any:
    """A CLIP tokenizer that reads 77 tokens; a made-up vocabulary in which every letter is a token, or the real one."""
    from transformers import CLIPTokenizer

    vocabulary, merges = _real() if real else _letters()
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _letters() -> tuple[dict[str, int], list[tuple[str, str]]]:
    symbols = [*string.printable.strip(), *(f"{one}</w>" for one in string.printable.strip()), START, END]
    return {symbol: index for index, symbol in enumerate(symbols)}, []


def _real() -> tuple[dict[str, int], list[tuple[str, str]]]:
    lines = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    # Bytes that can be printed stand for themselves and come first, the others follow from code point 256 on.
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in (*shown, *range(256, 256 + 256 - len(shown)))]
    symbols = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    return {symbol: index for index, symbol in enumerate(symbols)}, merges


def t5_tokenizer() -> Any:
    """A T5 tokenizer that reads 512 tokens, in which every letter is a token."""
    from transformers import T5Tokenizer

    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((one, -3.0) for one in string.printable)]
    return T5Tokenizer(vocab=letters, extra_ids=0, model_max_length=512)


def t5_encoder(tokenizer: Any) -> Any:
    """A T5 encoder of one layer, 32 wide."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval()


def text_encoder(tokenizer: Any, width: int, projected: bool) -> Any:
    """A CLIP text encoder of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=width,
        hidden_act="gelu" if projected else "quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def autoencoder(channels: int = 4, shift: float | None = None) -> Any:
    """An autoencoder that halves the sides once."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D", "DownEncoderBlock2D"],
        up_block_types=["UpDecoderBlock2D", "UpDecoderBlock2D"],
        block_out_channels=[8, 16],
        norm_num_groups=8,
        latent_channels=channels,
        sample_size=64,
        scaling_factor=0.5,
        shift_factor=shift,
    ).eval()
    # A trained encoder is sure of what it sees; an untrained one would leave half of an image to chance.
    torch.nn.init.zeros_(vae.quant_conv.weight[channels:])
    torch.nn.init.constant_(vae.quant_conv.bias[channels:], -20.0)
    return vae


def denoising_unet(cross: int, pooled: int | None, channels: int = 4, times: int = 6) -> Any:
    """A UNet of two levels; with pooled embeddings as in SDXL."""
    from diffusers import UNet2DConditionModel

    xl = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": (pooled or 0) + times * 8,
        "transformer_layers_per_block": (1, 1),
        "use_linear_projection": True,
    }
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        cross_attention_dim=cross,
        norm_num_groups=8,
        **(xl if pooled else {}),
    ).eval()


def _euler() -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )


def sdxl(folder: Path, real: bool = False, channels: int = 4) -> Path:
    """An SDXL pipeline of 64 pixels; with 9 channels as one made for inpainting."""
    from diffusers import StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline

    torch.manual_seed(7)
    tokenizer = clip_tokenizer(real)
    kind = StableDiffusionXLPipeline if channels == 4 else StableDiffusionXLInpaintPipeline
    kind(
        vae=autoencoder(),
        text_encoder=text_encoder(tokenizer, 16, projected=False),
        text_encoder_2=text_encoder(tokenizer, 24, projected=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=denoising_unet(16 + 24, 24, channels),
        scheduler=_euler(),
        add_watermarker=False,
    ).save_pretrained(folder)
    (folder / "README.md").write_text(MODEL_CARD, encoding="utf-8")
    return folder


def refiner(folder: Path) -> Path:
    """An SDXL refiner of 64 pixels: one text encoder, and a score for beauty in place of the target size."""
    from diffusers import StableDiffusionXLImg2ImgPipeline

    torch.manual_seed(8)
    tokenizer = clip_tokenizer()
    pipe = StableDiffusionXLImg2ImgPipeline(
        vae=autoencoder(),
        text_encoder=None,
        text_encoder_2=text_encoder(tokenizer, 24, projected=True),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=denoising_unet(24, 24, times=5),
        scheduler=_euler(),
        requires_aesthetics_score=True,
        add_watermarker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def stable_diffusion(folder: Path) -> Path:
    """A Stable Diffusion 1 pipeline of 64 pixels, without a safety checker."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    torch.manual_seed(9)
    tokenizer = clip_tokenizer()
    StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(tokenizer, 16, projected=False),
        tokenizer=tokenizer,
        unet=denoising_unet(16, None),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def stable_diffusion_3(folder: Path) -> Path:
    """A Stable Diffusion 3 pipeline of 64 pixels: a transformer, two CLIP encoders and a T5 that reads further."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    torch.manual_seed(10)
    tokenizer, reader = clip_tokenizer(), t5_tokenizer()
    StableDiffusion3Pipeline(
        vae=autoencoder(16, shift=0.1),
        text_encoder=text_encoder(tokenizer, 16, projected=True),
        text_encoder_2=text_encoder(tokenizer, 16, projected=True),
        text_encoder_3=t5_encoder(reader),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=reader,
        transformer=SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=32,
            caption_projection_dim=32,
            pos_embed_max_size=32,
            pooled_projection_dim=32,
            out_channels=16,
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder)
    return folder


def controlnet(folder: Path, pipeline: Path) -> Path:
    """A ControlNet for the UNet of a pipeline, whose control is not yet learned but not zero either."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(11)
    unet = UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet", use_safetensors=True)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    # A fresh ControlNet ends in zeros and would change nothing.
    for block in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=3.0)
    torch.nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=3.0)
    net.save_pretrained(folder)
    return folder


def lora(file: Path, pipeline: Path, strength: float = 1.0) -> Path:
    """LoRA weights for the attention of a pipeline's UNet or transformer."""
    import diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(12)
    index = json.loads((pipeline / "model_index.json").read_text(encoding="utf-8"))
    part = "unet" if "unet" in index else "transformer"
    kind = getattr(diffusers, index[part][1])
    denoiser = kind.from_pretrained(pipeline, subfolder=part, use_safetensors=True)
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    state = {name: strength * value for name, value in get_peft_model_state_dict(denoiser).items()}
    save = getattr(diffusers, index["_class_name"]).save_lora_weights
    save(file.parent, **{f"{part}_lora_layers": state}, weight_name=file.name)
    return file


def ip_adapter(folder: Path, pipeline: Path) -> Path:
    """An IP-Adapter for the UNet of a Stable Diffusion 1 pipeline, with its image encoder."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import IPAdapterAttnProcessor
    from diffusers.models.embeddings import ImageProjection
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(14)
    unet = UNet2DConditionModel.from_pretrained(pipeline, subfolder="unet", use_safetensors=True)
    cross = unet.config.cross_attention_dim
    project = ImageProjection(cross_attention_dim=cross, image_embed_dim=cross, num_image_text_embeds=4)
    tensors = {f"image_proj.norm.{name}": value for name, value in project.norm.state_dict().items()}
    tensors |= {f"image_proj.proj.{name}": value for name, value in project.image_embeds.state_dict().items()}
    number = 1
    for name in unet.attn_processors:
        if not name.endswith("attn2.processor"):
            continue
        width = 16 if name.startswith(("mid", "down_blocks.1", "up_blocks.0")) else 8
        adapter = IPAdapterAttnProcessor(hidden_size=width, cross_attention_dim=cross)
        for part in ("k", "v"):
            tensors[f"ip_adapter.{number}.to_{part}_ip.weight"] = adapter.state_dict()[f"to_{part}_ip.0.weight"] * 20
        number += 2
    vision = CLIPVisionConfig(
        hidden_size=32,
        projection_dim=cross,
        intermediate_size=32,
        num_attention_heads=4,
        num_hidden_layers=1,
        patch_size=32,
        initializer_range=0.5,
    )
    CLIPVisionModelWithProjection(vision).eval().save_pretrained(folder / "image_encoder")
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "adapter.safetensors")
    return folder


def swapped_unet(file: Path, pipeline: Path) -> Path:
    """Another UNet for an SDXL pipeline, as one file of weights."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    config = json.loads((pipeline / "unet" / "config.json").read_text(encoding="utf-8"))
    torch.manual_seed(13)
    save_file(UNet2DConditionModel.from_config(config).state_dict(), file)
    return file
