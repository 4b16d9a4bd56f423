"""What an explanation costs over the plain forward pass, next to textbook implementations and captum.

    python benchmarks/explainers.py [--models ViT-S/16 ViT-B/16] [--sizes 224x8 518x1] [--rounds 15] [--seconds 300]
                                    [--device cpu] [--quick] [--json FILE]

Random weights, float32; --sizes are pixels and batches. The methods take turns, round by round; a ratio is the median
over the rounds of a method's time over the plain pass (SDPA, inference mode) of the same round, in CPU time, which
other processes on the machine change little, and in wall time, which is all there is on a GPU. A table ends after
--rounds, or after --seconds and two rounds. Memory is the peak of what torch holds, weights included, over that of the
plain pass.

- ours: `explain`, from images to heatmaps at image size; pixels are prepared beforehand, as for the plain pass.
- textbook rollout: `output_attentions` of eager attention, and the product of full matrices.
- textbook relevance: the same, with a backward pass over all parameters.
- textbook Grad-CAM: hooks at the same layer, and a backward pass over all parameters.
- captum: its LayerGradCam at the same layer.
- pytorch-grad-cam is not run: it imports torchvision, which has no build for the CPU builds of torch used here.
- products: rollout's product alone, over maps of 12 layers, as a row and as full matrices.

Integrated gradients are left out: they are captum's own, at one forward and one backward pass a step.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from captum.attr import LayerGradCam
from PIL import Image
from reporting import create_parser, describe_machine, summarize, write_json
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification

from xaiaug import Explainer, TorchClassifier, load
from xaiaug.plugins.explainers._aggregation import rollout

MODELS = {
    "ViT-S/16": {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
    "ViT-B/16": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "ViT-L/16": {
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
    },
    "tiny": {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 96, "num_hidden_layers": 2},
}
LABELS = tuple("abcdefghij")
REPEATS = 5  # of a product, so that both are timed with warm caches
PATCH = 16
NOT_RUN = {"pytorch-grad-cam": "imports torchvision, which has no build for the CPU builds of torch used here"}
SEED = 0
TOKENS = (197, 577)  # of 224 and 384 pixels, in patches of 16
QUICK_ROUNDS, QUICK_BATCH = 1, 2
LEAST_ROUNDS = 2
Method = Callable[[], Any]


class Bench:
    """The methods on one network."""

    def __init__(self, name: str, batch: int, side: int, device: torch.device) -> None:
        torch.manual_seed(SEED)
        side -= side % PATCH
        config = ViTConfig(**MODELS[name], image_size=side, patch_size=PATCH, num_labels=len(LABELS))
        self.network = ViTForImageClassification(config).eval().to(device)
        self.eager = ViTForImageClassification._from_config(config, attn_implementation="eager").eval().to(device)
        self.eager.load_state_dict(self.network.state_dict())
        self.pixels = torch.randn(batch, 3, side, side, device=device)
        self.images = [Image.new("RGB", (side, side)) for _ in range(batch)]
        self.targets = [index % len(LABELS) for index in range(batch)]
        self.layer = self.network.vit.layers[-1].layernorm_before
        place = {id(image): index for index, image in enumerate(self.images)}

        def preprocess(images: list[Image.Image]) -> Tensor:
            return self.pixels[[place[id(image)] for image in images]]  # each image is given its own pixels

        self.classifier = TorchClassifier(self.network, preprocess, LABELS)

    def methods(self) -> dict[str, Method]:
        """What is timed, the plain pass first."""
        ours = ("attention-rollout", "attention-last", "attention-relevance", "grad-cam")
        return {
            "plain forward": self.run_plain,
            **{name: self._ours(load("explainer", name)) for name in ours},
            "textbook rollout": self.textbook_rollout,
            "textbook relevance": self.textbook_relevance,
            "textbook Grad-CAM": self.textbook_grad_cam,
            "captum LayerGradCam": self.captum_grad_cam,
        }

    def run_plain(self) -> Tensor:
        """The forward pass that all others are compared with."""
        with torch.inference_mode():
            return self.network(self.pixels).logits.cpu()

    def _ours(self, explainer: Explainer) -> Method:
        explainer.batch_size = len(self.images)
        return lambda: explainer.explain(self.classifier, self.images, self.targets)

    def textbook_rollout(self) -> Tensor:
        """The product of full matrices over recorded attentions."""
        with torch.no_grad():
            maps = [layer.mean(1) for layer in self.eager(self.pixels, output_attentions=True).attentions]
            return full_product(maps)[:, 0, 1:].cpu()

    def textbook_relevance(self) -> Tensor:
        """The full matrix R, after a backward pass over all parameters."""
        output = self.eager(self.pixels, output_attentions=True)
        for layer in output.attentions:
            layer.retain_grad()
        self._backward(self.eager, output.logits)
        identity = torch.eye(output.attentions[0].shape[-1], device=self.pixels.device)
        relevance = identity.expand(len(self.pixels), -1, -1)
        with torch.no_grad():
            for layer in output.attentions:
                relevance = relevance + (layer.grad * layer).clamp(min=0).mean(1) @ relevance
        return relevance[:, 0, 1:].cpu()

    def textbook_grad_cam(self) -> Tensor:
        """Features and gradients by hooks, after a backward pass over all parameters."""
        recorded: list[Tensor] = []

        def record(_: nn.Module, __: object, output: Tensor) -> None:
            output.retain_grad()
            recorded.append(output)

        hook = self.layer.register_forward_hook(record)
        self._backward(self.network, self.network(self.pixels).logits)
        hook.remove()
        features, gradients = recorded[0].detach()[:, 1:], recorded[0].grad[:, 1:]
        return (features * gradients.mean(1, keepdim=True)).sum(-1).relu().cpu()

    def _backward(self, network: nn.Module, logits: Tensor) -> None:
        logits[range(len(self.targets)), self.targets].sum().backward()
        network.zero_grad(set_to_none=True)

    def _logits(self, pixels: Tensor) -> Tensor:
        return self.network(pixels).logits

    def captum_grad_cam(self) -> Tensor:
        """captum's, which takes tokens for channels, so only its time can be compared, not its map."""
        return LayerGradCam(self._logits, self.layer).attribute(self.pixels, self.targets).detach().cpu()


