"""The loop in Python: finds the mistakes on a folder of images, mends them, compares.

python examples/loop.py photos --checkpoint my-vit --run-dir runs/photos
"""

import argparse

import xaiaug


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="split/class/image or class/image")
    parser.add_argument("--checkpoint", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--run-dir", default="runs/example")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()

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
        print(f"{case.label} taken for {case.predicted}: {case.critique.cause if case.critique else 'no critique'}")
    print(f"report: {result.report_path}")


if __name__ == "__main__":
    main()
