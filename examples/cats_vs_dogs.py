"""Cats and dogs: where does the classifier look when it is wrong, and do images made from its mistakes fix it?

python examples/cats_vs_dogs.py --data photos --classifier my-vit
python examples/cats_vs_dogs.py --data photos --synthesizer sdxl --weights my-sdxl
python examples/cats_vs_dogs.py --data photos --paper
python examples/cats_vs_dogs.py --data photos --critic claude --allow-upload --budget-usd 1
python examples/cats_vs_dogs.py --quick
"""

import argparse
import os
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import xaiaug
from xaiaug import petworld
from xaiaug.registry import registry
from xaiaug.testing import small_folder

KEY = "ANTHROPIC_API_KEY"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="photos", help="folder: split/class/image or class/image")
    parser.add_argument("--classifier", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--explainer", default="auto")
    parser.add_argument("--critic", default="measured")
    parser.add_argument("--synthesizer", default="remix")
    parser.add_argument("--weights", help="of a diffusion synthesizer: a folder, or a name on the model hub")
    parser.add_argument("--steps", type=int, help="denoising steps of such a synthesizer")
    parser.add_argument("--images-per-mistake", type=int, default=5)
    parser.add_argument("--paper", action="store_true", help="the paper's experiment, as in examples/paper.toml")
    parser.add_argument("--budget-usd", type=float, help="most that a paid critic may cost")
    parser.add_argument("--allow-upload", action="store_true", help="let a remote critic see the images")
    parser.add_argument("--mistakes", type=int, default=200, help="mistakes to learn from")
    parser.add_argument("--passes", type=int, default=8000, help="image passes of the baseline")
    parser.add_argument("--arm-passes", type=int, default=2000, help="image passes of each arm")
    parser.add_argument("--test-images", type=int, default=4000, help="most test images to evaluate on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--run-dir", default="runs/cats-vs-dogs")
    parser.add_argument("--quick", action="store_true", help="a few drawn images and steps: does it run?")
    options = parser.parse_args()
    if options.quick:
        options.run_dir += "-quick"
        options.data, options.classifier = str(small_folder(f"{options.run_dir}-images")), str(petworld.checkpoint())
        options.passes, options.arm_passes, options.mistakes = 64, 64, 4
    return options


def main() -> None:
    options = parse_options()
    tables = read_paper_settings(options) if options.paper else create_settings(options)
    loop = xaiaug.FeedbackLoop("transformers", settings=tables)
    loop.check()
    splits = xaiaug.Splits.from_folder(options.data, **({"guide": "validation"} if options.paper else {}))
    splits = replace(splits, test=splits.test[:: -(-len(splits.test) // options.test_images) or 1])
    result = loop.run(splits, options.run_dir, watch=lambda step: print(f"{step.stage} {step.done}/{step.total}"))
    print(result.table())
    for note in result.report.notes:
        print(note.text)
    print(f"report: {result.report_path}")


def create_settings(options: argparse.Namespace) -> dict:
    """The settings, from the command line."""
    return {
        **training_settings(options),
        "explainer": {"name": options.explainer},
        "critic": {"name": options.critic},
        "synthesizer": synthesizer_settings(options, options.synthesizer),
        "mistakes": {"max": options.mistakes},
        "experiment": {"seeds": options.seeds, "images_per_mistake": options.images_per_mistake},
        "privacy": {"allow_upload": options.allow_upload},
        "budget": {"usd": options.budget_usd},
    }


def read_paper_settings(options: argparse.Namespace) -> dict:
    """The settings of paper.toml, with substitutes for what is missing here."""
    tables = tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))
    tables |= {
        **training_settings(options),
        "synthesizer": synthesizer_settings(options, tables["synthesizer"]["name"]),
    }
    tables["experiment"]["seeds"] = options.seeds
    tables["privacy"] = {"allow_upload": options.allow_upload}
    tables["budget"]["usd"] = tables["budget"]["usd"] if options.budget_usd is None else options.budget_usd
    if problem := find_critic_problem(options, tables["critic"]):
        print(f"paper: {problem}. Using the critic measured instead of {tables['critic']['name']}.")
        tables["critic"] = {"name": "measured"}
    if problem := find_synthesizer_problem(tables["synthesizer"]):
        print(f"paper: {problem}. Using the synthesizer remix instead of {tables['synthesizer']['name']}.")
        tables["synthesizer"] = {"name": "remix"}
    return tables


def training_settings(options: argparse.Namespace) -> dict:
    """The tables of the classifier and its training."""
    return {
        "classifier": {"name": "transformers", "checkpoint": options.classifier},
        "recipe": {"steps": max(1, options.arm_passes // 32), "learning_rate": 1e-4},
        "baseline": {"steps": max(1, options.passes // 32), "learning_rate": 3e-4},
    }


def synthesizer_settings(options: argparse.Namespace, name: str) -> dict:
    """The table of a synthesizer: its name, and the parameters that were given."""
    parameters = {"weights": options.weights, "steps": options.steps}
    return {"name": name, **{key: value for key, value in parameters.items() if value is not None}}


def find_critic_problem(options: argparse.Namespace, table: dict) -> str:
    """Why the critic cannot be asked; empty if it can."""
    if table["name"] not in {info.name for info in xaiaug.available("critic") if not info.error}:
        return f"there is no critic {table['name']}: pip install 'xaiaug[{table['name']}]'"
    if not os.environ.get(KEY):
        return f"{KEY} is not set"
    return "" if options.allow_upload else "--allow-upload was not given, and the critic sees the images"


def find_synthesizer_problem(table: dict) -> str:
    """Why the synthesizer has no weights; empty if it has them."""
    parameters = {key: value for key, value in table.items() if key != "name"}
    try:
        registry().create("synthesizer", table["name"], parameters).token_budget()  # reads its tokenizers alone
    except (xaiaug.XaiaugError, ImportError) as error:
        return str(error).rstrip(".")
    return ""


if __name__ == "__main__":
    try:
        main()
    except xaiaug.XaiaugError as error:
        sys.exit(f"error: {error}")
