"""A run asked to stop says so at once, and stops at the next safe point; asked again, at once; killed, it resumes."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from fakes import ColourCritic, Painter, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import RunStopped
from xaiaug.loop.session import STOPPING, stop_on_signals

CODE = """
import sys
sys.path.insert(0, sys.argv[3])
from fakes import ColourCritic, NearestColour, Ramp, SlowPainter
from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.cli.app import main
import xaiaug.cli.app as app

def go():
    recipe = Recipe(steps=4, batch_size=8)
    plugins = NearestColour(), Ramp(), ColourCritic(), SlowPainter()
    curation = {"checks": ["broken", "duplicate"]}  # a judge would cost each process a second of imports
    loop = FeedbackLoop(*plugins, recipe=recipe, images_per_mistake=2, curation=curation)
    loop.run(Splits.from_folder(sys.argv[1]), sys.argv[2])
    print("whole", flush=True)

app.app = go
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 24, "validation": 4, "test": 10})


def start(folder, run_dir, seconds):
    """A run in a process of its own, whose synthesizer sleeps in every batch."""
    command = [sys.executable, "-c", CODE, str(folder), str(run_dir), str(Path(__file__).parent)]
    environment = {**os.environ, "FAKE_SECONDS": str(seconds)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(stream, words):
    """Reads lines until one holds the words."""
    read = ""
    for line in stream:
        read += line
        if words in line:
            return
    pytest.fail(f"{words!r} was never said: {read}")


def until_making(process):
    wait_for(process.stdout, "making")


def told(run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    del report["run"]
    return report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_finishes_the_chunk_in_flight_and_stops_resumably(folder, tmp_path, number):
    process = start(folder, tmp_path / "run", 0.5)
    until_making(process)
    process.send_signal(number)
    wait_for(process.stderr, STOPPING)  # a pipe, and the chunk is not done yet
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped in make images at" in err and "Traceback" not in err
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"


def test_a_second_signal_stops_at_once(folder, tmp_path):
    process = start(folder, tmp_path / "run", 3600)
    until_making(process)
    process.send_signal(signal.SIGINT)
    wait_for(process.stderr, STOPPING)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Rerun the same command to resume" in err


@pytest.mark.slow  # five processes; tests/test_crash.py kills runs in every stage in `make test`
def test_a_run_killed_again_and_again_ends_equal_to_an_untroubled_one(folder, tmp_path):
    untroubled = start(folder, tmp_path / "untroubled", 0)
    assert "whole" in untroubled.communicate(timeout=120)[0]
    for delay in (0.0, 0.05, 0.3):
        process = start(folder, tmp_path / "killed", 0.02)
        until_making(process)
        time.sleep(delay)
        process.kill()
        process.communicate()
    process = start(folder, tmp_path / "killed", 0)
    assert "whole" in process.communicate(timeout=120)[0]
    assert told(tmp_path / "killed") == told(tmp_path / "untroubled")


@pytest.mark.ci
def test_a_run_that_is_stopped_in_its_trainings_ends_bit_for_bit_as_one_that_was_not(folder, tiny_vit, tmp_path):
    recipe = Recipe(steps=6, batch_size=4, learning_rate=1e-3)
    settings = {"classifier": {"checkpoint": str(tiny_vit)}, "mistakes": {"max": 4}}
    arms = ["generated+training", "continued"]
    plugins = Ramp(), ColourCritic(), Painter()
    loop = FeedbackLoop("transformers", *plugins, recipe=recipe, images_per_mistake=1, arms=arms, settings=settings)
    splits = Splits.from_folder(folder)
    loop.run(splits, tmp_path / "untroubled")
    trainings = ("train baseline", "train continued")
    left, notes = [*trainings], []

    def watch(progress):
        notes.append(progress.note)
        if left and progress.stage == left[0] and progress.done == 3:
            left.pop(0)
            os.kill(os.getpid(), signal.SIGINT)

    for stage in trainings:
        with pytest.raises(RunStopped, match=rf"stopped in {re.escape(stage)} at step 3 of 6: rerun the same command"):
            loop.run(splits, tmp_path / "stopped", watch=watch)
    loop.run(splits, tmp_path / "stopped", watch=watch)
    assert notes.count(STOPPING) == 2
    assert told(tmp_path / "stopped") == told(tmp_path / "untroubled")
    for model in (tmp_path / "untroubled" / "models").rglob("*.safetensors"):
        other = tmp_path / "stopped" / model.relative_to(tmp_path / "untroubled")
        assert other.read_bytes() == model.read_bytes(), model


def test_signals_are_answered_and_counted_while_the_main_thread_is_busy_in_c():
    answered = threading.Event()
    during = []

    def ask_twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            answered.wait(60)
        during.append(answered.is_set() and not finished)

    finished = []
    sender = threading.Thread(target=ask_twice)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as asked:
        asked.then(answered.set)
        sender.start()
        finished.append(hashlib.pbkdf2_hmac("sha256", b"busy", b"in C", 2_000_000))  # handlers wait for its end
        time.sleep(60)
    sender.join()
    assert during == [True]


def test_a_second_signal_that_the_system_gives_to_another_thread_wakes_a_waiting_main_thread():
    waited_for = SimpleQueue()
    woken_late = threading.Event()
    watchdog = threading.Timer(30, lambda: (woken_late.set(), waited_for.put(None)))
    answered = threading.Event()

    def ask_twice():
        for _ in range(2):
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            answered.wait(60)
            time.sleep(0.2)  # the main thread is back at waiting

    sender = threading.Thread(target=ask_twice)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as asked:
        asked.then(answered.set)
        watchdog.start()
        sender.start()
        waited_for.get()
    watchdog.cancel()
    sender.join()
    assert not woken_late.is_set()


def test_a_stop_in_a_thread_without_signals_is_never_asked_for():
    with stop_on_signals() as asked:
        assert not asked()
    assert signal.set_wakeup_fd(-1) == -1


def test_handlers_are_put_back_and_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before
    seen = []

    def elsewhere():
        with stop_on_signals() as asked:
            seen.append((asked(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
