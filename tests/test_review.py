"""New images wait for a person, whose word is in a table; the page serves this machine alone."""

import csv
import http.client
import io
import json
import os
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Splits, open_run, panel
from xaiaug.curation.review_table import COLUMNS, ReviewDecision
from xaiaug.errors import DataError, RunFolderError, RunLockedError, WaitingForReview
from xaiaug.report.thumbnails import read_heatmap
from xaiaug.results.maintenance import status, verify
from xaiaug.review import ReviewServer
from xaiaug.review.gallery import Gallery
from xaiaug.store import Reader, Store
from xaiaug.store.schema import EXPLAIN, SETTINGS


class Wording(Painter):
    """Reads the prompt, too, and paints grey where nobody wishes a colour."""

    uses = frozenset({"guidance", "prompt"})

    def _one(self, request):
        guidance = {"backdrop_colour": "#808080", **request.guidance}
        return super()._one(replace(request, guidance=guidance))


def loop(review=True, synthesizer=Wording, arms=("generated+training", "class-name-prompts", "unfiltered")):
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        synthesizer(),
        arms=arms,
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=1,
        settings={"curation": {"review": review, "checks": ["constant"], "remakes": 1}},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 24, "validation": 4, "test": 12})


def go(folder, run_dir, **settings):
    return loop(**settings).run(Splits.from_folder(folder), run_dir)


def wait(folder, run_dir):
    with pytest.raises(WaitingForReview) as caught:
        go(folder, run_dir)
    return str(caught.value)


