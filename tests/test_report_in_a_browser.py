"""The report in a real browser, from its file: filters, keys, links, slider and zoom work, and nothing else runs."""

import pytest
import report_example as example
from axe import barriers

from xaiaug.report import Report
from xaiaug.report.page import render
from xaiaug.report.schema_arms import ChangedImageRow
from xaiaug.report.schema_cases import CritiqueRow
from xaiaug.report.schema_report import Data, Note, Run

pytestmark = pytest.mark.ci
MISTAKES, CONFIRMED = 60, 5
FAR = f"{MISTAKES - 1:016x}"  # the last one, which is not drawn at first

# Ways to have a script run, to load something, or to leave the element that a text stands in.
HOSTILE = (
    "<script>ran()</script>",
    "</script><script>ran()</script>",
    "</style><script>ran()</script>",
    "--><script>ran()</script>",
    "<!--<script>",
    "]]><script>ran()</script>",
    "</title><script>ran()</script>",
    "</textarea><script>ran()</script>",
    "</template><script>ran()</script>",
    "</noscript><script>ran()</script>",
    "</svg><script>ran()</script>",
    "</dialog></main><script>ran()</script>",
    "<img src=x onerror=ran()>",
    '"><img src=x onerror=ran()>',
    "' onmouseover='ran()' x='",
    '" autofocus onfocus="ran()" x="',
    "<svg onload=ran()>",
    "<svg><animate onbegin=ran() attributeName=x dur=1s>",
    "<body onload=ran()>",
    "<details open ontoggle=ran()>",
    "<iframe srcdoc='<script>parent.ran()</script>'>",
    "<iframe src=javascript:parent.ran()>",
    "<object data=javascript:ran()>",
    "<embed src=//evil.example/x.swf>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<form action=//evil.example/><button>",
    "<a href=javascript:ran()>x</a>",
    "javascript:ran()",
    "data:text/html,<script>ran()</script>",
    "{{ ran() }}",
    "{% import os %}",
    "${ran()}",
    "`+ran()+`",
    "\\u003cscript\\u003eran()\\u003c/script\\u003e",
    "\u2028ran()\u2029",
    "#<img/src=x onerror=ran()>?q=<script>ran()</script>",
    "url(//evil.example/x) ; background: red } * { display: none",
)


