"""A custom explainer, by occlusion (arXiv:1311.2901): how much the target's probability drops when a cell is hidden.

python examples/custom_explainer.py photos --checkpoint my-trained-vit
python examples/custom_explainer.py --quick
"""

import argparse
import itertools

import numpy as np
from PIL import Image

import xaiaug
from xaiaug import petworld
from xaiaug.testing import small_folder


class Occlusion(xaiaug.Explainer):
    """The drop in the target's probability when a square of the image is painted grey; class-specific."""

    def __init__(self, cells: int = 7) -> None:
        self.cells = cells

    def explain(self, classifier, images, targets):
        return [self.explain_one(classifier, image, target) for image, target in zip(images, targets, strict=True)]

    def explain_one(self, classifier, image, target):
        xs = np.linspace(0, image.width, self.cells + 1).astype(int)
        ys = np.linspace(0, image.height, self.cells + 1).astype(int)
        images = [image]
        for top, bottom in itertools.pairwise(ys):
            for left, right in itertools.pairwise(xs):
                copy = image.copy()
                copy.paste((128, 128, 128), (left, top, right, bottom))
                images.append(copy)
        probabilities = classifier.predict_proba(images)[:, target]
        grid = (probabilities[0] - probabilities[1:]).reshape(self.cells, self.cells).astype(np.float32)
        heatmap = np.asarray(Image.fromarray(grid).resize(image.size, Image.Resampling.BILINEAR), np.float32)
        return xaiaug.Explanation(heatmap, "occlusion", target, class_specific=True, grid=grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="photos", help="split/class/image or class/image")
    parser.add_argument("--checkpoint", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--run-dir", default="runs/occlusion")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="a few drawn images and two steps: does it run?")
    options = parser.parse_args()
    if options.quick:
        options.run_dir += "-quick"
        options.folder, options.steps = small_folder(f"{options.run_dir}-images"), 2
        options.checkpoint = str(petworld.checkpoint())

    loop = xaiaug.FeedbackLoop(
        "transformers",
        explainer=Occlusion(),
        recipe=xaiaug.Recipe(steps=options.steps),
        settings={"classifier": {"checkpoint": options.checkpoint}, "mistakes": {"max": 20}},
    )
    result = loop.run(xaiaug.Splits.from_folder(options.folder), options.run_dir, until="critique")
    for case in result.mistakes:
        cause = case.critique.cause if case.critique else "no critique"
        print(f"{case.label} predicted as {case.predicted}: {case.method}, {cause}")
    print(f"report: {result.report_path}")


if __name__ == "__main__":
    main()
