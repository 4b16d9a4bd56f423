"""The loop in Python: finds the mistakes on a folder of images, makes images from them, trains and compares.

python examples/loop.py photos --checkpoint my-vit --run-dir runs/photos
python examples/loop.py --quick
"""

import argparse

import xaiaug
from xaiaug import petworld
from xaiaug.testing import small_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="photos", help="split/class/image or class/image")
    parser.add_argument("--checkpoint", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--run-dir", default="runs/example")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help="a few drawn images and two steps: does it run?")
    options = parser.parse_args()
    if options.quick:
        options.run_dir += "-quick"
        options.folder, options.steps = small_folder(f"{options.run_dir}-images"), 2
        options.checkpoint = str(petworld.checkpoint())

    splits = xaiaug.Splits.from_folder(options.folder)
    loop = xaiaug.FeedbackLoop(
        "transformers",
        seeds=options.seeds,
        recipe=xaiaug.Recipe(steps=options.steps),
        settings={"classifier": {"checkpoint": options.checkpoint}},
    )
    result = loop.run(splits, options.run_dir, watch=lambda step: print(step.stage, f"{step.done}/{step.total}"))
    print(result.table())
    for case in result.mistakes[:5]:
        cause = case.critique.cause if case.critique else "no critique"
        print(f"{case.label} predicted as {case.predicted}: {cause}")
    print(f"report: {result.report_path}")


if __name__ == "__main__":
    main()
