"""Pre-trains the small ViT of the drawn world on animals other than cats and dogs.

    python benchmarks/pretrain_petworld.py [--out petworld-vit] [--steps 2600] [--seed 0] [--quick] [--json FILE]

The ViT learns to name the animal. Auxiliary heads, discarded afterwards, also learn which part of which kind each patch
shows, as a denser signal of shape, and the coat, the backdrop and the pose, so that the model knows colours and places
as well as shapes, as one pre-trained on photographs would. The contribution of each head was not measured. The
checkpoint of the library was written with `--out xaiaug/petworld/vit`.
"""

from __future__ import annotations

import copy
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from reporting import create_parser, describe_machine, write_json
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from xaiaug.petworld.anatomy import ANIMALS, OTHERS
from xaiaug.petworld.bodies import POSES
from xaiaug.petworld.drawing import PARTS, draw, draw_parts
from xaiaug.petworld.palette import BACKDROPS, COATS
from xaiaug.petworld.sampling import sample_other_scenes

SIDE, PATCH = 64, 8
ATTRIBUTES = {"animal": OTHERS, "coat": tuple(COATS), "backdrop": tuple(BACKDROPS), "pose": POSES}
WEIGHTS = {"animal": 1.0, "coat": 1.0, "backdrop": 1.0, "pose": 0.3}
KINDS = {"ear": "ears", "muzzle": "muzzle", "tail": "tail"}


@dataclass(frozen=True)
class Settings:
    """Length and speed of the training."""

    drawings: int = 16_000
    held_out: int = 1_200
    steps: int = 2_600
    batch_size: int = 48
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Drawings:
    """Images n 3 h w uint8, part classes n h w uint8, and animal, coat, backdrop and pose by number: n 4."""

    images: Tensor
    parts: Tensor
    attributes: Tensor


def part_classes() -> tuple[list[str], np.ndarray]:
    """Names of the part classes, and a table from animal and part number to class."""
    names = ["backdrop"]
    table = np.zeros((len(OTHERS), len(PARTS) + 1), dtype=np.uint8)
    for i, animal in enumerate(OTHERS):
        for j, part in enumerate(PARTS, start=1):
            name = f"{getattr(ANIMALS[animal], KINDS[part])} {part}" if part in KINDS else part
            if name not in names:
                names.append(name)
            table[i, j] = names.index(name)
    return names, table


def create_drawings(count: int, seed: int, table: np.ndarray) -> Drawings:
    """`count` drawings of the other animals."""
    scenes = sample_other_scenes(count, seed=seed)
    images = np.stack([np.asarray(draw(scene, SIDE)) for scene in scenes])
    animals = np.array([OTHERS.index(scene.animal) for scene in scenes])
    classes = np.stack([table[animal][draw_parts(scene, SIDE)] for animal, scene in zip(animals, scenes, strict=True)])
    attributes = torch.tensor(
        [[names.index(getattr(scene, key)) for key, names in ATTRIBUTES.items()] for scene in scenes]
    )
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return Drawings(pixels, torch.from_numpy(classes), attributes)