def full_product(maps: list[Tensor]) -> Tensor:
    """Rollout by full matrices: b n n."""
    identity = torch.eye(maps[0].shape[-1], device=maps[0].device)
    product = identity.expand_as(maps[0])
    for layer in maps:
        flow = layer + identity
        product = flow / flow.sum(-1, keepdim=True) @ product
    return product


def rollout_products(batch: int, tokens: int, device: torch.device, layers: int = 12) -> dict[str, Method]:
    """Rollout's product alone, as a row and as full matrices."""
    maps = [torch.rand(batch, tokens, tokens, device=device).softmax(-1) for _ in range(layers)]
    readout = torch.eye(tokens, device=device)[0]

    def row() -> None:
        for _ in range(REPEATS):
            rollout(maps, readout, sums_to_one=True)

    def full() -> None:
        for _ in range(REPEATS):
            full_product(maps)

    return {"row": row, "full": full}


def time_in_turn(
    methods: dict[str, Method], rounds: int, seconds: float = math.inf
) -> dict[str, list[tuple[float, float]]]:
    """CPU and wall seconds of each method in each round, in turn, after one round that does not count.

    Ends after `rounds`, or after `seconds` and two rounds.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    began = time.perf_counter()
    for number in range(rounds + 1):
        if number > LEAST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for name, method in methods.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            method()
            if number:
                times[name].append((time.process_time() - cpu_start, time.perf_counter() - start))
    return times


def compare_times(times: list[tuple[float, float]], base: list[tuple[float, float]]) -> dict[str, dict[str, float]]:
    """CPU and wall time, and their ratios to the base's of the same round: medians with quartiles."""
    figures: dict[str, dict[str, float]] = {}
    for place, name in enumerate(("cpu", "clock")):
        own, plain = [each[place] for each in times], [each[place] for each in base]
        figures[f"{name} seconds"] = summarize(own)
        figures[f"{name} ratio"] = summarize([a / b for a, b in zip(own, plain, strict=True)])
    return figures