def large(mistakes: int = MISTAKES) -> Report:
    """A report with all parts and some images."""
    cases = [example.case(number, 4, path=f"guide/cat/{number}.png", class_specific=True) for number in range(mistakes)]
    zebra = CritiqueRow(cause="A zebra stands behind it.", label_suspect=True)
    cases[3] = cases[3].model_copy(update={"critique": zebra, "fixed_by": ("continued",)})
    ids = [case.id for case in cases]
    return example.report(
        mistakes,
        seeds=3,
        cases=tuple(cases),
        verdict=example.verdict(),
        slices=example.slices(cases[:7]),
        causes=(example.cause("confirmed", ids[:CONFIRMED]), example.cause("refuted", ids[5:7])),
        changed=(ChangedImageRow(id="t1", path="test/1.png", label="dog", predicted="cat", fixed_by=("continued",)),),
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(large(), example.blob), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def report(page, address):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    assert {url.partition("?")[0].partition("#")[0] for url in asked if not url.startswith("data:image/")} == {address}


def count(page):
    return page.locator("#count").inner_text()


def shown(page):
    return page.locator("#gallery > .mistake").count()


def choose(page, name, label):
    options = page.locator(f"select[data-filter={name}] option")
    text = next(text for text in options.all_inner_texts() if text.startswith(label))
    page.select_option(f"select[data-filter={name}]", label=text)


def test_filters_search_and_order_show_what_they_say_and_stay_in_the_address(report, address):
    assert count(report) == f"{MISTAKES} mistakes" and 0 < shown(report) < MISTAKES
    choose(report, "verdict", "confirmed")
    assert count(report) == f"{CONFIRMED} of {MISTAKES} mistakes" and shown(report) == CONFIRMED
    choose(report, "fixed", "fixed by continued")
    assert shown(report) == 1
    report.reload()
    assert shown(report) == 1, "the state of the filters is in the address"
    report.locator("#clear").click()
    assert count(report) == f"{MISTAKES} mistakes" and not report.locator("#clear").is_visible()
    choose(report, "label", "looks wrong")
    assert shown(report) == 1
    report.goto(f"{address}#mistakes?q=ZEBRA+behind&sort=path")
    report.reload()
    assert shown(report) == 1 and report.locator("#sort").input_value() == "path"
    report.locator("#search").fill("no such words")
    report.get_by_text("No mistake matches").wait_for()
    report.locator("#clear").click()
    choose(report, "verdict", "refuted")
    report.locator("#gallery h3 a").first.click()
    report.locator(".mistake.open").wait_for()
    assert "#mistake-" in report.url and "verdict=refuted" in report.url, "a link to a mistake keeps the filters"
    report.get_by_role("link", name="Show its mistakes of slice 1").click()
    report.locator("#count").filter(has_text="7 of").wait_for()


def test_a_link_opens_its_mistake_wherever_it_is(report, address):
    report.goto(f"{address}#mistake-{FAR}")
    report.reload()
    last = report.locator(f"#mistake-{FAR}")
    last.wait_for()
    assert "open" in last.get_attribute("class")
    assert report.evaluate("document.activeElement.id") == f"mistake-{FAR}"
    assert 0 <= last.bounding_box()["y"] < 860
    for words in ("Panel shown to the critic", "guide/cat/59.png", "heat explains", "still wrong"):
        assert words in last.inner_text()
    while report.locator("#earlier").is_visible():
        report.locator("#earlier").click()
    assert shown(report) == MISTAKES
    report.goto(f"{address}#mistake-{0:016x}?slice=none")
    report.locator(f"#mistake-{0:016x}.open").wait_for()
    assert count(report) == f"{MISTAKES} mistakes", "a filter that hides the linked mistake gives way"
    report.goto(f"{address}#mistake-%E0%A4%A?q=%&slice=99&sort=none&evil=1")
    report.reload()
    assert shown(report) > 0 and report.locator(".open").count() == 0, "what cannot be followed does no harm"


def test_keys_walk_through_the_gallery_and_the_enlarged_pictures(report):
    first, second = (report.locator("#gallery > .mistake").nth(place).get_attribute("id") for place in (0, 1))
    report.locator("#gallery .toggle").first.focus()
    report.keyboard.press("j")
    assert report.evaluate("document.activeElement.id") == second
    report.keyboard.press("k")
    report.keyboard.press("o")
    assert report.locator(f"#{first}.open").count() == 1 and report.evaluate("document.activeElement.id") == first
    report.keyboard.press("o")
    assert report.locator(f"#{first}.open").count() == 0
    report.keyboard.press("z")
    dialog = report.get_by_role("dialog")
    title = dialog.get_by_role("heading").inner_text()
    report.keyboard.press("ArrowRight")
    assert dialog.get_by_role("heading").inner_text() != title
    report.keyboard.press("ArrowLeft")
    assert dialog.get_by_role("heading").inner_text() == title
    report.keyboard.press("Escape")
    assert not dialog.is_visible()
    report.keyboard.press("/")
    report.keyboard.type("jkoz/")
    assert report.locator("#search").input_value() == "jkoz/"


def test_sliders_fade_the_heat_and_pictures_can_be_enlarged(report):
    def opacity(where):
        return float(report.locator(f"{where} .heat").first.evaluate("(one) => getComputedStyle(one).opacity"))

    report.locator("#heat").fill("20")
    assert opacity("#gallery") == pytest.approx(0.2)
    report.locator("#gallery .enlarge").first.click()
    dialog = report.get_by_role("dialog")
    assert dialog.get_by_text("heat explains").count() == 1
    report.locator("#zoom-heat").fill("0")
    assert opacity("#zoom") == 0
    dialog.get_by_role("button", name="Close").click()
    report.locator("#gallery .toggle").first.click()
    report.locator(".details input[type=range]").fill("100")
    assert opacity(".details") == 1
    assert opacity(".mistake:not(.open)") == pytest.approx(0.2)
    report.locator(".generated .enlarge").first.click()
    for words in ("Seed", "a cat with a brown coat on a meadow", "blobs/synthetic-0-0"):
        assert words in dialog.inner_text()
    dialog.get_by_role("button", name="Close").click()
    report.locator(".slice .enlarge").first.click()
    assert "dog predicted cat" in dialog.inner_text()


def test_the_path_of_a_file_can_be_copied(report):
    report.context.grant_permissions(["clipboard-read", "clipboard-write"])
    report.locator("#gallery .toggle").first.click()
    report.get_by_role("button", name="Copy guide/cat/0.png").click()
    report.get_by_text("Copied.").wait_for(state="attached")
    assert report.evaluate("navigator.clipboard.readText()") == "guide/cat/0.png"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "report.html"
    path.write_text(render(large(8), example.blob), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_has_no_serious_barrier(page, small, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 860})
    page.goto(small)
    page.locator("#gallery .toggle").first.click()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".face .enlarge").nth(1).click()
    assert page.get_by_role("dialog").bounding_box()["width"] <= width
    if (scheme, width) == ("light", 1280):
        assert barriers(page) == []


