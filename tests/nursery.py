"""Runs of the fakes in processes of their own that start at once: imported once, forked for each, and easily killed.

As a script it reads a line of JSON for each run, forks, and tells the child's pid and then how it ended. Forking needs
POSIX, and a process without threads: that is why this is not done by the tests themselves.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

PRICES = {name: {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15} for name in ("a-model", "an-image-model")}
IMAGES = {"model": "an-image-model", "size": "32x32", "output_tokens": 10, "edit": "whole"}


def loop(url=None, *, budget_usd=5.0, critic=None, seeds=(0,), images=2, checkpoint=None, paint=True, engine=None):
    """A loop of fakes; its critic pays the service at `url` where one is given.

    Without `paint` the service makes the images too. With a checkpoint the classifier and the explainer are real.
    `engine` is a table of the settings.
    """
    from fakes import ColourCritic, NearestColour, Painter, Posting, Ramp

    from xaiaug import FeedbackLoop, Recipe, load

    tables = {"privacy": {"allow_upload": True}, "budget": {"prices": PRICES}}
    if engine:
        tables |= {"engine": engine}
    if checkpoint:
        tables |= {"classifier": {"checkpoint": checkpoint}, "experiment": {"checkpoint_steps": 2}}
    return FeedbackLoop(
        "transformers" if checkpoint else NearestColour(),
        "attention-rollout" if checkpoint else Ramp(),
        critic or (Posting(url) if url else ColourCritic()),
        Painter() if paint else load("synthesizer", "openai-images", base_url=f"{url}/v1", **IMAGES),
        seeds=seeds,
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=images,
        budget_usd=budget_usd if url else None,
        settings=tables,
    )


def run(folder, run_dir, **options):
    """A whole run."""
    from xaiaug import Splits

    return loop(**options).run(Splits.from_folder(folder), run_dir)


class Nursery:
    """A process that forks one run after another.

    Args:
        modules: what it imports first, besides what the fakes need.
    """

    def __init__(self, *modules):
        self._modules = modules

    def __enter__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=600)
        self._process.stdout.close()

    def start(self, folder, run_dir, **options):
        """Starts a run; returns its pid."""
        order = {"folder": str(folder), "run_dir": str(run_dir), **options}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def ended(self):
        """Waits for the run: its exit status, or minus the signal that killed it. Until then its pid stays its own."""
        print("wait", file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def _serve():
    from fakes import paint_folder

    with tempfile.TemporaryDirectory() as folder:  # a run imports all that the children will need
        painted = paint_folder(Path(folder, "painted"), {"train": 8, "guide": 8, "validation": 4, "test": 4})
        run(painted, Path(folder, "run"), images=1)
    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(**json.loads(line))
                code = 0
            except BaseException:  # noqa: BLE001  told by the child, judged by its exit status
                traceback.print_exc()
            finally:
                os._exit(code)
        print(child, flush=True)  # noqa: T201
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _serve()
