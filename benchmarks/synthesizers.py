"""What synthesizers by diffusion add to the pipeline they call, and what batches and memory presets cost.

    python benchmarks/synthesizers.py [--full] [--quick] [--json FILE]

Pipelines have the parts of Stable Diffusion XL with random weights, which cost as much as trained ones: small ones of
64 pixels on a processor, or with --full the real sizes from SDXL's published configuration, on a GPU.

- overhead: `synthesize` against calling the same pipeline directly, with the same prompts, seeds, steps and batch;
  rounds alternate, and the ratio is the median of the rounds' ratios, with their quartiles. On a processor its own
  time is taken, not that of the clock, which other processes share.
- memory presets: images a second and, on a GPU, the most memory taken; against one prompt at a time with "fast".
"""

from __future__ import annotations

import argparse
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from reporting import machine, write_json

from xaiaug import Context, SynthesisRequest
from xaiaug.registry import registry

PROMPT = "a photo of a ginger cat lying on green grass behind a wooden fence in the evening, number {}"
SMALL = {
    "unet": {"block_out_channels": (32, 64), "heads": (2, 4), "depth": (1, 2), "time": 8, "sample": 32},
    "vae": {"block_out_channels": (16, 32), "groups": 8, "side": 64},
    "text": {"width": 32, "layers": 2, "heads": 2, "vocabulary": 256},
    "text_2": {"width": 48, "layers": 2, "heads": 2, "vocabulary": 256},
}
FULL = {
    "unet": {
        "block_out_channels": (320, 640, 1280),
        "heads": (5, 10, 20),
        "depth": (1, 2, 10),
        "time": 256,
        "sample": 128,
    },
    "vae": {"block_out_channels": (128, 256, 512, 512), "groups": 32, "side": 1024},
    "text": {"width": 768, "layers": 12, "heads": 12, "vocabulary": 49408},
    "text_2": {"width": 1280, "layers": 32, "heads": 20, "vocabulary": 49408},
}


def main() -> None:
    """Prints the tables."""
    given = options()
    if given.full and not torch.cuda.is_available():
        sys.exit("--full needs a GPU: a full-size image takes hours on a processor")
    device, steps = ("cuda", 30) if given.full else ("cpu", 4 if given.quick else 10)
    with tempfile.TemporaryDirectory() as folder:
        write_pipeline(Path(folder), FULL if given.full else SMALL, device)
        rounds = 5 if given.quick or given.full else 15
        overhead = [overhead_row(folder, device, batch, steps, rounds) for batch in (1, 4)]
        for row in overhead:
            sides = f"direct {row['direct']:7.3f} s  ours {row['ours']:7.3f} s"
            print(f"batch {row['batch']:>2}  {sides}  ×{row['ratio']:.4f}, {row['low']:.4f} to {row['high']:.4f}")
        presets = preset_rows(folder, device, steps, (1, 4, 8) if given.full else (1, 4))
        for row in presets:
            memory = "" if row["gib"] is None else f"  {row['gib']:6.2f} GiB"
            told = f"{row['images_per_s']:7.3f} images/s  ×{row['against_single']:.2f}{memory}"
            print(f"{row['memory']:<9} batch {row['batch']:>2}  {told}")
    print(f"{steps} steps, {'full size, bfloat16' if given.full else 'small'}, {device}; {machine()['summary']}")
    if given.json:
        write_json(given.json, {"full": given.full, "steps": steps, "overhead": overhead, "presets": presets})


