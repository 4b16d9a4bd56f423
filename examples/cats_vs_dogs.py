"""Cats against dogs: where does the classifier look when it is wrong, and do images made from its mistakes mend it?

python examples/cats_vs_dogs.py --data photos --classifier my-vit
python examples/cats_vs_dogs.py --data photos --critic claude --allow-upload --budget-usd 1
"""

import argparse
import sys
from dataclasses import replace

import xaiaug


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="photos", help="folder: split/class/image or class/image")
    parser.add_argument("--classifier", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--explainer", default="auto")
    parser.add_argument("--critic", default="measured")
    parser.add_argument("--synthesizer", default="remix")
    parser.add_argument("--budget-usd", type=float, help="most a paid critic may cost")
    parser.add_argument("--allow-upload", action="store_true", help="let a remote critic see the images")
    parser.add_argument("--mistakes", type=int, default=200, help="mistakes to learn from")
    parser.add_argument("--passes", type=int, default=8000, help="images the baseline trains on, with repetition")
    parser.add_argument("--arm-passes", type=int, default=2000, help="images each arm trains on, with repetition")
    parser.add_argument("--test-images", type=int, default=4000, help="test images to measure on, at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--run-dir", default="runs/cats-vs-dogs")
    return parser.parse_args()


def main() -> None:
    given = options()
    loop = xaiaug.FeedbackLoop(
        "transformers",
        given.explainer,
        given.critic,
        given.synthesizer,
        seeds=given.seeds,
        recipe=xaiaug.Recipe(steps=max(1, given.arm_passes // 32), learning_rate=1e-4),
        baseline_recipe=xaiaug.Recipe(steps=max(1, given.passes // 32), learning_rate=3e-4),
        budget_usd=given.budget_usd,
        settings={
            "classifier": {"checkpoint": given.classifier},
            "mistakes": {"max": given.mistakes},
            "privacy": {"allow_upload": given.allow_upload},
        },
    )
    loop.check()
    splits = xaiaug.Splits.from_folder(given.data)
    splits = replace(splits, test=splits.test[:: -(-len(splits.test) // given.test_images) or 1])
    result = loop.run(splits, given.run_dir, watch=lambda step: print(f"{step.stage} {step.done}/{step.total}"))
    print(result.table())
    for note in result.report.notes:
        print(note.text)
    print(f"report: {result.report_path}")


if __name__ == "__main__":
    try:
        main()
    except xaiaug.XaiaugError as error:
        sys.exit(f"error: {error}")
