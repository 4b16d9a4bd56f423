"""One training in several processes: torchrun's, on CPU, by gloo."""

import os
import socket
import subprocess
import sys

import pytest

from xaiaug import FeedbackLoop, Recipe
from xaiaug.errors import ConfigError, UnsupportedRecipeError
from xaiaug.testing import NearestColour, small_splits

CODE = """
import os, sys
from pathlib import Path
from xaiaug import Recipe, load
from xaiaug.interfaces import Context
from xaiaug.testing import small_splits

splits = small_splits()
classifier = load("classifier", "transformers", checkpoint=sys.argv[1])
classifier.prepare(Context(labels=splits.labels))
classifier.fit(splits.train, splits.validation, recipe=Recipe(steps=4, batch_size=int(sys.argv[3])), seed=3)
if os.environ.get("RANK", "0") == "0":
    classifier.save(Path(sys.argv[2]))
"""


def train(checkpoint, folder, processes, batch_size=8):
    """Starts a training in so many processes, with torchrun's variables; returns what each wrote on standard error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
        environment |= {name: str(value) for name, value in variables.items()} if processes > 1 else {}
        command = [sys.executable, "-c", CODE, str(checkpoint), str(folder), str(batch_size)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
    told = [process.communicate()[1] for process in started]
    assert all(process.returncode == 0 for process in started), told[0]


@pytest.mark.slow  # imports torch in three processes
def test_two_processes_train_as_one_does_on_the_same_images(tiny_vit, tmp_path):
    from safetensors.torch import load_file

    train(tiny_vit, tmp_path / "one", 1)
    train(tiny_vit, tmp_path / "two", 2)
    one, two, start = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "one", tmp_path / "two", tiny_vit)
    )
    assert one.keys() == two.keys()
    for name, weights in one.items():
        assert weights.allclose(two[name], atol=1e-5), name
    assert any(not weights.allclose(start[name], atol=1e-4) for name, weights in one.items() if name in start)


def test_a_step_that_cannot_be_divided_among_the_processes_is_refused(tiny_vit, monkeypatch):
    from xaiaug.plugins.classifiers._trainer import _share_batch

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UnsupportedRecipeError, match="a step of 8 images cannot be divided among the 3 processes"):
        _share_batch(8)
    assert _share_batch(9) == 3


def test_a_run_under_torchrun_is_refused_before_its_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="a run is one process, and torchrun or accelerate started several"):
        FeedbackLoop(NearestColour(), recipe=Recipe(steps=1)).run(small_splits(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
