"""Do edits by the heatmap leave the subject alone? Pets whose true masks are known, with and without a segmenter.

    python benchmarks/edits.py --data SHARED [--segmenter FILE] [--every 8] [--quick] [--json FILE] [--pictures DIR]

SHARED holds pets-with-masks and weights. The correctly classified pets are explained with mobilenet-v2-035-cats-dogs
and `auto`, and edited by the `erase` of `saliency-edit`: where the map is hot off the subject, and at random off it, as
in the arm without a map. Printed are the edits, the share of edited pixels that are the pet by its true mask (undecided
border left out), and how many edits are more than half on it. Few pets have anything off them that a classifier of cats
and dogs looks at, so most maps are refused, as they should be.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reporting import create_parser, describe_machine, write_json
from segmentation import SUBJECT, UNDECIDED, open_photos

from xaiaug import Context, Explanation, SynthesisRequest, load
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.plugins.synthesizers.saliency_edit import SaliencyEditSynthesizer
from xaiaug.records import Failure

CHECKPOINT = "weights/mobilenet-v2-035-cats-dogs"
CHANGED = 4  # grey levels: a pixel that changed by more was edited
QUICK = 6


@dataclass(frozen=True, eq=False)
class Case:
    """A pet that is classified correctly.

    Attributes:
        image: RGB.
        marks: h w, as in pets-with-masks.
        explanation: of its class.
    """

    image: Image.Image
    marks: NDArray[np.uint8]
    explanation: Explanation


def main() -> None:
    """Measures, prints and writes."""
    options = _parse_options()
    cases = explain_pets(options.data, options.every, QUICK if options.quick else None)
    figures = {}
    for segmenter in (None, *([options.segmenter] if options.segmenter else [])):
        synthesizer = SaliencyEditSynthesizer("erase", segmenter=str(segmenter) if segmenter else None)
        synthesizer.prepare(Context(labels=("cat", "dog")))
        for place in ("by the map", "at random"):
            name = f"{segmenter.stem if segmenter else 'superpixels'}, {place}"
            figures[name] = row = measure(synthesizer, cases, place, options.pictures and options.pictures / name)
            print(
                f"{name}: {row['edits']} of {row['pets']} pets edited; {row['pixels_on_pet']:.1%} of the edited pixels "
                f"are the pet, {row['edits_on_pet']} edits are more than half on it; refused: {row['refused']}; "
                f"{row['seconds']:.2f} CPU s a pet",
                flush=True,
            )
    print(describe_machine()["summary"])
    if options.json:
        write_json(options.json, figures, seeds=[])


def explain_pets(data: Path, every: int, most: int | None) -> list[Case]:
    """The correctly classified pets with their heatmaps."""
    context = Context(labels=("cat", "dog"))
    classifier = TransformersClassifier(str(data / CHECKPOINT))
    classifier.prepare(context)
    explainer = load("explainer", "auto")
    explainer.prepare(context)
    cases = []
    for label, image, marks in open_photos(data / "pets-with-masks", most, every):
        target = list(classifier.labels).index(label)
        if int(classifier.predict_proba([image]).argmax()) == target:
            (explanation,) = explainer.explain(classifier, [image], [target])
            cases.append(Case(image, marks, explanation))
    return cases


def measure(
    synthesizer: SaliencyEditSynthesizer, cases: Sequence[Case], place: str, pictures: Path | None
) -> dict[str, object]:
    """Edits of all cases, and how much of them lies on the pets."""
    began, on_pet, refused = time.process_time(), [], Counter[str]()
    for number, case in enumerate(cases):
        explanation = case.explanation if place == "by the map" else None
        request = SynthesisRequest(f"{number}", 0, "", "cat", number, source=case.image, explanation=explanation)
        (made,) = synthesizer.synthesize([request])
        if isinstance(made, Failure):
            refused[made.kind] += 1
            continue
        edited = np.abs(np.asarray(made.image, int) - np.asarray(case.image, int)).max(axis=-1) > CHANGED
        known = edited & (case.marks != UNDECIDED)
        on_pet.append((int((known & (case.marks == SUBJECT)).sum()), int(known.sum())))
        if pictures:
            save_pair(case.image, made.image, pictures / f"{number}.png")
    pixels = np.array(on_pet).reshape(-1, 2)
    return {
        "pets": len(cases),
        "edits": len(on_pet),
        "pixels_on_pet": float(pixels[:, 0].sum() / max(1, pixels[:, 1].sum())),
        "edits_on_pet": int((pixels[:, 0] > pixels[:, 1] / 2).sum()),
        "refused": dict(refused),
        "seconds": (time.process_time() - began) / max(1, len(cases)),
    }


def save_pair(before: Image.Image, after: Image.Image, file: Path) -> None:
    """Both side by side."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.new("RGB", (2 * before.width, before.height))
    sheet.paste(before)
    sheet.paste(after, (before.width, 0))
    sheet.save(file)


def _parse_options() -> argparse.Namespace:
    parser = create_parser(__doc__, quick=f"{QUICK} images")
    parser.add_argument("--data", type=Path, required=True, metavar="SHARED", help="holds the pets and the weights")
    parser.add_argument("--segmenter", type=Path, metavar="FILE", help="ONNX file of a segmenter")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="measure every Nth photograph")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write before and after here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
