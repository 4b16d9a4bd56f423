"""Offline means that no machine is asked, by no plugin and no library behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import fakes
import pytest

from xaiaug import FeedbackLoop, Recipe
from xaiaug.errors import OfflineError
from xaiaug.loop.offline import SWITCHES

SCRIPT = """
import json
from xaiaug import FeedbackLoop
from xaiaug.errors import XaiaugError
from xaiaug.interfaces import Context
from xaiaug.loop.judge import create_judge
from xaiaug.testing.checks.network_guard import guard_network

settings = {
    "privacy": {"offline": True},
    "classifier": {"name": "transformers", "checkpoint": "someone/vit"},
    "critic": {"name": "local-vlm", "model": "someone/vlm"},
    "explainer": {"name": "auto"},
    "synthesizer": {"name": "sdxl-turbo"},
    "curation": {"judge": {"name": "zero-shot", "checkpoint": "someone/clip"}},
}
failures = {}
with guard_network() as log:
    loop = FeedbackLoop(settings=settings)
    judge = create_judge(loop.settings, loop.plugins.classifier)
    for name, plugin in {**loop.plugins.by_kind, "judge": judge}.items():
        try:
            plugin.estimate(3)
            plugin.prepare(Context(labels=("cat", "dog")))
        except XaiaugError as error:
            failures[name] = str(error)
    from huggingface_hub.utils import build_hf_headers, send_telemetry
    build_hf_headers()
    send_telemetry("topic")
print(json.dumps({"hosts": log.hosts, "failures": failures}))
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new process whose environment has none of the switches."""
    environment = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.ci  # a process of its own that opens every plugin
def test_no_plugin_asks_another_machine() -> None:
    done = _run(SCRIPT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["hosts"] == []
    assert set(found["failures"]) >= {"classifier", "critic", "synthesizer", "judge"}


def test_a_hub_client_that_was_imported_before_is_refused_and_nothing_is_changed() -> None:
    code = (
        "import os, huggingface_hub.constants\n"
        "from xaiaug import FeedbackLoop\nfrom xaiaug.errors import OfflineError\n"
        "try:\n    FeedbackLoop(settings={'privacy': {'offline': True}})\n"
        "except OfflineError as error:\n    print(error, 'HF_HUB_OFFLINE' in os.environ)\n"
    )
    done = _run(code)
    assert "huggingface_hub was imported in this process without HF_HUB_OFFLINE" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("False")


def test_the_next_loop_is_told_that_the_process_stays_offline() -> None:
    code = (
        "from xaiaug import FeedbackLoop\nsettings = {'classifier': {'name': 'transformers', 'checkpoint': 'a/b'}}\n"
        "FeedbackLoop(settings={**settings, 'privacy': {'offline': True}})\nFeedbackLoop(settings=settings)\n"
    )
    done = _run(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the model hub stays off") == 1


@pytest.mark.parametrize("report_to", ["wandb", ["none", "mlflow"], {"inner": [{"report_to": "wandb"}]}])
def test_trackers_are_refused_offline(report_to: object, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tracked(fakes.NearestColour):
        def __init__(self, report_to: object = None) -> None:
            super().__init__()
            self.report_to = report_to

        def parameters(self) -> dict[str, object]:
            return {"report_to" if not isinstance(self.report_to, dict) else "options": self.report_to}

    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    settings = {"privacy": {"offline": True}}
    for harmless in (None, "none", [], "tensorboard"):
        FeedbackLoop(Tracked(harmless), settings=settings)
    with pytest.raises(OfflineError, match="report_to"):
        FeedbackLoop(Tracked(report_to), settings=settings)
    recipe = Recipe(trainer={"report_to": report_to})
    with pytest.raises(OfflineError, match=r"\[recipe\] trainer reports to .*(wandb|mlflow)"):
        FeedbackLoop(fakes.NearestColour(), recipe=recipe, settings=settings)
    planned = FeedbackLoop(fakes.NearestColour(), baseline_recipe=recipe, settings=settings, planning=True)
    with pytest.raises(OfflineError, match=r"\[baseline\] trainer reports to .*(wandb|mlflow)"):
        planned.plugins.check_allowed(planned.settings)