def read(run_dir):
    with (run_dir / "review.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(run_dir, rows):
    with (run_dir / "review.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def first(folder, tmp_path_factory):
    """A run that waits, to be copied."""
    run_dir = tmp_path_factory.mktemp("run") / "run"
    wait(folder, run_dir)
    return run_dir


@pytest.fixture
def waiting(first, tmp_path):
    import shutil

    return shutil.copytree(first, tmp_path / "run")


def test_the_run_stops_and_says_what_to_do(folder, waiting):
    rows = read(waiting)
    message = wait(folder, waiting)
    assert f"{len(rows)} of the new images have no decision" in message and f"xaiaug review {waiting}" in message
    assert status(waiting)["state"] == "waiting for review"
    report = open_run(waiting).report
    assert not report.complete and report.images.review.waiting == len(rows) and not report.arms
    assert any("Waiting for review" in note.text for note in report.notes)
    assert all((waiting / row["image"]).is_file() and not row["decision"] for row in rows)
    assert not {"arm", "source"} & set(rows[0]), "a person must not know whose image it is"


def test_keeping_all_goes_on_to_the_same_result_as_without_review(folder, waiting, tmp_path):
    write(waiting, [{**row, "decision": "Keep "} for row in read(waiting)])
    result = go(folder, waiting)
    assert result.report.complete and result.report.images.review.kept == len(read(waiting))
    plain = go(folder, tmp_path / "plain", review=False)
    assert plain.report.images.review is None
    assert result.report.arms == plain.report.arms
    assert not (tmp_path / "plain/review.csv").exists()
    assert verify(waiting) == []


def test_a_rejected_image_is_made_again_with_another_seed_and_looked_at_again(folder, waiting):
    rows = read(waiting)
    gone = rows[0]
    write(waiting, [{**row, "decision": "reject" if row is gone else "keep"} for row in rows])
    assert "1 of the new images have no decision" in wait(folder, waiting)
    (new,) = [row for row in read(waiting) if not row["decision"]]
    assert new["case"] == gone["case"] and new["id"] != gone["id"]
    write(waiting, [{**row, "decision": row["decision"] or "keep"} for row in read(waiting)])
    report = go(folder, waiting).report
    assert report.images.rejected == {"review": 1}
    images = [image for case in report.cases for image in case.images]
    (rejected,) = [image for image in images if image.check == "review"]
    assert rejected.reason == "rejected by a reviewer" and not rejected.kept and rejected.arms == ()
    assert rejected.blob not in [image.blob for image in images if image.kept]


def test_an_edited_prompt_makes_the_image_again_with_that_prompt(folder, waiting):
    rows = read(waiting)
    chosen = next(row for row in rows if not row["prompt_is_fixed"])
    write(waiting, [{**row, "decision": "keep", "new_prompt": "a cat in snow" * (row is chosen)} for row in rows])
    wait(folder, waiting)
    (new,) = [row for row in read(waiting) if not row["decision"]]
    assert new["prompt"] == "a cat in snow" and new["case"] == chosen["case"]
    write(waiting, [{**row, "decision": row["decision"] or "keep"} for row in read(waiting)])
    report = go(folder, waiting).report
    assert report.images.review.prompts == 1
    lines = [json.loads(line) for line in (waiting / "synthetic/metadata.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines].count("a cat in snow") == 1


def test_the_prompt_of_an_arm_that_fixes_it_cannot_be_edited(folder, waiting):
    rows = read(waiting)
    assert {row["prompt_is_fixed"] for row in rows} == {"", "yes"}
    fixed = next(row for row in rows if row["prompt_is_fixed"])
    assert ReviewDecision.from_row({**fixed, "decision": "keep", "new_prompt": "another"}) == ReviewDecision(True)


def test_no_prompt_is_edited_that_no_synthesizer_reads(folder, tmp_path):
    with pytest.raises(WaitingForReview):
        go(folder, tmp_path / "run", synthesizer=Painter, arms=["generated+training"])
    assert {row["prompt_is_fixed"] for row in read(tmp_path / "run")} == {"not read"}
    assert not any(item["prompt_is_read"] for item in Gallery(tmp_path / "run").items())


def test_the_images_of_a_run_without_review_are_shown_and_not_decided(folder, tmp_path):
    go(folder, tmp_path / "run", review=False)
    gallery = Gallery(tmp_path / "run")
    items = gallery.items()
    assert items and not gallery.decides
    assert all(item["decision"] == "keep" or item["reason"] for item in items)
    assert gallery.picture(items[0]["id"], "image") and gallery.picture(items[0]["id"], "failed")
    for decide in (lambda: gallery.decide(items[0]["id"], {"decision": "reject"}), gallery.keep_the_rest):
        with pytest.raises(DataError, match=r"review = true"):
            decide()
    assert not (tmp_path / "run/review.csv").exists()
    with ReviewServer(tmp_path / "run") as server:
        assert b'"decides": false' in ask(server, "")[1]


def test_no_image_of_a_mistake_with_a_wrong_label_is_kept_or_made_again(folder, waiting):
    rows = read(waiting)
    case = rows[0]["case"]
    write(waiting, [{**row, "decision": "keep", "label_is_wrong": "yes" if row is rows[0] else ""} for row in rows])
    with pytest.raises(WaitingForReview):  # other mistakes of the class give what is missing
        go(folder, waiting)
    report = open_run(waiting).report
    assert report.images.review.labels == 1
    (found,) = [one for one in report.cases if one.id == case]
    filtered = [image for image in found.images if image.check]
    assert filtered and all("label" in image.reason for image in filtered)
    assert case not in {row["case"] for row in read(waiting) if not row["decision"]}


def test_a_word_nobody_knows_is_named(folder, waiting):
    rows = read(waiting)
    write(waiting, [{**rows[0], "decision": "perhaps"}, *rows[1:]])
    with pytest.raises(DataError, match=f"must be keep, reject or empty, got 'perhaps' for image {rows[0]['id']}"):
        go(folder, waiting)


def save_as(run_dir, delimiter, encoding):
    table = run_dir / "review.csv"
    rows = read(run_dir)
    with table.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows([{**row, "decision": "keep"} for row in rows])
    return len(rows)


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16")])
def test_answers_saved_by_a_spreadsheet_count(folder, waiting, delimiter, encoding):
    answers = save_as(waiting, delimiter, encoding)
    edited = (waiting / "review.csv").read_bytes()
    assert go(folder, waiting).report.images.review.kept == answers
    assert (waiting / "review.csv.bak").read_bytes() == edited


def test_a_review_without_ids_is_refused_and_stays(folder, waiting):
    rows = read(waiting)
    lines = ["decision;label_is_wrong;new_prompt", *(["keep;;"] * len(rows))]
    (waiting / "review.csv").write_text("\n".join(lines))
    with pytest.raises(RunFolderError, match=r"review.csv cannot be read.*no column 'label', .*Nothing was changed"):
        go(folder, waiting)
    assert (waiting / "review.csv").read_text().splitlines() == lines


def ask(server, path, *, method="GET", host=None, origin=None, body=None, kind="application/json", token=None):
    address = server.origin.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.putrequest(method, f"/{token or server.token}/{path}", skip_host=True)
    data = json.dumps(body).encode() if body is not None else b""
    headers = {"Host": host or address, "Origin": origin, "Content-Type": kind, "Content-Length": str(len(data))}
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(data)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.headers)
    connection.close()
    return found


@pytest.fixture
def server(waiting):
    with ReviewServer(waiting) as running:
        yield running


def test_the_page_shows_what_is_in_the_table_and_forbids_everything_else(server, waiting):
    code, page, headers = ask(server, "")
    assert code == 200
    shown = json.loads(page.split(b'id="data">')[1].split(b"</script>")[0])
    assert [item["id"] for item in shown["items"]] == [row["id"] for row in read(waiting)]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    name = shown["items"][0]["id"]
    for what in ("image", "failed", "heatmap"):
        assert ask(server, f"{what}/{name}")[1].startswith(b"\x89PNG")


@pytest.mark.parametrize(("scale", "shared"), [("image", None), ("run", (0.1, 0.5))])
def test_the_heatmap_has_the_colours_of_the_panel(waiting, scale, shared, monkeypatch):
    get_fact = Reader.get_fact
    settings = {"panel": {"scale": scale}}
    monkeypatch.setattr(Reader, "get_fact", lambda self, fact: settings if fact == SETTINGS else get_fact(self, fact))
    monkeypatch.setattr(panel, "shared_scale", lambda maps: shared if list(maps) else None)
    gallery, run = Gallery(waiting), Reader(waiting)
    rows = [row for row in run.rows(EXPLAIN) if "heatmap" in row["predicted"]]
    maps = {row["id"]: read_heatmap(run.blobs.read(row["predicted"]["heatmap"]["blob"])) for row in rows}
    for item in gallery.items():
        image = run.blobs.image(next(row["image"]["blob"] for row in rows if row["id"] == item["case"]))
        shown = Image.open(io.BytesIO(gallery.picture(item["id"], "heatmap")))
        assert shown.tobytes() == panel.overlay_heatmap(image, maps[item["case"]], shared).tobytes()
    run.close()


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("", {"token": "x" * 32}),
        ("", {"token": "caf\u00e9"[:3]}),
        ("", {"host": "example.org"}),
        ("", {"origin": "http://example.org"}),
        ("image/..%2f..%2frun.toml", {}),
        ("run.toml", {}),
        ("image/0000000000000000", {}),
        ("decide", {"method": "POST", "body": {"decision": "keep"}}),
        ("decide", {"method": "POST", "body": {"decision": "keep"}, "origin": "null"}),
        ("keep-the-rest", {"method": "POST", "body": {}, "origin": "http://127.0.0.1:1"}),
    ],
)
def test_a_stranger_gets_nothing(server, waiting, path, wrong):
    before = read(waiting)
    code, body, _ = ask(server, path, **wrong)
    assert (code, body) == (404, b"Not Found")
    assert read(waiting) == before


def post(server, path, body, **changed):
    return ask(server, path, **{"method": "POST", "body": body, "origin": server.origin, **changed})


def test_a_decision_is_in_the_table_when_the_answer_comes(server, waiting):
    name = read(waiting)[0]["id"]
    assert post(server, "decide", {"id": name, "decision": "reject", "new_prompt": "=1+1 <b>"})[0] == 200
    row = read(waiting)[0]
    assert (row["decision"], row["new_prompt"]) == ("reject", "'=1+1 <b>")  # no formula for a spreadsheet
    assert post(server, "keep-the-rest", {})[0] == 200
    assert [row["decision"] for row in read(waiting)] == ["reject", *["keep"] * (len(read(waiting)) - 1)]


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"id": "nobody", "decision": "keep"}, {}),
        ({"decision": "perhaps"}, {}),
        ({"decision": 3}, {}),
        ({"new_prompt": "x" * 5000}, {}),
        ({"decision": "keep"}, {"kind": "text/plain"}),
        (["keep"], {}),
    ],
)
def test_what_cannot_be_kept_is_told_and_changes_nothing(server, waiting, body, changed):
    before = read(waiting)
    if isinstance(body, dict):
        body = {"id": before[0]["id"], **body}
    code, answer, _ = post(server, "decide", body, **changed)
    assert code == 409 and json.loads(answer)["error"]
    assert read(waiting) == before


