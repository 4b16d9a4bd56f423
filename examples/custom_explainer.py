"""A custom explainer, by occlusion (arXiv:1311.2901): how much the target's probability drops when a cell is hidden.

python examples/custom_explainer.py photos --checkpoint my-trained-vit
"""

import argparse
import itertools

import numpy as np
from PIL import Image

import xaiaug


class Occlusion(xaiaug.Explainer):
    """The drop of the target's probability when a square of the image is painted grey; depends on the class."""

    def __init__(self, cells: int = 7) -> None:
        self.cells = cells

    def explain(self, classifier, images, targets):
        return [self.one(classifier, image, target) for image, target in zip(images, targets, strict=True)]

    def one(self, classifier, image, target):
        xs = np.linspace(0, image.width, self.cells + 1).astype(int)
        ys = np.linspace(0, image.height, self.cells + 1).astype(int)
        hidden = [image]
        for top, bottom in itertools.pairwise(ys):
            for left, right in itertools.pairwise(xs):
                copy = image.copy()
                copy.paste((128, 128, 128), (left, top, right, bottom))
                hidden.append(copy)
        probabilities = classifier.predict_proba(hidden)[:, target]
        grid = (probabilities[0] - probabilities[1:]).reshape(self.cells, self.cells).astype(np.float32)
        heatmap = np.asarray(Image.fromarray(grid).resize(image.size, Image.Resampling.BILINEAR), np.float32)
        return xaiaug.Explanation(heatmap, "occlusion", target, class_specific=True, grid=grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="split/class/image or class/image")
    parser.add_argument("--checkpoint", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--run-dir", default="runs/occlusion")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()

    loop = xaiaug.FeedbackLoop(
        "transformers",
        explainer=Occlusion(),
        recipe=xaiaug.Recipe(steps=options.steps),
        settings={"classifier": {"checkpoint": options.checkpoint}, "mistakes": {"max": 20}},
    )
    result = loop.run(xaiaug.Splits.from_folder(options.folder), options.run_dir, until="critique")
    for case in result.mistakes:
        print(f"{case.label} taken for {case.predicted}: {case.method}, {case.critique.cause if case.critique else ''}")
    print(f"report: {result.report_path}")


if __name__ == "__main__":
    main()
