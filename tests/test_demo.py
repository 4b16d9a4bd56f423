"""The demo runs whole on the drawn world without opening a connection, and goes on at once when run again."""

import json
import subprocess
import sys

import pytest

CODE = """
import sys, json
connections = []
sys.addaudithook(lambda event, arguments: connections.append(str(arguments)) if event == "socket.connect" else None)
import xaiaug.demo as demo
from xaiaug import Recipe
demo.SIZES = {"train": 40, "guide": 60, "validation": 8, "test": 20}
demo.BASELINE, demo.ARMS = Recipe(steps=3, batch_size=8), Recipe(steps=2, batch_size=8)
told = []
result = demo.demo(sys.argv[1], watch=lambda step: told.append((step.stage, step.done, step.note)))
fits = {entry[0] for entry in told if entry[0].startswith("train") and entry[1:] == (0, "")}
print(json.dumps({
    "connections": connections,
    "arms": [arm.name for arm in result.report.arms],
    "notes": " ".join(note.text for note in result.report.notes),
    "fits": len(fits),
    "drawn": result.report.data.drawn,
    "torch": "torch" in sys.modules,
}))
"""


def demo(folder):
    done = subprocess.run([sys.executable, "-c", CODE, str(folder)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.ci  # two processes that import everything take half a minute
def test_the_demo_runs_whole_offline_and_a_second_time_does_nothing(tmp_path):
    first = demo(tmp_path / "demo")
    assert first["connections"] == []
    assert first["arms"] == ["baseline", "generated-only", "generated+training", "continued"]
    assert first["fits"] == 5 and first["drawn"]
    assert "One seed proves nothing" in first["notes"] and "drawn world" in first["notes"]
    assert (tmp_path / "demo" / "report.html").exists()
    again = demo(tmp_path / "demo")
    assert again["fits"] == 0 and again["arms"] == first["arms"]
    assert not again["torch"]