def peak_bytes(method: Method, network: nn.Module, device: torch.device) -> int:
    """Peak of what torch holds while the method runs, weights included."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        method()
        return torch.cuda.max_memory_allocated(device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        method()
    held = highest = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest + sum(tensor.nbytes for tensor in network.state_dict().values())


def print_table(name: str, batch: int, side: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Prints a network's table; returns its rows."""
    device = torch.device(options.device)
    bench = Bench(name, batch, side, device)
    methods = bench.methods()
    seconds = time_in_turn(methods, options.rounds, options.seconds)
    peaks = {name: peak_bytes(method, bench.network, device) for name, method in methods.items()}
    print(f"\n{f'{name}, {side} px, batch {batch}':<28}{'images/s':>10}{'CPU':>8}{'clock':>8}{'memory':>8}")
    rows: dict[str, dict[str, Any]] = {}
    for method, times in seconds.items():
        row: dict[str, Any] = compare_times(times, seconds["plain forward"])
        row |= {"memory": peaks[method] / peaks["plain forward"], "peak bytes": peaks[method]}
        row["images a second"] = batch / row["clock seconds" if device.type != "cpu" else "cpu seconds"]["median"]
        rows[method] = row
        ratios = "".join(f"{row[column]['median']:>7.2f}x" for column in ("cpu ratio", "clock ratio"))
        print(f"{method:<28}{row['images a second']:>10.1f}{ratios}{row['memory']:>7.2f}x")
    return rows


def main() -> None:
    """Prints a table for each network, size and batch, and the two products."""
    options = _parse_options()
    load_average, threads = os.getloadavg()[0], torch.get_num_threads()
    print(f"load {load_average:.1f}, {threads} threads, {options.device}; {describe_machine()['summary']}")
    tables = [
        {"model": name, "pixels": side, "batch": batch, "rows": print_table(name, batch, side, options)}
        for name in options.models
        for side, batch in options.sizes
    ]
    print()
    products = []
    for batch, tokens in [(batch, tokens) for tokens in options.tokens for batch in (1, 8)]:
        seconds = time_in_turn(rollout_products(batch, tokens, torch.device(options.device)), options.rounds)
        row = compare_times(seconds["full"], seconds["row"])
        products.append({"tokens": tokens, "batch": batch, **row})
        faster = row["clock ratio" if options.device != "cpu" else "cpu ratio"]["median"]
        print(f"product of 12 maps, {tokens} tokens, batch {batch}: the row is {faster:.0f} times as fast")
    for name, reason in NOT_RUN.items():
        print(f"{name}: not run, {reason}")
    if options.json:
        setup = {"device": options.device, "threads": threads, "load": load_average, "not run": NOT_RUN}
        write_json(options.json, {**setup, "tables": tables, "products": products}, seeds=[SEED])


def _parse_size(text: str) -> tuple[int, int]:
    side, _, batch = text.partition("x")
    return int(side), int(batch)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick="a tiny network, one round")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["ViT-S/16", "ViT-B/16"])
    parser.add_argument(
        "--sizes", type=_parse_size, nargs="+", default=[(224, 8)], help="side of the images, cut to patches, and batch"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=300, help="for each table, once it has two rounds")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.tokens = TOKENS
    if options.quick:
        options.models, options.rounds, options.sizes = ["tiny"], QUICK_ROUNDS, [(224, QUICK_BATCH)]
        options.tokens = TOKENS[:1]
    return options


if __name__ == "__main__":
    main()
