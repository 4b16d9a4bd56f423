"""What diffusion synthesizers add to the pipeline they call, and what batches and memory presets cost.

    python benchmarks/synthesizers.py [--full | --small | --quick] [--json FILE]

Pipelines have the parts of Stable Diffusion XL with random weights, which cost as much as trained ones: small ones of
64 pixels on a CPU, or, with --full, the sizes of SDXL's published configuration on a GPU.

- overhead: `synthesize` against a direct call of the same pipeline, with the same prompts, seeds, steps and batch;
  rounds alternate, and the ratio is the median of the rounds' ratios, with their quartiles. On a CPU, CPU time is
  measured, since other processes share the clock.
- memory presets: images a second and, on a GPU, peak memory; compared with one prompt at a time under "fast".
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
from reporting import create_parser, describe_machine, write_json

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


SIZES = {  # denoising steps, rounds, batch sizes of the presets
    "usual": (10, 15, (1, 4)),
    "full": (30, 5, (1, 4, 8)),
    "small": (4, 5, (1, 4)),
    "quick": (1, 2, (1,)),
}
WEIGHTS_SEED = 0


def main() -> None:
    """Prints the tables and writes."""
    options = _parse_options()
    if options.full and not torch.cuda.is_available():
        sys.exit("--full needs a GPU: a full-size image takes hours on a CPU")
    device = "cuda" if options.full else "cpu"
    steps, rounds, batches = SIZES[next((name for name in SIZES if getattr(options, name, False)), "usual")]
    with tempfile.TemporaryDirectory() as folder:
        write_pipeline(Path(folder), FULL if options.full else SMALL, device)
        overhead = [measure_overhead(folder, device, batch, steps, rounds) for batch in (1, 4)]
        for row in overhead:
            sides = f"direct {row['direct']:7.3f} s  ours {row['ours']:7.3f} s"
            print(f"batch {row['batch']:>2}  {sides}  ×{row['ratio']:.4f}, {row['low']:.4f} to {row['high']:.4f}")
        presets = measure_presets(folder, device, steps, batches)
        for row in presets:
            memory = "" if row["gib"] is None else f"  {row['gib']:6.2f} GiB"
            pace = f"{row['images_per_s']:7.3f} images/s  ×{row['against_single']:.2f}{memory}"
            print(f"{row['memory']:<9} batch {row['batch']:>2}  {pace}")
    size = "full size, bfloat16" if options.full else "small"
    print(f"{steps} steps, {size}, {device}; {describe_machine()['summary']}")
    if options.json:
        figures = {"full": options.full, "steps": steps, "overhead": overhead, "presets": presets}
        write_json(options.json, figures, seeds=[WEIGHTS_SEED, *range(rounds)])


def measure_overhead(folder: str, device: str, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Ours against a direct call, both at one batch size, interleaved."""
    synthesizer = load_synthesizer(folder, device, steps=steps, batch_size=batch, exact=False)
    pipe = load_pipeline(folder, device)
    sides: dict[str, Callable[[int], Any]] = {
        "direct": lambda seed: call_pipeline(pipe, seed, batch, steps),
        "ours": lambda seed: synthesizer.synthesize(create_requests(seed, batch)),
    }
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call(0)
    for seed in range(rounds):
        for name in list(sides) if seed % 2 else reversed(list(sides)):
            taken[name].append(time_call(sides[name], seed))
    ratios = [ours / plain for ours, plain in zip(taken["ours"], taken["direct"], strict=True)]
    means = {name: statistics.median(values) for name, values in taken.items()}
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"batch": batch, **means, "ratio": middle, "low": low, "high": high, "rounds": rounds}


def measure_presets(folder: str, device: str, steps: int, batches: Sequence[int]) -> list[dict[str, Any]]:
    """Images a second and memory of each preset and batch size."""
    rows: list[dict[str, Any]] = []
    for memory in ("fast", "balanced", "tiny"):
        for batch in batches:
            settings = {"steps": steps, "batch_size": batch, "exact": False, "memory": memory}
            synthesizer = load_synthesizer(folder, device, **settings)
            synthesizer.synthesize(create_requests(0, batch))
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            pace = batch / time_call(
                lambda seed, drawn=synthesizer, many=batch: drawn.synthesize(create_requests(seed, many)), 1
            )
            gib = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
            rows.append({"memory": memory, "batch": batch, "images_per_s": pace, "gib": gib})
            del synthesizer
            if device == "cuda":
                torch.cuda.empty_cache()
    return [{**row, "against_single": row["images_per_s"] / rows[0]["images_per_s"]} for row in rows]


def load_synthesizer(folder: str, device: str, **settings: Any) -> Any:
    """The synthesizer sdxl with these weights."""
    synthesizer = registry().create("synthesizer", "sdxl", {"weights": folder, **settings})
    synthesizer.prepare(Context(device=device))
    return synthesizer


def load_pipeline(folder: str, device: str) -> Any:
    """The pipeline as its documentation says to load it."""
    from diffusers import StableDiffusionXLPipeline

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, dtype=dtype, use_safetensors=True, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def call_pipeline(pipe: Any, seed: int, batch: int, steps: int) -> Any:
    """Images from a direct call."""
    generators = [torch.Generator("cpu").manual_seed(batch * seed + number) for number in range(batch)]
    prompts = [PROMPT.format(number) for number in range(batch)]
    return pipe(prompts, num_inference_steps=steps, guidance_scale=5.0, generator=generators).images


def create_requests(seed: int, batch: int) -> list[SynthesisRequest]:
    """The same prompts and seeds, as a loop requests them."""
    return [
        SynthesisRequest("case", number, PROMPT.format(number), "cat", batch * seed + number) for number in range(batch)
    ]


def time_call(call: Callable[[int], Any], seed: int) -> float:
    """Seconds of a call, until the device is done: wall time on a GPU, else CPU time."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    begun = clock()
    call(seed)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - begun


def write_pipeline(folder: Path, sizes: dict[str, dict[str, Any]], device: str) -> None:
    """A Stable Diffusion XL pipeline with random weights, saved."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer, dtype = create_tokenizer(), torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(WEIGHTS_SEED)
    with torch.device(device):
        parts = {
            "vae": create_autoencoder(sizes["vae"]),
            "unet": create_denoiser(sizes),
            "text_encoder": create_text_encoder(sizes["text"], tokenizer, projected=False),
            "text_encoder_2": create_text_encoder(sizes["text_2"], tokenizer, projected=True),
        }
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    StableDiffusionXLPipeline(
        **{name: part.to(dtype).eval() for name, part in parts.items()},
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=EulerDiscreteScheduler(**betas, steps_offset=1),
        add_watermarker=False,
    ).save_pretrained(folder)


def create_tokenizer() -> Any:
    """A CLIP tokenizer in which every letter is a token."""
    from transformers import CLIPTokenizer

    letters = list(string.ascii_lowercase + string.digits + ".,")
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=[], model_max_length=77)


def create_text_encoder(sizes: dict[str, int], tokenizer: Any, projected: bool) -> Any:
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


def create_autoencoder(sizes: dict[str, Any]) -> Any:
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


def create_denoiser(sizes: dict[str, dict[str, Any]]) -> Any:
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


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="one step, two rounds", small="fewer steps and rounds: a minute")
    parser.add_argument("--full", action="store_true", help="SDXL's real sizes; needs a GPU and 8 GB of disk")
    return parser.parse_args()


if __name__ == "__main__":
    main()