def test_arms_keep_their_dots_and_their_difference_on_a_phone(report):
    report.set_viewport_size({"width": 390, "height": 860})
    row = report.locator(".overview tbody tr").last
    assert row.locator("circle.mean").is_visible() and row.locator("td").last.is_hidden()
    assert row.locator("td", has_text="+11.0").is_visible()


def test_hostile_texts_run_no_script_wherever_they_stand(page, tmp_path):
    cases = tuple(
        example.case(
            number,
            label=text,
            predicted=text,
            path=text,
            method=text,
            critique_slice=text,
            critique=CritiqueRow(
                cause=text, prompt=text, attended=text, difficulty=text, evidence=(text,), guidance={text: text}
            ),
            failures=(example.failure(text, text),),
            fixed_by=(text,),
            images=tuple(
                image.model_copy(
                    update={"check": text, "reason": text, "prompt": text, "dropped": (text,), "arms": (text,)}
                )
                for image in example.case(number, 3).images
            ),
        )
        for number, text in enumerate(HOSTILE)
    )
    everything = " ".join(HOSTILE)
    report = example.report(
        len(HOSTILE),
        run=Run(name=everything, versions={text: text for text in HOSTILE}),
        settings={text: text for text in HOSTILE},
        data=Data(labels=HOSTILE, warnings=HOSTILE),
        notes=tuple(Note(kind="warning", text=text) for text in HOSTILE),
        arms=tuple(
            arm.model_copy(update={"name": text}) for arm, text in zip(example.arms() * 10, HOSTILE, strict=True)
        ),
        slices=example.slices(cases),
        causes=tuple(
            example.cause("confirmed", [case.id]).model_copy(update={"label": text, "sentence": text})
            for case, text in zip(cases, HOSTILE, strict=True)
        ),
        changed=tuple(ChangedImageRow(id=text, path=text, label=text, predicted=text) for text in HOSTILE),
        cases=cases,
        verdict=example.verdict(everything),
    )
    (tmp_path / "report.html").write_text(render(report, example.blob), encoding="utf-8")
    ran, asked = [], []
    page.expose_function("ran", lambda: ran.append(True))
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    while page.locator("#later").is_visible():
        page.locator("#later").click()
    while page.locator(".toggle[aria-expanded=false]").count():
        page.evaluate("document.querySelectorAll('.toggle[aria-expanded=false]').forEach((one) => one.click())")
    page.evaluate("document.querySelectorAll('#gallery summary, .generated .enlarge').forEach((one) => one.click())")
    page.keyboard.press("Escape")
    for text in HOSTILE[::8]:
        page.locator("#search").fill(text)
        page.locator("#count").filter(has_text=" of ").wait_for()
    assert ran == []
    assert [url for url in asked if not url.startswith(("file:", "data:image/"))] == []
    page.locator("#clear").click()
    titles = page.locator("#gallery .mistake h3 a").all_inner_texts()
    assert HOSTILE[0] in " ".join(titles)
    tags = page.evaluate("[...new Set([...document.querySelectorAll('*')].map((one) => one.tagName.toLowerCase()))]")
    assert not {"iframe", "object", "embed", "form", "base", "link", "animate", "textarea"} & set(tags)
    assert page.locator("script").count() == 3 and page.locator("style").count() == 1
    assert page.evaluate("[...document.images].every((one) => one.src.startsWith('data:image/'))")
    assert page.evaluate("[...document.querySelectorAll('[href]')].every((one) => one.getAttribute('href')[0] === '#')")
