"""Engines with the plugins of the library: real networks, which take their time."""

import json

import pytest
from ray_cluster import start_cluster

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.testing import small_folder

pytestmark = pytest.mark.slow  # imports torch in three processes
WORKERS = 2


@pytest.fixture(scope="module")
def cluster():
    with start_cluster() as nodes:
        yield nodes


@pytest.fixture(params=["local", "ray"])
def name(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


def test_plugins_of_the_library_give_the_report_of_one_process(tiny_vit, tmp_path, name):
    """A transformer, its rollout, the critic that compares, the synthesizer that cuts out, and the judge."""
    torch = pytest.importorskip("torch")
    folder = small_folder(tmp_path / "images", {"train": 8, "guide": 10, "validation": 2, "test": 4})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = run(folder, tmp_path / "here", tiny_vit)
    finally:
        torch.set_num_threads(threads)
    assert run(folder, tmp_path / "workers", tiny_vit, name=name, workers=WORKERS) == here


def run(folder, run_dir, checkpoint, **engine):
    settings = {
        "engine": engine,
        "classifier": {"checkpoint": str(checkpoint)},
        "mistakes": {"max": 4, "faithfulness": 2},
        "experiment": {"arms": ["baseline", "continued", "generated+training"]},
    }
    loop = FeedbackLoop(
        "transformers",
        "attention-rollout",
        "measured",
        "remix",
        recipe=Recipe(steps=2, batch_size=4),
        images_per_mistake=1,
        settings=settings,
    )
    loop.run(Splits.from_folder(folder), run_dir)
    report = json.loads((run_dir / "report.json").read_text())
    del report["run"]
    return report
