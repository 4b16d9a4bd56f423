"""The review page in a real browser: driven by keys, and without serious barriers."""

import csv
import shutil
from contextlib import contextmanager

import pytest
from axe import barriers
from test_review import go, read, wait

from xaiaug.review import ReviewServer

pytestmark = pytest.mark.ci
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from fakes import paint_folder

    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 24, "validation": 4, "test": 12})


@pytest.fixture(scope="module")
def first(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run") / "run"
    wait(folder, run_dir)
    return run_dir


@pytest.fixture
def waiting(first, tmp_path):
    return shutil.copytree(first, tmp_path / "run")


@contextmanager
def served(folder, page):
    """A server of the run, which the page leaves before it ends: pictures may still be on their way."""
    with ReviewServer(folder) as server:
        yield server
        page.goto("about:blank")


def counted(page, text):
    page.get_by_role("status").filter(has_text=text).wait_for()


def test_a_person_reviews_a_run_with_the_keyboard_alone_and_the_run_goes_on(folder, waiting, page):
    rows = read(waiting)
    free = next(place for place, row in enumerate(rows) if not row["prompt_is_fixed"])
    with served(waiting, page) as server:
        page.goto(server.url)
        counted(page, f"0 of {len(rows)} reviewed")
        for _ in range(free):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("e")
        page.locator("#words").fill("a cat that likes 'k' & \"r\" <b>")
        page.keyboard.press("Control+Enter")
        counted(page, "1 of")
        page.keyboard.press("k")
        counted(page, "1 kept · 1 rejected")
        page.keyboard.press("r")
        counted(page, "1 kept · 2 rejected")
        page.reload()
        counted(page, "1 kept · 2 rejected")
        page.keyboard.press("l")
        page.keyboard.press("u")
        counted(page, "1 kept · 2 rejected")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Keep the rest").click()
        page.get_by_role("heading", name="All images are reviewed").wait_for()
    said = read(waiting)
    assert said[free]["new_prompt"] == "a cat that likes 'k' & \"r\" <b>"
    assert [row["decision"] for row in said].count("reject") == 2
    assert not any(row["label_is_wrong"] for row in said)
    wait(folder, waiting)
    (again,) = [row for row in read(waiting) if not row["decision"] and row["case"] == said[free]["case"]]
    assert again["prompt"] == said[free]["new_prompt"]
    with served(waiting, page) as server:
        page.goto(server.url)
        while page.locator("#one").is_visible():
            left = sum(not row["decision"] for row in read(waiting))
            page.keyboard.press("k")
            counted(page, f"{len(read(waiting)) - left + 1} of")
    assert go(folder, waiting).report.complete


def test_a_flagged_label_rejects_every_image_of_its_mistake(waiting, page):
    rows = read(waiting)
    same = sum(row["case"] == rows[0]["case"] for row in rows)
    with served(waiting, page) as server:
        page.goto(server.url)
        page.keyboard.press("l")
        counted(page, f"0 kept · {same} rejected")
    assert read(waiting)[0]["label_is_wrong"] == "yes"


def test_what_cannot_be_saved_is_said_and_nothing_moves(waiting, page):
    from xaiaug.store import Store

    with served(waiting, page) as server:
        page.goto(server.url)
        with Store(waiting):
            answer = page.evaluate("fetch('decide', {method: 'POST', body: '{}'}).then((a) => a.status)")
            assert answer == 409
        counted(page, "0 of")
        (waiting / "review.csv").write_text("nonsense\n")
        page.evaluate("decide({decision: 'keep'}, true)")
        page.get_by_role("alert").filter(has_text="Not saved").wait_for()
        counted(page, "0 of")


def test_untrusted_text_stays_text(waiting, page):
    rows = read(waiting)
    evil = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    with (waiting / "review.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows([{**row, "prompt": evil, "label": evil} for row in rows])
    page.on("dialog", lambda dialog: pytest.fail("an untrusted script ran"))
    with served(waiting, page) as server:
        page.goto(server.url)
        assert page.locator("#prompt").inner_text() == evil
        assert page.locator("#prompt img").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_review_page_has_no_serious_barrier(waiting, page, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 860})
    with served(waiting, page) as server:
        page.goto(server.url)
        counted(page, "0 of")
        assert barriers(page) == []
        page.keyboard.press("k")
        counted(page, "1 of")
        page.keyboard.press("e")
        assert barriers(page) == []
        page.keyboard.press("Escape")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Keep the rest").click()
        page.get_by_role("heading", name="All images are reviewed").wait_for()
        assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