def overhead_row(folder: str, device: str, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Ours against a direct call, both at one batch size, interleaved."""
    synthesizer = ready(folder, device, steps=steps, batch_size=batch, exact=False)
    pipe = pipeline(folder, device)
    sides: dict[str, Callable[[int], Any]] = {
        "direct": lambda seed: direct(pipe, seed, batch, steps),
        "ours": lambda seed: synthesizer.synthesize(requests(seed, batch)),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call(0)
    for seed in range(rounds):
        for name in list(sides) if seed % 2 else reversed(list(sides)):
            taken[name].append(timed(sides[name], seed))
    ratios = [ours / plain for ours, plain in zip(taken["ours"], taken["direct"], strict=True)]
    means = {name: statistics.median(values) for name, values in taken.items()}
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"batch": batch, **means, "ratio": middle, "low": low, "high": high, "rounds": rounds}


def preset_rows(folder: str, device: str, steps: int, batches: Sequence[int]) -> list[dict[str, Any]]:
    """Images a second and memory of each preset and batch size."""
    rows: list[dict[str, Any]] = []
    for memory in ("fast", "balanced", "tiny"):
        for batch in batches:
            synthesizer = ready(folder, device, steps=steps, batch_size=batch, exact=False, memory=memory)
            synthesizer.synthesize(requests(0, batch))
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            pace = batch / timed(lambda seed, drawn=synthesizer, many=batch: drawn.synthesize(requests(seed, many)), 1)
            gib = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
            rows.append({"memory": memory, "batch": batch, "images_per_s": pace, "gib": gib})
            del synthesizer
            if device == "cuda":
                torch.cuda.empty_cache()
    return [{**row, "against_single": row["images_per_s"] / rows[0]["images_per_s"]} for row in rows]


def ready(folder: str, device: str, **settings: Any) -> Any:
    """The synthesizer sdxl with these weights."""
    synthesizer = registry().create("synthesizer", "sdxl", {"weights": folder, **settings})
    synthesizer.prepare(Context(device=device))
    return synthesizer


def pipeline(folder: str, device: str) -> Any:
    """The pipeline as its documentation says to load it."""
    from diffusers import StableDiffusionXLPipeline

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, dtype=dtype, use_safetensors=True, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def direct(pipe: Any, seed: int, batch: int, steps: int) -> Any:
    """Images by a direct call."""
    generators = [torch.Generator("cpu").manual_seed(batch * seed + number) for number in range(batch)]
    prompts = [PROMPT.format(number) for number in range(batch)]
    return pipe(prompts, num_inference_steps=steps, guidance_scale=5.0, generator=generators).images


def requests(seed: int, batch: int) -> list[SynthesisRequest]:
    """The same prompts and seeds, as a loop asks for them."""
    asked = [(PROMPT.format(number), batch * seed + number) for number in range(batch)]
    return [SynthesisRequest("case", number, prompt, "cat", own) for number, (prompt, own) in enumerate(asked)]


def timed(call: Callable[[int], Any], seed: int) -> float:
    """Seconds a call takes, until the device has done its work."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    begun = clock()
    call(seed)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - begun


def write_pipeline(folder: Path, sizes: dict[str, dict[str, Any]], device: str) -> None:
    """A Stable Diffusion XL pipeline with random weights, saved."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer, dtype = letters(), torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        parts = {
            "vae": autoencoder(sizes["vae"]),
            "unet": denoiser(sizes),
            "text_encoder": encoder(sizes["text"], tokenizer, projected=False),
            "text_encoder_2": encoder(sizes["text_2"], tokenizer, projected=True),
        }
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    StableDiffusionXLPipeline(
        **{name: part.to(dtype).eval() for name, part in parts.items()},
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=EulerDiscreteScheduler(**betas, steps_offset=1),
        add_watermarker=False,
    ).save_pretrained(folder)


def letters() -> Any:
    """A CLIP tokenizer in which every letter is a token."""
    from transformers import CLIPTokenizer

    shown = list(string.ascii_lowercase + string.digits + ".,")
    symbols = [*shown, *(f"{one}</w>" for one in shown), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={one: place for place, one in enumerate(symbols)}, merges=[], model_max_length=77)


def encoder(sizes: dict[str, int], tokenizer: Any, projected: bool) -> Any:
    """A CLIP text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=sizes["vocabulary"],
        hidden_size=sizes["width"],
        intermediate_size=4 * sizes["width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        projection_dim=sizes["width"],
        hidden_act="gelu" if projected else "quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def autoencoder(sizes: dict[str, Any]) -> Any:
    """An image autoencoder."""
    from diffusers import AutoencoderKL

    levels = len(sizes["block_out_channels"])
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=sizes["block_out_channels"],
        layers_per_block=2,
        norm_num_groups=sizes["groups"],
        sample_size=sizes["side"],
        scaling_factor=0.13025,
        force_upcast=True,
    )


def denoiser(sizes: dict[str, dict[str, Any]]) -> Any:
    """A UNet."""
    from diffusers import UNet2DConditionModel

    unet, pooled = sizes["unet"], sizes["text_2"]["width"]
    crossed = len(unet["block_out_channels"]) - 1
    return UNet2DConditionModel(
        sample_size=unet["sample"],
        block_out_channels=unet["block_out_channels"],
        down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * crossed,
        up_block_types=["CrossAttnUpBlock2D"] * crossed + ["UpBlock2D"],
        transformer_layers_per_block=unet["depth"],
        attention_head_dim=unet["heads"],
        cross_attention_dim=sizes["text"]["width"] + pooled,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=unet["time"],
        projection_class_embeddings_input_dim=pooled + 6 * unet["time"],
    )


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="synthesizers by diffusion against the pipelines they call")
    parser.add_argument("--full", action="store_true", help="SDXL's real sizes; needs a GPU and 8 GB of disk")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
