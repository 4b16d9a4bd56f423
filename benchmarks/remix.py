"""How well remix finds the subject: its cut-outs, and cheaper guesses, against the true masks of photographs.

    python benchmarks/remix.py --data FOLDER [--checkpoint FOLDER] [--size PIXELS] [--quick] [--json FILE]

FOLDER holds images/CLASS/NAME.jpg and masks/NAME.png: 0 backdrop, 1 subject, 2 undecided. Figures are intersection
over union at the size of the photograph; undecided pixels count nowhere.

- user mask: the true mask handed to remix, without what is undecided, as it is pasted: what cutting out and resizing
  leave of it.
- segmentation: what remix finds by itself, as it is pasted, where it does not refuse; and of all images.
- heatmap: attention rollout of the checkpoint (a trained head is not needed), alone: where it is above its mean, or as
  many of its highest pixels as the true subject has, which nobody knows who lacks the mask.
- random map: noise on as coarse a grid, cut in the same two ways.
- ellipse: in the middle, 0.7 of each side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from reporting import machine, write_json

from xaiaug import Context, Sample, Splits, load
from xaiaug.plugins._segmentation import subject_mask
from xaiaug.plugins.synthesizers._cutout import Cutout, cut_by_mask, segment
from xaiaug.plugins.synthesizers._mask_folder import MaskFolder

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
SUBJECT, UNDECIDED = 1, 2
GRID = 7  # cells along each side of the random map
QUICK = 60


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph and what is known of it.

    Attributes:
        image: as remix gets it.
        mask: h w, 0 to 1: the true mask as remix gets it, undecided pixels left out.
        marks: h w, the true mask as it came.
        heatmap: h w, as large as the image; None without a checkpoint.
        noise: h w, likewise.
    """

    image: Image.Image
    mask: Floats | None
    marks: NDArray[np.uint8]
    heatmap: Floats | None
    noise: Floats

    def overlap(self, opacity: Floats) -> float:
        """Intersection over union of what is more opaque than not with the true subject."""
        size = self.marks.shape[::-1]
        found = np.asarray(Image.fromarray(opacity.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)) > 0.5
        known, true = self.marks != UNDECIDED, self.marks == SUBJECT
        return float((found & true & known).sum() / ((found | true) & known).sum())

    def pasted(self, cutout: Cutout | None) -> Floats | None:
        """The opacity of a cut-out where it was in the photo; None where it was refused."""
        if cutout is None:
            return None
        left, top, right, bottom = cutout.box
        whole = np.zeros(self.image.size[::-1], np.float32)
        whole[top:bottom, left:right] = cutout.alpha
        return whole

    def highest(self, heatmap: Floats) -> Floats:
        """The heatmap's highest pixels, as large a share as the true subject has of what is decided."""
        share = (self.marks == SUBJECT).sum() / (self.marks != UNDECIDED).sum()
        return (heatmap >= np.quantile(heatmap, 1 - share)).astype(np.float32)

    def ellipse(self) -> Floats:
        """An ellipse in the middle."""
        sides = self.image.size[::-1]
        y, x = (2 * (axis + 0.5) / side - 1 for axis, side in zip(np.indices(sides), sides, strict=True))
        return (np.hypot(y, x) < 0.7).astype(np.float32)


def above_mean(heatmap: Floats) -> Floats:
    """Where a heatmap is above its mean."""
    return (heatmap > heatmap.mean()).astype(np.float32)


GUESSES: dict[str, Callable[[Photo], Floats | None]] = {
    "user mask, as pasted": lambda photo: photo.pasted(cut_by_mask(photo.image, photo.mask)),
    "segmentation, as pasted": lambda photo: photo.pasted(segment(photo.image)),
    "segmentation, of all images": lambda photo: subject_mask(photo.image),
    "segmentation with heatmap, as pasted": lambda photo: photo.pasted(segment(photo.image, photo.heatmap)),
    "segmentation with heatmap, of all images": lambda photo: subject_mask(photo.image, photo.heatmap),
    "heatmap alone, above its mean": lambda photo: above_mean(photo.heatmap),
    "heatmap alone, as large as the subject": lambda photo: photo.highest(photo.heatmap),
    "random map, above its mean": lambda photo: above_mean(photo.noise),
    "random map, as large as the subject": lambda photo: photo.highest(photo.noise),
    "ellipse in the middle": Photo.ellipse,
}


