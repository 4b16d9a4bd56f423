"""Cats against dogs: where does the classifier look when it is wrong, and do images made from its mistakes mend it?

python examples/cats_vs_dogs.py --data photos --classifier my-vit
python examples/cats_vs_dogs.py --data photos --synthesizer sdxl --weights my-sdxl
python examples/cats_vs_dogs.py --data photos --paper
python examples/cats_vs_dogs.py --data photos --critic claude --allow-upload --budget-usd 1
"""

import argparse
import os
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import xaiaug
from xaiaug.registry import registry

KEY = "ANTHROPIC_API_KEY"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="photos", help="folder: split/class/image or class/image")
    parser.add_argument("--classifier", default="facebook/dino-vits16", help="a folder, or a name on the model hub")
    parser.add_argument("--explainer", default="auto")
    parser.add_argument("--critic", default="measured")
    parser.add_argument("--synthesizer", default="remix")
    parser.add_argument("--weights", help="of a synthesizer by diffusion: a folder, or a name on the model hub")
    parser.add_argument("--steps", type=int, help="denoising steps of such a synthesizer")
    parser.add_argument("--images-per-mistake", type=int, default=5)
    parser.add_argument("--paper", action="store_true", help="the paper's experiment, as in examples/paper.toml")
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
    tables = papers(given) if given.paper else usual(given)
    loop = xaiaug.FeedbackLoop("transformers", settings=tables)
    loop.check()
    splits = xaiaug.Splits.from_folder(given.data, **({"guide": "validation"} if given.paper else {}))
    splits = replace(splits, test=splits.test[:: -(-len(splits.test) // given.test_images) or 1])
    result = loop.run(splits, given.run_dir, watch=lambda step: print(f"{step.stage} {step.done}/{step.total}"))
    print(result.table())
    for note in result.report.notes:
        print(note.text)
    print(f"report: {result.report_path}")


def usual(given: argparse.Namespace) -> dict:
    """The settings, from the command line."""
    return {
        **trained(given),
        "explainer": {"name": given.explainer},
        "critic": {"name": given.critic},
        "synthesizer": drawn(given, given.synthesizer),
        "mistakes": {"max": given.mistakes},
        "experiment": {"seeds": given.seeds, "images_per_mistake": given.images_per_mistake},
        "privacy": {"allow_upload": given.allow_upload},
        "budget": {"usd": given.budget_usd},
    }


def papers(given: argparse.Namespace) -> dict:
    """The settings of paper.toml, with what stands in for what is not at hand."""
    tables = tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))
    tables |= {**trained(given), "synthesizer": drawn(given, tables["synthesizer"]["name"])}
    tables["experiment"]["seeds"] = given.seeds
    tables["privacy"] = {"allow_upload": given.allow_upload}
    tables["budget"]["usd"] = tables["budget"]["usd"] if given.budget_usd is None else given.budget_usd
    if missing := no_critic(given, tables["critic"]):
        print(f"paper: {missing}. The critic measured stands in for {tables['critic']['name']}.")
        tables["critic"] = {"name": "measured"}
    if missing := no_weights(tables["synthesizer"]):
        print(f"paper: {missing}. The synthesizer remix stands in for {tables['synthesizer']['name']}.")
        tables["synthesizer"] = {"name": "remix"}
    return tables


def trained(given: argparse.Namespace) -> dict:
    """The tables of the classifier and its training."""
    return {
        "classifier": {"name": "transformers", "checkpoint": given.classifier},
        "recipe": {"steps": max(1, given.arm_passes // 32), "learning_rate": 1e-4},
        "baseline": {"steps": max(1, given.passes // 32), "learning_rate": 3e-4},
    }


def drawn(given: argparse.Namespace, name: str) -> dict:
    """The table of a synthesizer: its name, and what was said of it."""
    said = {"weights": given.weights, "steps": given.steps}
    return {"name": name, **{key: value for key, value in said.items() if value is not None}}


def no_critic(given: argparse.Namespace, table: dict) -> str:
    """Why the critic cannot be asked; empty where it can."""
    if table["name"] not in {info.name for info in xaiaug.available("critic") if not info.error}:
        return f"there is no critic {table['name']}: pip install 'xaiaug[{table['name']}]'"
    if not os.environ.get(KEY):
        return f"{KEY} is not set"
    return "" if given.allow_upload else "--allow-upload was not given, and the critic sees the images"


def no_weights(table: dict) -> str:
    """Why the synthesizer has no weights; empty where it has."""
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