def test_while_the_run_goes_on_elsewhere_nothing_is_saved_and_the_page_is_told(server, waiting):
    before = read(waiting)
    with Store(waiting):
        code, answer, _ = post(server, "decide", {"id": before[0]["id"], "decision": "keep"})
    assert code == 409 and "another process" in json.loads(answer)["error"]
    assert read(waiting) == before


def test_words_of_strangers_cannot_end_the_script(waiting):
    rows = read(waiting)
    write(waiting, [{**rows[0], "prompt": "</script><script>alert(1)</script>\u2028"}, *rows[1:]])
    with ReviewServer(waiting) as server:
        page = ask(server, "")[1].decode()
    assert page.count("</script>") == 2
    told = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert told["items"][0]["prompt"] == "</script><script>alert(1)</script>\u2028"


def test_a_run_without_images_has_nothing_to_show(folder, tmp_path):
    loop(review=False).run(Splits.from_folder(folder), tmp_path / "run", until="critique")
    with pytest.raises(RunFolderError, match="run it up to images"):
        ReviewServer(tmp_path / "run")
    with pytest.raises(RunFolderError):
        ReviewServer(tmp_path / "nowhere")
    with Store(tmp_path / "run"), pytest.raises(RunLockedError):
        ReviewServer(tmp_path / "run")


