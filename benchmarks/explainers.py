"""What an explanation costs over the plain forward pass, beside the textbook ways and captum.

    python benchmarks/explainers.py [--models ViT-S/16 ViT-B/16] [--batch 8] [--rounds 15] [--device cpu] [--quick]
                                    [--json FILE]

Random weights at 224 pixels, float32. All sides are timed in turn, round by round; a ratio is the median over the
rounds of a side's time over that of the plain pass (SDPA, inference mode) of the same round: of CPU time, which other
processes on the machine change little, and of time on the clock, which is all there is on a GPU. Memory is the peak of
what torch holds, weights included, over that of the plain pass.

- ours: `explain`, from images to placed heatmaps; their pixels are prepared beforehand, as for the plain pass.
- textbook rollout: `output_attentions` of eager attention, and the product of whole matrices.
- textbook relevance: the same, with a backward pass over all parameters.
- textbook Grad-CAM: hooks at the same layer, and a backward pass over all parameters.
- captum: its LayerGradCam at the same layer.
- products: rollout's alone, over maps of 12 layers, as a row and as whole matrices.

Integrated gradients are left out: they are captum's own, at a forward and a backward pass a step.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from captum.attr import LayerGradCam
from PIL import Image
from reporting import machine, write_json
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification

from xaiaug import Explainer, TorchClassifier, load
from xaiaug.plugins.explainers._aggregation import rollout

MODELS = {
    "ViT-S/16": {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
    "ViT-B/16": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "tiny": {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 96, "num_hidden_layers": 2},
}
LABELS = tuple("abcdefghij")
REPEATS = 5  # of a product, so that both are timed with warm caches
TOKENS = (197, 577)  # of 224 and 384 pixels, in patches of 16
Side = Callable[[], Any]


class Bench:
    """The sides of one network."""

    def __init__(self, name: str, batch: int, device: torch.device) -> None:
        torch.manual_seed(0)
        config = ViTConfig(**MODELS[name], num_labels=len(LABELS))
        self.network = ViTForImageClassification(config).eval().to(device)
        self.eager = ViTForImageClassification._from_config(config, attn_implementation="eager").eval().to(device)
        self.eager.load_state_dict(self.network.state_dict())
        self.pixels = torch.randn(batch, 3, 224, 224, device=device)
        self.images = [Image.new("RGB", (224, 224)) for _ in range(batch)]
        self.targets = [index % len(LABELS) for index in range(batch)]
        self.layer = self.network.vit.layers[-1].layernorm_before
        place = {id(image): index for index, image in enumerate(self.images)}
        # Images are prepared one by one: each is handed its own pixels.
        prepared = lambda images: self.pixels[[place[id(image)] for image in images]]  # noqa: E731
        self.classifier = TorchClassifier(self.network, prepared, LABELS)

    def sides(self) -> dict[str, Side]:
        """What is timed, the plain pass first."""
        ours = ("attention-rollout", "attention-last", "attention-relevance", "grad-cam")
        return {
            "plain forward": self.plain,
            **{name: self._ours(load("explainer", name)) for name in ours},
            "textbook rollout": self.textbook_rollout,
            "textbook relevance": self.textbook_relevance,
            "textbook Grad-CAM": self.textbook_grad_cam,
            "captum LayerGradCam": self.captum_grad_cam,
        }

    def plain(self) -> Tensor:
        """The forward pass that all others are measured by."""
        with torch.inference_mode():
            return self.network(self.pixels).logits.cpu()

    def _ours(self, explainer: Explainer) -> Side:
        return lambda: explainer.explain(self.classifier, self.images, self.targets)

    def textbook_rollout(self) -> Tensor:
        """The product of whole matrices over kept attentions."""
        with torch.no_grad():
            maps = [layer.mean(1) for layer in self.eager(self.pixels, output_attentions=True).attentions]
            return full_product(maps)[:, 0, 1:].cpu()

    def textbook_relevance(self) -> Tensor:
        """The whole matrix R, after a backward pass over all parameters."""
        found = self.eager(self.pixels, output_attentions=True)
        for layer in found.attentions:
            layer.retain_grad()
        self._backward(self.eager, found.logits)
        identity = torch.eye(found.attentions[0].shape[-1], device=self.pixels.device)
        relevance = identity.expand(len(self.pixels), -1, -1)
        with torch.no_grad():
            for layer in found.attentions:
                relevance = relevance + (layer.grad * layer).clamp(min=0).mean(1) @ relevance
        return relevance[:, 0, 1:].cpu()

    def textbook_grad_cam(self) -> Tensor:
        """Features and gradients by hooks, after a backward pass over all parameters."""
        kept: list[Tensor] = []

        def keep(_: nn.Module, __: object, output: Tensor) -> None:
            output.retain_grad()
            kept.append(output)

        hook = self.layer.register_forward_hook(keep)
        self._backward(self.network, self.network(self.pixels).logits)
        hook.remove()
        features, gradients = kept[0].detach()[:, 1:], kept[0].grad[:, 1:]
        return (features * gradients.mean(1, keepdim=True)).sum(-1).relu().cpu()

    def _backward(self, network: nn.Module, logits: Tensor) -> None:
        logits[range(len(self.targets)), self.targets].sum().backward()
        network.zero_grad(set_to_none=True)

    def _ask(self, pixels: Tensor) -> Tensor:
        return self.network(pixels).logits

    def captum_grad_cam(self) -> Tensor:
        """captum's, which takes the tokens for channels: its time only, not its map, can be compared."""
        return LayerGradCam(self._ask, self.layer).attribute(self.pixels, self.targets).detach().cpu()


