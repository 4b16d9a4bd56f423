"""How well segmenters find the subject of photographs, and what they cost.

    python benchmarks/segmentation.py --data FOLDER [--segmenter FILE ...] [--side PIXELS ...] [--every N] [--quick]

FOLDER holds images/CLASS/NAME.jpg and masks/NAME.png: 0 backdrop, 1 subject, 2 undecided. Figures are intersection
over union at the size of the photograph, without undecided pixels, mask at 0.5; of all photographs, and of those whose
mask is not refused. Spilled is the share of these masks that is not subject, missed the share of the subject outside.

- superpixels: our own segmentation, as it is used where no segmenter is set.
- FILE: an ONNX file, its layout told by its name as in a setting `segmenter`. With --side it is also measured at other
  input sizes: fixed sizes in the file, those of its resizing steps included, are scaled in a copy. That is faster, and
  what a network loses that was trained at another size is part of the figure.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reporting import create_parser, describe_machine, write_json

from xaiaug.plugins._onnx_segmenter import OnnxSegmenter
from xaiaug.plugins._segmentation import CERTAIN, SUPERPIXELS_CERTAIN, judge_mask
from xaiaug.plugins._superpixels import subject_mask
from xaiaug.records import Failure

Floats = NDArray[np.float32]
Marks = NDArray[np.uint8]

SUBJECT, UNDECIDED = 1, 2
QUICK = 6
COLUMNS = {
    "mean": "IoU",
    "median": "median",
    "refused": "refused",
    "mean_of_rest": "IoU of rest",
    "median_of_rest": "median",
    "spilled": "spilled",
    "missed": "missed",
    "wall_s": "wall s",
    "cpu_s": "CPU s",
}


def main() -> None:
    """Prints the table and writes."""
    options = _parse_options()
    photos = [pair for _, *pair in open_photos(options.data, QUICK if options.quick else None, options.every)]
    rows = {"superpixels": _measure(subject_mask, SUPERPIXELS_CERTAIN, photos)}
    with tempfile.TemporaryDirectory() as folder:
        for file in options.segmenter:
            for side in (None, *options.side):
                model = OnnxSegmenter(
                    "benchmark", str(file if side is None else resize_input(file, side, Path(folder)))
                )
                model.open("cpu")
                rows[f"{file.stem}, input {side or 'as it is'}"] = _measure(model.segment, CERTAIN, photos)
    print(f"{'':<32}" + "".join(f"{column:>13}" for column in COLUMNS.values()))
    for name, row in rows.items():
        print(f"{name:<32}" + "".join(f"{row[column]:>13.3f}" for column in COLUMNS))
    print(f"{len(photos)} photographs; {describe_machine()['summary']}")
    if options.json:
        write_json(options.json, {"photographs": len(photos), "rows": rows}, seeds=[])


def _measure(
    segment: Callable[[Image.Image], Floats], least: float, photos: Sequence[Sequence[Any]]
) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    masks = [segment(image) for image, _ in photos]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scores = np.array([_score(mask, marks) for mask, (_, marks) in zip(masks, photos, strict=True)])
    kept = np.array([not isinstance(judge_mask(mask, least), Failure) for mask in masks])
    rest = scores[kept] if kept.any() else np.full((1, 3), np.nan)
    return {
        "mean": float(scores[:, 0].mean()),
        "median": float(np.median(scores[:, 0])),
        "refused": float(1 - kept.mean()),
        "mean_of_rest": float(rest[:, 0].mean()),
        "median_of_rest": float(np.median(rest[:, 0])),
        "spilled": float(rest[:, 1].mean()),
        "missed": float(rest[:, 2].mean()),
        "wall_s": wall / len(photos),
        "cpu_s": cpu / len(photos),
    }


def _score(mask: Floats, marks: Marks) -> tuple[float, float, float]:
    """Intersection over union, the share of the mask that is not subject, the share of the subject not in the mask."""
    known, true, found = marks != UNDECIDED, marks == SUBJECT, mask > 0.5
    common, both = float((found & true).sum()), float(((found | true) & known).sum())
    return common / both, 1 - common / max(1, (found & known).sum()), 1 - common / true.sum()


def open_photos(folder: Path, most: int | None, every: int) -> Iterator[tuple[str, Image.Image, Marks]]:
    """The class, the photograph, RGB, and its marks, in the order of their names."""
    files = sorted((folder / "images").glob("*/*.jpg"), key=lambda file: (file.parent.name, file.name))[::every]
    for file in files[:most]:
        with Image.open(file) as image, Image.open(folder / "masks" / f"{file.stem}.png") as marks:
            yield file.parent.name, image.convert("RGB"), np.asarray(marks)


def resize_input(file: Path, side: int, folder: Path) -> Path:
    """A copy of an ONNX model of fixed input size, n c h w, that reads squares of `side` pixels.

    Sides of outputs and the sizes to which it resizes inside are scaled alike.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(file))
    (pixels,) = model.graph.input
    ratio = side / pixels.type.tensor_type.shape.dim[2].dim_value
    del model.graph.value_info[:]
    for value in (pixels, *model.graph.output):
        for dimension in list(value.type.tensor_type.shape.dim)[2:]:
            dimension.dim_value = round(dimension.dim_value * ratio)
    targets = {node.input[3] for node in model.graph.node if node.op_type == "Resize" and len(node.input) > 3}
    for tensor in model.graph.initializer:
        if tensor.name in targets:
            size = numpy_helper.to_array(tensor).copy()
            size[2:] = np.round(size[2:] * ratio)
            tensor.CopyFrom(numpy_helper.from_array(size, tensor.name))
    copy = folder / f"{file.stem}-{side}.onnx"
    onnx.save(model, str(copy))
    return copy


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} images")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="holds images and masks")
    parser.add_argument("--segmenter", type=Path, nargs="*", default=[], metavar="FILE", help="ONNX files to measure")
    parser.add_argument("--side", type=int, nargs="*", default=[], metavar="PIXELS", help="other input sizes")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure every Nth photograph")
    return parser.parse_args()


if __name__ == "__main__":
    main()
