"""How well remix finds the subject: its cut-outs and cheaper guesses, against the true masks of photographs.

    python benchmarks/remix.py --data FOLDER [--checkpoint FOLDER] [--size PIXELS] [--quick] [--json FILE]

FOLDER holds images/CLASS/NAME.jpg and masks/NAME.png: 0 backdrop, 1 subject, 2 undecided. Figures are intersection
over union at the size of the photograph, without undecided pixels.

- user mask: the true mask given to remix, without undecided pixels, as it is pasted: the loss from cutting out and
  resizing.
- segmentation: what remix finds by itself, as it is pasted, where it does not refuse; and on all images.
- heatmap: attention rollout of the checkpoint (no trained head is needed) alone: where it is above its mean, or as many
  of its hottest pixels as the true subject has, which is unknown without the mask.
- random map: noise on an equally coarse grid, cut in the same two ways.
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
from reporting import create_parser, describe_machine, write_json

from xaiaug import Context, Sample, Splits, load
from xaiaug.plugins._superpixels import subject_mask
from xaiaug.plugins.synthesizers._cutout import Cutout, cut_by_mask, segment
from xaiaug.plugins.synthesizers._mask_folder import MaskFolder

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
SUBJECT, UNDECIDED = 1, 2
GRID = 7  # cells along each side of the random map
QUICK = 24


@dataclass(frozen=True, eq=False)
class Photo:
    """One photograph with its masks and maps.

    Attributes:
        image: as remix gets it.
        mask: h w, 0 to 1: the true mask as remix gets it, without undecided pixels.
        marks: h w, the true mask as it is on disk.
        heatmap: h w, at the size of the image; None without a checkpoint.
        noise: h w, likewise.
    """

    image: Image.Image
    mask: Floats | None
    marks: NDArray[np.uint8]
    heatmap: Floats | None
    noise: Floats

    def overlap(self, opacity: Floats) -> float:
        """Intersection over union of the true subject and what is at least half opaque."""
        size = self.marks.shape[::-1]
        cut = np.asarray(Image.fromarray(opacity.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)) > 0.5
        known, true = self.marks != UNDECIDED, self.marks == SUBJECT
        return float((cut & true & known).sum() / ((cut | true) & known).sum())

    def paste_back(self, cutout: Cutout | None) -> Floats | None:
        """The opacity of a cut-out at its place in the photo; None where remix refused."""
        if cutout is None:
            return None
        left, top, right, bottom = cutout.box
        opacity = np.zeros(self.image.size[::-1], np.float32)
        opacity[top:bottom, left:right] = cutout.alpha
        return opacity

    def hottest(self, heatmap: Floats) -> Floats:
        """The heatmap's hottest pixels, as many as the true subject has, in share of the decided pixels."""
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
    "user mask, as pasted": lambda photo: photo.paste_back(cut_by_mask(photo.image, photo.mask)),
    "segmentation, as pasted": lambda photo: photo.paste_back(segment(photo.image)),
    "segmentation, of all images": lambda photo: subject_mask(photo.image),
    "segmentation with heatmap, as pasted": lambda photo: photo.paste_back(segment(photo.image, photo.heatmap)),
    "segmentation with heatmap, of all images": lambda photo: subject_mask(photo.image, photo.heatmap),
    "heatmap alone, above its mean": lambda photo: above_mean(photo.heatmap),
    "heatmap alone, as large as the subject": lambda photo: photo.hottest(photo.heatmap),
    "random map, above its mean": lambda photo: above_mean(photo.noise),
    "random map, as large as the subject": lambda photo: photo.hottest(photo.noise),
    "ellipse in the middle": Photo.ellipse,
}


def main() -> None:
    """Prints the table and writes."""
    options = _parse_options()
    names = [name for name in GUESSES if options.checkpoint or "heatmap" not in name]
    overlaps: dict[str, list[float | None]] = {name: [] for name in names}
    for photo in _photos(options):
        for name in names:
            opacity = GUESSES[name](photo)
            overlaps[name].append(None if opacity is None else photo.overlap(opacity))
    rows = {name: _row(values) for name, values in overlaps.items()}
    print(f"{'intersection over union':<42}{'mean':>7}{'median':>8}{'n':>6}{'refused':>9}")
    for name, row in rows.items():
        print(f"{name:<42}{row['mean']:>7.3f}{row['median']:>8.3f}{row['n']:>6}{row['refused']:>9.1%}")
    print(f"longer side {options.size or 'as it is'}; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"size": options.size, "rows": rows}, seeds=[options.seed])


def _row(overlaps: Sequence[float | None]) -> dict[str, Any]:
    values = [overlap for overlap in overlaps if overlap is not None]
    mean, median = (float(average(values)) if values else float("nan") for average in (np.mean, np.median))
    return {"mean": mean, "median": median, "n": len(values), "refused": 1 - len(values) / len(overlaps)}


def _photos(options: argparse.Namespace) -> Iterator[Photo]:
    splits = Splits.from_folder(options.data / "images", guide=0, validation=0, test=0)
    samples = sorted(splits.train, key=lambda sample: sample.id)[: QUICK if options.quick else None]
    explain, rng = _explainer(options.checkpoint, splits.labels), np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        masks = _masks(splits, options.data / "masks", Path(folder))
        for sample in samples:
            image = _open(sample, options.size)
            noise = Image.fromarray(rng.random((GRID, GRID), np.float32))
            yield Photo(
                image=image,
                mask=masks.mask(sample.id, image.size),
                marks=np.asarray(Image.open(Path(folder, "marks", f"{sample.id}.png"))),
                heatmap=explain(image),
                noise=np.asarray(noise.resize(image.size, Image.Resampling.BILINEAR)),
            )


def _masks(splits: Splits, marks: Path, folder: Path) -> MaskFolder:
    """The true masks as a user supplies them, by id; those with undecided pixels are beside them, in `marks`."""
    splits.link_masks(marks, folder / "marks")
    (folder / "masks").mkdir()
    for file in (folder / "marks").iterdir():
        Image.fromarray(np.asarray(Image.open(file)) == SUBJECT).save(folder / "masks" / file.name)
    return MaskFolder(str(folder / "masks"))


def _open(sample: Sample, side: int | None) -> Image.Image:
    image = sample.open()
    return image if side is None else ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)


def _explainer(checkpoint: Path | None, labels: tuple[str, ...]) -> Callable[[Image.Image], Floats | None]:
    """Attention rollout of the checkpoint; pixels outside its view count as its lowest value."""
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


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} images")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds images and masks")
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="a vision transformer, for the heatmap rows")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="longer side of the images remix gets")
    parser.add_argument("--seed", type=int, default=0, help="of the random map")
    return parser.parse_args()


if __name__ == "__main__":
    main()