def full_product(maps: list[Tensor]) -> Tensor:
    """Rollout as whole matrices: b n n."""
    identity = torch.eye(maps[0].shape[-1], device=maps[0].device)
    product = identity.expand_as(maps[0])
    for layer in maps:
        flow = layer + identity
        product = flow / flow.sum(-1, keepdim=True) @ product
    return product


def products(batch: int, tokens: int, device: torch.device, layers: int = 12) -> dict[str, Side]:
    """The product alone, as a row and as whole matrices."""
    maps = [torch.rand(batch, tokens, tokens, device=device).softmax(-1) for _ in range(layers)]
    readout = torch.eye(tokens, device=device)[0]

    def row() -> None:
        for _ in range(REPEATS):
            rollout(maps, readout, sums_to_one=True)

    def full() -> None:
        for _ in range(REPEATS):
            full_product(maps)

    return {"row": row, "full": full}


def timed(sides: dict[str, Side], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """CPU seconds and seconds of each side in each round, in turn, after a round that does not count."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            start, busy = time.perf_counter(), time.process_time()
            side()
            if number:
                seconds[name].append((time.process_time() - busy, time.perf_counter() - start))
    return seconds


def compared(times: list[tuple[float, float]], base: list[tuple[float, float]]) -> dict[str, float]:
    """Median CPU time and time, and the medians of their ratios to the base's of the same round."""
    figures: dict[str, float] = {}
    for place, name in enumerate(("cpu", "clock")):
        own, plain = [each[place] for each in times], [each[place] for each in base]
        figures[f"{name} seconds"] = median(own)
        figures[f"{name} ratio"] = median(a / b for a, b in zip(own, plain, strict=True))
    return figures


def peak_bytes(side: Side, network: nn.Module, device: torch.device) -> int:
    """Most that torch holds at once while the side runs, the weights included."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        side()
        return torch.cuda.max_memory_allocated(device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        side()
    held = highest = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest + sum(tensor.nbytes for tensor in network.state_dict().values())


def measured(name: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The rows of a network's table, printed."""
    device = torch.device(options.device)
    bench = Bench(name, options.batch, device)
    sides = bench.sides()
    seconds = timed(sides, options.rounds)
    peaks = {side: peak_bytes(run, bench.network, device) for side, run in sides.items()}
    print(f"\n{f'{name}, batch {options.batch}':<24}{'CPU ms':>10}{'CPU':>8}{'clock':>8}{'memory':>8}")
    rows = {}
    for side, times in seconds.items():
        row = compared(times, seconds["plain forward"])
        rows[side] = row = {**row, "memory": peaks[side] / peaks["plain forward"], "peak bytes": peaks[side]}
        told = "".join(f"{row[column]:>7.2f}x" for column in ("cpu ratio", "clock ratio", "memory"))
        print(f"{side:<24}{row['cpu seconds'] * 1000:>10.1f}{told}")
    return rows


def main() -> None:
    """Prints a table for each network, and the two products."""
    options = _options()
    load_before = os.getloadavg()[0]
    print(
        f"load average {load_before:.1f}, {torch.get_num_threads()} threads, {options.device}; {machine()['summary']}"
    )
    figures: dict[str, Any] = {name: measured(name, options) for name in options.models}
    print()
    for batch, tokens in [(size, tokens) for tokens in TOKENS for size in (1, options.batch)]:
        seconds = timed(products(batch, tokens, torch.device(options.device)), options.rounds)
        row = figures[f"product, {tokens} tokens, batch {batch}"] = compared(seconds["full"], seconds["row"])
        faster = row["clock ratio" if options.device != "cpu" else "cpu ratio"]
        print(f"product of 12 maps, {tokens} tokens, batch {batch}: the row is {faster:.0f} times as fast")
    if options.json:
        asked = {"batch": options.batch, "rounds": options.rounds, "device": options.device}
        write_json(options.json, {**asked, "threads": torch.get_num_threads(), "load": load_before, "rows": figures})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the cost of explanations over a plain forward pass")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["ViT-S/16", "ViT-B/16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="a tiny network, three rounds")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    if options.quick:
        options.models, options.rounds = ["tiny"], 3
    return options


if __name__ == "__main__":
    main()