def main() -> None:
    """Prints the table."""
    options = _options()
    names = [name for name in GUESSES if options.checkpoint or "heatmap" not in name]
    found: dict[str, list[float | None]] = {name: [] for name in names}
    for photo in _photos(options):
        for name in names:
            opacity = GUESSES[name](photo)
            found[name].append(None if opacity is None else photo.overlap(opacity))
    rows = {name: _row(overlaps) for name, overlaps in found.items()}
    print(f"{'intersection over union':<42}{'mean':>7}{'median':>8}{'n':>6}{'refused':>9}")
    for name, row in rows.items():
        print(f"{name:<42}{row['mean']:>7.3f}{row['median']:>8.3f}{row['n']:>6}{row['refused']:>9.1%}")
    print(f"longer side {options.size or 'as it is'}; {machine()['summary']}")
    if options.json:
        write_json(options.json, {"size": options.size, "seed": options.seed, "rows": rows})


def _row(overlaps: Sequence[float | None]) -> dict[str, Any]:
    made = [overlap for overlap in overlaps if overlap is not None]
    mean, median = (float(of(made)) if made else float("nan") for of in (np.mean, np.median))
    return {"mean": mean, "median": median, "n": len(made), "refused": 1 - len(made) / len(overlaps)}


def _photos(options: argparse.Namespace) -> Iterator[Photo]:
    splits = Splits.from_folder(options.data / "images", guide=0, validation=0, test=0)
    samples = sorted(splits.train, key=lambda sample: sample.id)[: QUICK if options.quick else None]
    explain, rng = _explainer(options.checkpoint, splits.labels), np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        masks = _masks(splits, options.data / "masks", Path(folder))
        for sample in samples:
            image = _sized(sample, options.size)
            noise = Image.fromarray(rng.random((GRID, GRID), np.float32))
            yield Photo(
                image=image,
                mask=masks.mask(sample.id, image.size),
                marks=np.asarray(Image.open(Path(folder, "marks", f"{sample.id}.png"))),
                heatmap=explain(image),
                noise=np.asarray(noise.resize(image.size, Image.Resampling.BILINEAR)),
            )


def _masks(splits: Splits, marks: Path, folder: Path) -> MaskFolder:
    """The true masks as a user brings them, by id; those with undecided pixels lie beside them, in `marks`."""
    splits.link_masks(marks, folder / "marks")
    (folder / "masks").mkdir()
    for file in (folder / "marks").iterdir():
        Image.fromarray(np.asarray(Image.open(file)) == SUBJECT).save(folder / "masks" / file.name)
    return MaskFolder(str(folder / "masks"))


def _sized(sample: Sample, side: int | None) -> Image.Image:
    image = sample.open()
    return image if side is None else ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)


def _explainer(checkpoint: Path | None, labels: tuple[str, ...]) -> Callable[[Image.Image], Floats | None]:
    """Attention rollout of the checkpoint; what it did not see counts as its lowest value."""
    if checkpoint is None:
        return lambda _: None
    classifier = load("classifier", "transformers", checkpoint=str(checkpoint))
    explainer = load("explainer", "attention-rollout")
    classifier.prepare(Context(labels=labels))

    def explain(image: Image.Image) -> Floats:
        (explanation,) = explainer.explain(classifier, [image], [0])
        heatmap = explanation.heatmap
        return np.where(np.isnan(heatmap), np.nanmin(heatmap), heatmap)

    return explain


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="remix's cut-outs against true masks")
    parser.add_argument("--data", type=Path, required=True, help="folder with images and masks")
    parser.add_argument("--checkpoint", type=Path, help="a vision transformer, for the rows with a heatmap")
    parser.add_argument("--size", type=int, help="longer side of the images remix gets, in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the random map")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} images")
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