def augment(images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Images in -1..1 and their part classes, cropped and flipped in the same way."""
    n = len(images)
    zoom, flip = torch.empty(n).uniform_(0.72, 1.0), torch.randint(0, 2, (n,)) * 2 - 1
    shift = torch.empty(n, 2).uniform_(-1, 1) * (1 - zoom)[:, None]
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * flip, zoom, shift
    grid = functional.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False)
    pixels = functional.grid_sample(images.float() / 127.5 - 1, grid, padding_mode="reflection", align_corners=False)
    labels = functional.grid_sample(
        classes[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    return pixels, labels[:, 0].long()


class Learner(nn.Module):
    """The ViT with its auxiliary heads: one for the parts in each patch, the others for the drawing as a whole."""

    def __init__(self, part_count: int) -> None:
        super().__init__()
        config = ViTConfig(
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=384,
            image_size=SIDE,
            patch_size=PATCH,
            initializer_range=0.06,
            id2label=dict(enumerate(OTHERS)),
            label2id={name: i for i, name in enumerate(OTHERS)},
        )
        self.vit = ViTForImageClassification(config)
        self.parts = nn.Linear(config.hidden_size, part_count)
        self.others = nn.ModuleList(
            nn.Linear(config.hidden_size, len(names)) for names in list(ATTRIBUTES.values())[1:]
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores of the parts, n patches count, and of each attribute."""
        tokens = self.vit.vit(pixel_values=pixels).last_hidden_state
        return self.parts(tokens[:, 1:]), [head(tokens[:, 0]) for head in (self.vit.classifier, *self.others)]


def part_shares(classes: Tensor, count: int) -> Tensor:
    """Share of each part class in each patch: n patches count."""
    planes = functional.one_hot(classes, count).permute(0, 3, 1, 2).float()
    return functional.avg_pool2d(planes, PATCH).flatten(2).transpose(1, 2)


def accuracy(learner: Learner, data: Drawings) -> float:
    """Share of animals named correctly."""
    learner.eval()
    with torch.no_grad():
        hits = [
            (learner(images.float() / 127.5 - 1)[1][0].argmax(1) == attributes[:, 0]).float()
            for images, attributes in zip(data.images.split(200), data.attributes.split(200), strict=True)
        ]
    learner.train()
    return float(torch.cat(hits).mean())


def rate_factor(step: int, settings: Settings) -> float:
    """Of the learning rate: a cosine after a linear warm-up over a twentieth of the steps."""
    warmup = settings.steps / 20
    return min(step / warmup, 0.5 + 0.5 * float(np.cos(np.pi * step / settings.steps))) if step else 1 / warmup


def train(settings: Settings) -> tuple[Learner, list[dict[str, float]]]:
    """The trained learner and its curve: passes, seconds, loss, held-out accuracy."""
    torch.manual_seed(settings.seed)
    names, table = part_classes()
    began = time.perf_counter()
    data = create_drawings(settings.drawings, settings.seed, table)
    held_out = create_drawings(settings.held_out, settings.seed + 1, table)
    print(f"{settings.drawings + settings.held_out} drawings in {time.perf_counter() - began:.0f} s", flush=True)
    learner = Learner(len(names))
    optimiser = torch.optim.AdamW(
        learner.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, settings))
    curve: list[dict[str, float]] = []
    every = max(settings.steps // 24, 1)
    for step in range(1, settings.steps + 1):
        loss = train_step(learner, optimiser, data, settings, len(names))
        schedule.step()
        if step % every == 0 or step == settings.steps:
            curve.append(
                {
                    "passes": round(step * settings.batch_size / settings.drawings, 2),
                    "seconds": round(time.perf_counter() - began, 1),
                    "loss": round(loss, 4),
                    "accuracy": round(accuracy(learner, held_out), 4),
                }
            )
            print("  ".join(f"{name} {value}" for name, value in curve[-1].items()), flush=True)
    return learner, curve


def train_step(
    learner: Learner, optimiser: torch.optim.Optimizer, data: Drawings, settings: Settings, count: int
) -> float:
    """One optimiser step on a random batch; returns the loss."""
    chosen = torch.randint(0, len(data.images), (settings.batch_size,))
    pixels, classes = augment(data.images[chosen], data.parts[chosen])
    part_scores, attribute_scores = learner(pixels)
    loss = part_loss(part_scores, classes, count)
    for scores, targets, weight in zip(attribute_scores, data.attributes[chosen].T, WEIGHTS.values(), strict=True):
        loss = loss + weight * functional.cross_entropy(scores, targets)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def part_loss(scores: Tensor, classes: Tensor, count: int) -> Tensor:
    """Cross-entropy of each patch's parts, weighted by the share they cover; the plain backdrop counts less."""
    weights = torch.full((count,), 2.0)
    weights[0] = 0.5
    return -(part_shares(classes, count) * weights * scores.log_softmax(-1)).sum(-1).mean()


def save(learner: Learner, folder: Path) -> float:
    """Writes config, preprocessor and half-precision weights; returns megabytes."""
    copy.deepcopy(learner.vit).half().save_pretrained(folder, safe_serialization=True)
    ViTImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_resize=True
    ).save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def main() -> None:
    """Trains, saves, prints the curve and writes."""
    parser = create_parser(__doc__, quick="a few drawings and steps, which teach nothing")
    parser.add_argument("--out", type=Path, default=Path("petworld-vit"), help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    settings = Settings(steps=options.steps, seed=options.seed)
    if options.quick:
        settings = Settings(drawings=200, held_out=40, steps=8, batch_size=16, seed=options.seed)
    learner, curve = train(settings)
    size = save(learner, options.out)
    print(f"{options.out}: {size:.2f} MB, held-out accuracy {curve[-1]['accuracy']:.3f} on {len(OTHERS)} animals")
    print(describe_machine()["summary"])
    if options.json:
        setup = {"settings": asdict(settings), "threads": torch.get_num_threads()}
        write_json(options.json, {**setup, "curve": curve, "megabytes": size}, seeds=[options.seed])


if __name__ == "__main__":
    main()
