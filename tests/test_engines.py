"""Engines: chunks are mapped over workers, and a run comes to the same whoever does its work."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from nursery import Nursery
from ray_cluster import RAY, start_cluster
from test_crash import check, told
from toy_work import Deadly, DyingPainter, Meeting, SlowPainter, Square, Waiting

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.engines import EngineOptions, WorkerDiedError, make_engine
from xaiaug.errors import ConfigError, DataError, PluginError, RunFolderError, RunStopped
from xaiaug.records.pipeline import StageKind
from xaiaug.results.maintenance import verify
from xaiaug.stages import curate
from xaiaug.stages.stage_work import RunPlace, StageWork
from xaiaug.store import Reader, Store
from xaiaug.store.blobs import Blobs
from xaiaug.store.status_file import read_status
from xaiaug.testing import Delay, Loopback, Reply
from xaiaug.testing.small import small_splits

pytestmark = pytest.mark.ci  # starts processes and Ray
WORKERS = 2
SHARED = []  # engines that several tests use
CODE = """
import sys
sys.path.insert(0, sys.argv[3])
from fakes import ColourCritic, NearestColour, Painter, Ramp
from xaiaug import FeedbackLoop, Recipe, Splits

class Brush(Painter):
    pass

engine = {"name": sys.argv[4], "workers": 2}
settings = {"engine": engine, "mistakes": {"max": 4, "faithfulness": 0}}
loop = FeedbackLoop(
    NearestColour(), Ramp(), ColourCritic(), Brush(), recipe=Recipe(steps=4, batch_size=8), images_per_mistake=1,
    settings=settings,
)
cases = loop.run(Splits.from_folder(sys.argv[1]), sys.argv[2], until="images").report.cases
print(f"{len(cases)} cases, Ray runs: {'ray' in sys.modules and sys.modules['ray'].is_initialized()}")
"""


@pytest.fixture(scope="module")
def cluster():
    with start_cluster() as nodes:
        yield nodes


@pytest.fixture(scope="module", params=["local", "ray"])
def name(request):
    """Of an engine; where it is Ray, a cluster is there."""
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


@pytest.fixture(scope="module")
def engine(name):
    synthesizer = {"local": {"workers": 1}, "ray": {"workers": 1, "num_gpus": 1}}
    engine = make_engine(name, EngineOptions(workers=WORKERS, kinds={"synthesizer": synthesizer[name]}))
    SHARED.append(engine)
    yield engine
    SHARED.remove(engine)
    engine.close()


@pytest.fixture(autouse=True)
def _make_room(request):
    """Idle workers of the shared engine keep their cores, which the workers of a run would wait for without end."""
    if "engine" not in request.fixturenames:
        for engine in SHARED:
            engine.close()  # it starts others when it is used again


def test_each_chunk_is_done_once_and_its_result_comes_with_its_position(engine):
    results = dict(engine.map(Square(), range(20)))
    assert {position: square for position, (square, _) in results.items()} == {n: n * n for n in range(20)}
    assert os.getpid() not in {process for _, process in results.values()}


def test_chunks_are_taken_only_as_workers_become_free(engine):
    taken = itertools.count()
    results = engine.map(Square(), (next(taken) for _ in range(1000)))
    for done in range(1, 6):
        next(results)
        assert next(taken) <= 2 * (done + WORKERS)  # asking takes one, too
    results.close()


def test_after_an_error_no_chunk_begins_and_the_error_comes_with_the_traceback_of_the_worker(engine):
    with pytest.raises(ValueError, match="-1 is negative") as raised:
        list(engine.map(Square(), [1, -1, *range(1000)]))
    assert "in __call__" in raised.value.__notes__[0]
    assert len(list(engine.map(Square(), range(4)))) == 4  # the workers are as good as before


def test_a_chunk_whose_worker_is_killed_goes_to_another(engine, tmp_path):
    for death in range(2):
        (tmp_path / str(death)).touch()
    assert sorted(engine.map(Deadly(tmp_path), range(8))) == [(n, n) for n in range(8)]
    assert not list(tmp_path.iterdir())


def test_a_chunk_on_which_three_workers_died_is_named(engine, tmp_path):
    for death in range(4):
        (tmp_path / str(death)).touch()
    with pytest.raises(WorkerDiedError) as raised:
        list(engine.map(Deadly(tmp_path), range(8)))
    assert raised.value.position == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_work_hears_that_the_run_was_asked_to_stop_and_its_messages_arrive(engine):
    heard = {}
    results = list(engine.map(Waiting(), [7], stopping=lambda: len(heard) > 0, watch=keep_messages(heard)))
    assert results == [(0, True)]
    ((worker, message),) = heard.items()
    assert worker.startswith("worker ") and message.startswith("step ") and message.endswith("of 7")


def keep_messages(heard):
    return lambda workers: heard.update({name: message for name, (_, message) in workers.items() if message})


def meet(engine, kind, folder, workers):
    """Has so many workers of a kind be at work at once; the process of each, and the GPUs that it has."""
    folder = folder / f"{kind}-{time.monotonic_ns()}"
    folder.mkdir()
    end = time.monotonic() + 300
    work = engine.map(Meeting(folder, workers), range(workers), kind=kind, stopping=lambda: time.monotonic() > end)
    found = dict(result for _, result in work)
    assert len(found) == workers
    return found


def test_a_kind_of_work_has_workers_of_its_own_which_get_what_idle_ones_of_another_kind_held(engine, name, tmp_path):
    several = meet(engine, "explainer", tmp_path, 2)  # the cluster has no room for more
    assert meet(engine, "critic", tmp_path, 2).keys() == several.keys(), "the same workers go on"
    ((one, gpu),) = meet(engine, "synthesizer", tmp_path, 1).items()
    assert one not in several and (one == os.getpid()) == (name == "local")
    assert (gpu, {*several.values()}) == (("0", {""}) if name == "ray" else ("", {""}))
    assert not meet(engine, "explainer", tmp_path, 2).keys() & {one, *several}


def test_there_are_as_many_workers_of_a_kind_as_the_cluster_has_room_for(cluster):
    engine = make_engine("ray", EngineOptions(kinds={"synthesizer": {"num_gpus": 1}, "curation": {"num_cpus": 0.5}}))
    assert [engine.count_workers(kind) for kind in ("explainer", "synthesizer", "curation")] == [2, 1, 4]
    engine.close()


def test_a_kind_that_the_cluster_has_no_room_for_is_named(cluster):
    engine = make_engine("ray", EngineOptions(kinds={"synthesizer": {"num_gpus": 2}}))
    with pytest.raises(ConfigError, match=r"\[engine.synthesizer\] a worker is to have 1 CPU, 2 GPU, and the Ray clu"):
        list(engine.map(Square(), [1], kind="synthesizer"))
    engine.close()


def test_resources_of_a_kind_are_refused_where_there_is_no_cluster():
    with pytest.raises(ConfigError, match=r'\[engine.synthesizer\] num_gpus is for the engine "ray": leave it out'):
        make_engine("local", EngineOptions(workers=2, kinds={"synthesizer": {"workers": 2, "num_gpus": 1}}))


def test_what_cannot_travel_is_refused_in_words(engine):
    lock = threading.Lock()
    with pytest.raises(ConfigError, match="the critic mine cannot travel to the workers.*workers = 1"):
        engine.check("the critic mine", lock)
    with pytest.raises(ConfigError, match="something of this stage cannot travel"):
        list(engine.map(Square(), [lock]))


def test_a_worker_that_does_not_see_the_run_folder_or_the_images_says_so(engine, tmp_path, name):
    splits = small_splits()
    with Store(tmp_path / "run") as store:
        here = RunPlace(store.blobs, store.token, splits.guide[0])
        broken = replace(splits.guide[0], opener=Path(tmp_path, "no-such-image.png").read_bytes)
        places = {
            RunFolderError: replace(here, blobs=Blobs(tmp_path / "elsewhere")),
            DataError: replace(here, witness=broken),
        }
        for error, place in places.items():
            with pytest.raises(
                error, match="must be on a file system that all machines of the cluster share"
            ) as raised:
                list(engine.map(StageWork(list, store.blobs, lambda place=place: place), [[1]]))
            assert ("on node" in str(raised.value)) == (name == "ray")
        assert list(engine.map(StageWork(list, store.blobs, lambda: here), [[1]])) == [(0, [1])]


def test_a_plugin_that_a_node_cannot_import_is_named_with_the_node(engine, tmp_path, name, monkeypatch):
    (tmp_path / "stranger.py").write_text(
        "class Work:\n    def open(self): pass\n    def __call__(self, n): return n\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from stranger import Work

    (tmp_path / "stranger.py").unlink()  # now it is installed nowhere else
    where = "on node [0-9.]+ " if name == "ray" else ""
    with pytest.raises(PluginError, match=f"a worker {where}.*cannot import what it needs: No module named 'stranger'"):
        list(engine.map(Work(), [1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 8, "guide": 12, "validation": 4, "test": 6})


def run(folder, run_dir, synthesizer=None, until=None, watch=None, **engine):
    settings = {
        "engine": engine,
        "critic": {"test_causes": True},
        "mistakes": {"max": 4, "faithfulness": 2},
        "experiment": {"arms": ["baseline", "continued", "generated+training"]},
    }
    loop = FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        synthesizer or Painter(),
        seeds=(0, 1),
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=2,
        settings=settings,
    )
    loop.run(Splits.from_folder(folder), run_dir, until, watch=watch)
    return report_of(run_dir)


def report_of(run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    del report["run"]
    return report


@pytest.fixture(scope="module")
def deaths(tmp_path_factory):
    return tmp_path_factory.mktemp("deaths")


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory, deaths):
    """The report of a run in this process, by a painter that does not die."""
    return run(folder, tmp_path_factory.mktemp("here") / "run", DyingPainter(str(deaths)))


def test_two_workers_and_one_that_explains_give_the_report_of_one_process_though_one_is_killed_in_mid_chunk(
    name, folder, tmp_path, expected, deaths, monkeypatch
):
    monkeypatch.setattr(curate, "CHUNK", 3)  # several chunks of new images are checked
    (deaths / "1").touch()
    engine = {"name": name, "workers": WORKERS, "explainer": {"workers": 1}}
    found = run(folder, tmp_path / "run", DyingPainter(str(deaths)), **engine)
    assert not list(deaths.iterdir())
    assert found == expected
    assert max(count_chunks(tmp_path / "run", StageKind.DESCRIBE)) > 1
    assert verify(tmp_path / "run") == []
    assert not list((tmp_path / "run/blobs").rglob("*.token"))


def count_chunks(run_dir, kind):
    """The chunks of each stage of a kind."""
    with closing(Reader(run_dir)) as reader:
        return [len(keys) for stage, (keys, _) in reader.stages().items() if stage.kind == kind]


def test_the_plugin_and_the_items_that_kill_three_workers_are_named(folder, tmp_path, deaths):
    for number in range(3):
        (deaths / str(number)).touch()
    with pytest.raises(
        PluginError, match=r"DyingPainter.synthesize: 3 workers died on chunk 1 of \d of make images \("
    ):
        run(folder, tmp_path / "run", DyingPainter(str(deaths)), until="images", workers=WORKERS)


def test_a_run_that_is_stopped_finishes_what_is_under_way_tells_what_workers_do_and_resumes(folder, tmp_path, name):
    lines, stopping = set(), []

    def watch(progress):
        lines.update(read_status(tmp_path / "run").workers or ())
        if progress.stage == "make images" and progress.workers and not stopping:
            stopping.append(progress)  # a second Ctrl-C would stop at once
            signal.raise_signal(signal.SIGINT)

    options = {"synthesizer": SlowPainter(), "until": "images", "name": name, "workers": WORKERS}
    with pytest.raises(RunStopped, match="stopped in make images at [1-9]"):
        run(folder, tmp_path / "run", watch=watch, **options)
    assert 1 <= len(stopping[0].workers) <= WORKERS  # the second one may still have been starting
    assert all(re.fullmatch(r"worker \d+.*: .+, chunk \d+ of \d+", line) for line in {*lines, *stopping[0].workers})
    assert lines
    whole = run(folder, tmp_path / "here", SlowPainter(), until="images")
    assert run(folder, tmp_path / "run", **options) == whole


def test_a_driver_killed_again_and_again_ends_equal_and_pays_twice_only_what_was_in_flight(
    folder, tmp_path, name, request
):
    engine = {"name": name, "workers": WORKERS}
    if name == "ray":
        engine["address"] = request.getfixturevalue("cluster").address
    with Nursery() as nursery, Loopback(lambda request: Delay(0.1, Reply(request.text[:12]))) as server:
        nursery.start(folder, tmp_path / "untroubled", url=server.url)
        assert nursery.ended() == 0
        report, costs = told(tmp_path / "untroubled")
        before, deaths = server.bill + server.lost, 0
        asked = server.bill.requests
        one_trained = tmp_path / "killed" / "models" / "generated-only"
        for is_there in (
            lambda: server.bill.requests > asked,
            one_trained.exists,
        ):  # while calls, then trainings, go on
            pid = nursery.start(folder, tmp_path / "killed", url=server.url, engine=engine)
            wait_until(is_there)
            os.kill(pid, signal.SIGKILL)
            assert nursery.ended() == -signal.SIGKILL
            deaths += 1
        nursery.start(folder, tmp_path / "killed", url=server.url, engine=engine)
        assert nursery.ended() == 0
        check(tmp_path / "killed", report, costs["calls"], server.bill + server.lost - before, deaths)


def wait_until(is_there):
    """Waits until something is there, a few minutes at most."""
    end = time.monotonic() + 300
    while not is_there():
        assert time.monotonic() < end
        time.sleep(0.01)


def run_script(folder, run_dir, engine):
    """A run whose synthesizer was written at a prompt."""
    command = [sys.executable, "-c", CODE, str(folder), str(run_dir), str(Path(__file__).parent), engine]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_plugin_written_at_a_prompt_runs_under_ray_which_stops_the_cluster_that_it_started(
    folder, tmp_path, monkeypatch
):
    pytest.importorskip("ray")
    for variable, value in RAY.items():
        monkeypatch.setenv(variable, value)
    done = run_script(folder, tmp_path / "run", "ray")
    assert done.stdout.splitlines()[-1:] == ["2 cases, Ray runs: False"], done.stderr


def test_a_plugin_written_at_a_prompt_is_refused_by_processes_with_the_reason(folder, tmp_path):
    done = run_script(folder, tmp_path / "run", "local")
    assert "the synthesizer Brush cannot travel to another process: its class Brush was written in a" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_plugin_of_a_package_works_on_workers(folder, tmp_path, name, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples" / "plugins" / "xaiaug-weather")
    from xaiaug_weather.synthesizer import WeatherSynthesizer

    found = run(folder, tmp_path / "run", WeatherSynthesizer(), until="images", name=name, workers=WORKERS)
    assert found == run(folder, tmp_path / "here", WeatherSynthesizer(), until="images")
