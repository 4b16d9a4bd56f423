"""Pets of `pets-with-masks` on other pets' backdrops, of which one kind goes with each class in training.

In training most cats are indoors and most dogs on green; test is balanced.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from xaiaug.imaging.image_stats import lab_to_rgb
from xaiaug.plugins.synthesizers._backdrop import remove_subject

SIDE, BIAS = 128, 0.92  # pixels, and the share of training images on the usual backdrop
COMPOSE_SEED = 0


def compose_shortcut(pets: Path, folder: Path, most: int | None) -> None:
    """Writes pets on other pets' backdrops, and manifest.csv with split, label and the group "label on backdrop"."""
    if (folder / "manifest.csv").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (pets / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(COMPOSE_SEED)
    rng.shuffle(rows)
    rows = rows[:most]
    backdrops = _backdrops(pets, rows)
    lines, number = [], 0
    for place, row in enumerate(rows):
        split = ("test", "guide", "train", "train", "train", "guide", "validation", "test")[place % 8]
        usual = "indoor" if row["label"] == "cat" else "green"
        other = "green" if usual == "indoor" else "indoor"
        for turn in range(4):
            kind = (usual, other)[turn % 2] if split == "test" else usual if rng.random() < BIAS else other
            backdrop = backdrops[kind][rng.integers(len(backdrops[kind]))]
            number += 1
            file_name = f"{number:05d}.png"
            _paste(pets, row, backdrop).save(folder / file_name)
            lines.append([file_name, row["label"], split, f"{row['label']} on {kind}"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label", "split", "group:place"], *lines])


def _backdrops(pets: Path, rows: list[dict[str, str]]) -> dict[str, list[Image.Image]]:
    """The greenest and the least green third of the photographs, with their pets removed."""
    backdrops = []
    for row in rows:
        with Image.open(pets / row["file"]) as photo, Image.open(pets / row["mask"]) as mask:
            pet = (np.asarray(mask) > 0).astype(np.float32)
            if pet.mean() < 0.6:
                backdrops.append(Image.fromarray(lab_to_rgb(remove_subject(photo, (SIDE, SIDE), pet))))
    greens = [float((np.asarray(image, np.float32) @ [-0.5, 1.0, -0.5]).mean()) for image in backdrops]
    order, third = np.argsort(greens), len(backdrops) // 3
    return {"indoor": [backdrops[i] for i in order[:third]], "green": [backdrops[i] for i in order[-third:]]}


def _paste(pets: Path, row: dict[str, str], backdrop: Image.Image) -> Image.Image:
    with Image.open(pets / row["file"]) as photo, Image.open(pets / row["mask"]) as mask:
        alpha = Image.fromarray(255 * (np.asarray(mask) == 1).astype(np.uint8)).resize((SIDE, SIDE))
        image = backdrop.copy()
        image.paste(photo.convert("RGB").resize((SIDE, SIDE)), mask=alpha.filter(ImageFilter.GaussianBlur(0.8)))
    return image