def test_the_browser_is_called_with_a_file_of_this_user_that_is_gone_once_the_page_is_open(server, monkeypatch):
    called = []
    monkeypatch.setattr("webbrowser.open", called.append)
    server.open_browser()
    (address,) = called
    assert server.token not in address and address.startswith("file:")
    file = Path(url2pathname(urlsplit(address).path))
    assert server.url in file.read_text()
    assert os.name == "nt" or (file.stat().st_mode & 0o077, file.parent.stat().st_mode & 0o077) == (0, 0)
    assert ask(server, "")[0] == 200
    assert not file.parent.exists()


@pytest.mark.parametrize("length", ["100", "\xb2", "9" * 5000, "-1"])
def test_aborted_and_malformed_requests_print_nothing(server, length, capfd):
    host = server.origin.removeprefix("http://")
    fields = {"Host": host, "Origin": server.origin, "Content-Type": "application/json", "Content-Length": length}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    for request in (f"GET /{server.token}/ HTTP/1.1\r\n{head}", f"POST /{server.token}/decide HTTP/1.1\r\n{head}{{"):
        with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2]))) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets when closed
            connection.sendall(request.encode("latin-1"))
    assert ask(server, "")[0] == 200
    time.sleep(0.3)
    assert capfd.readouterr() == ("", "")
