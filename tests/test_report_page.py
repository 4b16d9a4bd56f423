"""The page: complete, self-contained, escaped, accessible, and the same for the same report."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
import report_example as example
from hypothesis import example as sample_of
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug.report import Report
from xaiaug.report.page import render
from xaiaug.report.schema_arms import (
    ArmResult,
    ChangedImageRow,
    ChangedImages,
    Curves,
    LeftOut,
    SeedResult,
    WorstGroupRow,
)
from xaiaug.report.schema_cases import CritiqueRow, Images, Mistakes
from xaiaug.report.schema_recommendation import Recommendation, RemedyRow
from xaiaug.report.schema_report import Data, Note, Plugins, PluginUse, Run
from xaiaug.report.schema_slices import SlicesRow

HOSTILE = "</style></svg><script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(1)>{{ 7*7 }}"
VOID = {"meta", "img", "br", "link", "input", "line", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """The elements of a page, in order; fails on a tag that is not closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, Any]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    def data(self) -> tuple[dict[str, Any], list[Any]]:
        """What the script of the page reads: the gallery, and the pictures."""
        gallery, pictures, _ = self.scripts
        return json.loads(gallery), json.loads(pictures)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def page(report: Report) -> Page:
    return Page(render(report, example.blob))


def many_classes() -> Report:
    labels = tuple(f"class {number}" for number in range(200))
    counts = {"train": dict.fromkeys(labels, 3)}
    return example.report(2, data=Data(labels=labels, counts=counts), arms=example.arms(2, labels))


def failures_everywhere() -> Report:
    failed = (example.failure("explain"), example.failure("critique"))
    cases = tuple(
        example.case(number, critique=None, panel=None, heatmap=None, images=(), failures=failed) for number in range(3)
    )
    unread = ArmResult(name="diverged", seeds=(SeedResult(seed=0, history=Curves()),))
    return example.report(3, cases=cases, complete=False, arms=(unread,), images=Images(asked=15, failed=15))


REPORTS = {
    "finished": example.report(9, seeds=2, verdict=example.verdict()),
    "slices": example.report(4, slices=example.slices([example.case(number) for number in range(4)])),
    "no slices": example.report(2, slices=SlicesRow(images=300, mistakes=9, reason="9 mistakes, and 20 are needed")),
    "empty": Report(data=Data(labels=())),
    "no mistakes": example.report(0, cases=(), arms=(), maps=None),
    "two maps": example.report(2, maps=example.maps("too few images", low=None, high=None, entropy=None)),
    "two mistakes": example.report(2),
    "mistakes only": example.report(8, until="mistakes", arms=(), left_out=()),
    "unfinished": example.report(3, complete=False, arms=(*example.arms(), ArmResult(name="later"))),
    "only left out": example.report(1, arms=(), left_out=(LeftOut(name="lora", reason="no adapters"),)),
    "many classes": many_classes(),
    "failures everywhere": failures_everywhere(),
    "no blobs": example.report(2, cases=(example.case(image=None, panel=None, heatmap=None),)),
}
reports = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


@reports
def test_the_same_report_gives_the_same_bytes_also_after_a_way_through_the_file(report: Report) -> None:
    assert render(report, example.blob) == render(Report.read(report.dump()), example.blob)


@reports
def test_the_page_loads_nothing(report: Report) -> None:
    found = page(report)
    assert not {"link", "iframe", "object", "embed", "form", "base"} & set(found.tags())
    assert found.attributes("src") == []
    assert all(
        isinstance(one, str) or one[0].startswith(("data:image/jpeg;base64,", "data:image/webp;base64,"))
        for one in found.data()[1]
    )
    assert all(target.startswith("#") for target in found.attributes("href"))
    assert not any(name.startswith("on") or name == "style" for _, names in found.elements for name in names)


@reports
def test_the_policy_allows_the_page_its_own_style_and_script_and_nothing_else(report: Report) -> None:
    text = render(report, example.blob)
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    script = re.search(r"<script>(.*?)</script>", text, re.S).group(1)
    allowed = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style, script)]
    assert (
        f"default-src 'none'; img-src data:; style-src 'sha256-{allowed[0]}'; script-src 'sha256-{allowed[1]}'; "
        "base-uri 'none'; form-action 'none'" in text
    )
    assert "url(" not in style
    assert "@import" not in style


@reports
def test_a_screen_reader_finds_its_way(report: Report) -> None:
    found = page(report)
    ids = found.attributes("id")
    assert len(set(ids)) == len(ids)
    pointed = [*found.attributes("aria-labelledby"), *found.attributes("aria-describedby")]
    assert {name for names in pointed for name in names.split()} <= set(ids)
    mistakes = {f"mistake-{case['id']}" for case in found.data()[0]["cases"]}  # the script makes these
    assert {target[1:].partition("?")[0] for target in found.attributes("href")} <= {*ids, *mistakes}
    # The dialog has a heading of its own.
    levels = [int(tag[1]) for tag in found.tags()[: found.tags().index("dialog")] if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert all(names.get("alt") for tag, names in found.elements if tag == "img")
    pictures = found.data()[1]
    assert all(isinstance(pictures[int(number)], list) for number in found.attributes("data-picture"))
    assert all("aria-label" in names or "aria-hidden" in names for tag, names in found.elements if tag == "svg")
    assert found.tags().count("main") == 1


@reports
def test_the_outcome_and_the_glossary_are_always_there(report: Report) -> None:
    text = render(report, example.blob)
    assert re.search('<p class="lead">[A-Z].+[.]</p>', text)
    _, _, glossary = text.rpartition('id="glossary"')
    assert re.findall("<dt>(.*?)</dt>", glossary) == ["guide", "arm", "heatmap", "critique", "kept"]


def test_the_page_holds_everything_about_a_mistake() -> None:
    (case,) = page(example.report(1)).data()[0]["cases"]
    text = json.dumps(case)
    for words in (
        "as green as in most training images of cats",
        "62 % of the heat lies outside the animal",
        "a dog with a brown coat on a meadow, morning light",
        "backdrop colour",
        "duplicate",
        "same pixels as image 0",
        "no subject was found in the guide image",
    ):
        assert words in text, words
    assert (case["label"], case["predicted"], case["p"]) == ("dog", "cat", 0.93)
    assert case.keys() >= {"image", "heat", "panel"}


def test_every_picture_is_on_the_page_once() -> None:
    report = example.report(9, causes=(example.cause("confirmed", [f"{number:016x}" for number in range(4)]),))
    pictures = page(report.model_copy(update={"slices": example.slices(report.cases)})).data()[1]
    assert len(pictures) == 9 * (3 + 4) + 3 + 1
    assert all(isinstance(one, list) for one in pictures)


def test_the_recommendation_comes_first_and_worst_groups_stand_with_their_intervals() -> None:
    worst = WorstGroupRow(attribute="class × place", value=HOSTILE, n=40, accuracy=0.25, low=0.1, high=0.46)
    arms = tuple(arm.model_copy(update={"worst_group": worst}) for arm in example.arms())
    remedies = (
        RemedyRow(arm="baseline", to_best=-0.2),
        RemedyRow(arm=HOSTILE, gain=0.1, low=0.02, high=0.18, to_best=0),
    )
    advice = Recommendation(arm=HOSTILE, sentence="Refit it.", margin=0.02, seeds=3, remedies=remedies)
    report = example.report(arms=arms, verdict=example.verdict()).model_copy(update={"recommendation": advice})
    found = page(report)
    assert found.text.index("Refit it.") < found.text.index(example.verdict().sentence)
    assert found.text.count("10.0 to 46.0") == len(arms) and "+2.0 to +18.0" in found.text
    assert "recommended" in found.text and found.tags().count("script") == 3


def test_cautions_of_the_run_and_of_the_data_stand_together_warnings_first_and_the_shortest_of_them() -> None:
    notes = (Note(kind="info", text="a word"), Note(kind="warning", text="a warning that is quite long"))
    data = Data(labels=("cat", "dog"), warnings=("3 files",))
    text = page(example.report(notes=notes, data=data)).text
    places = [text.index(words) for words in ("3 files", "a warning that is", "a word")]
    assert places == sorted(places) and text.index("Arms") < places[0] < text.index("Glossary", places[0])


def test_a_run_without_mistakes_says_so() -> None:
    text = page(REPORTS["no mistakes"]).text
    assert "made no mistakes on 200 guide images" in text
    assert "all 200 guide images were classified correctly" in text


def test_failures_are_there_with_their_reason() -> None:
    for case in page(REPORTS["failures everywhere"]).data()[0]["cases"]:
        assert case["failures"] == [
            [stage, "refusal", "the model declined to answer"] for stage in ("explain", "critique")
        ]


def test_a_run_that_analysed_some_of_its_mistakes_says_so() -> None:
    mistakes = Mistakes(found=900, guide_size=2000, chosen=250)
    cases = tuple(example.case(number, asked=0) for number in range(250))
    found = page(example.report(1, mistakes=mistakes, cases=cases))
    assert "The run analysed 250 of them." in found.text
    assert len(found.data()[0]["cases"]) == 250


def test_what_arms_fix_and_break_on_test_is_listed_with_its_files() -> None:
    changed = ChangedImageRow(
        id="t1", path="test/dog/9.png", label="dog", predicted="cat", fixed_by=("continued",), broken_by=()
    )
    arms = tuple(arm.model_copy(update={"changed": ChangedImages(fixed=("t1",))}) for arm in example.arms())
    found = page(example.report(changed=(changed,), arms=arms))
    assert "test/dog/9.png" in found.text and found.attributes("data-copy").count("test/dog/9.png") == 1
    assert "1 / 0" in found.text


def test_rejected_images_stand_by_the_check_that_rejected_them() -> None:
    text = " ".join(page(example.report(3)).text.split())
    assert "What was rejected, and why" in text and "duplicate 3" in text and "same pixels as image 0" in text


def test_calibration_stands_before_and_after_scaling() -> None:
    arms = tuple(
        arm.model_copy(
            update={
                "seeds": tuple(
                    seed.model_copy(
                        update={
                            "metrics": seed.metrics.model_copy(
                                update={"calibration_error": 0.123, "scaled_calibration_error": 0.045}
                            )
                        }
                    )
                    for seed in arm.seeds
                )
            }
        )
        for arm in example.arms()
    )
    assert "12.3" in page(example.report(arms=arms)).text and "4.5" in page(example.report(arms=arms)).text
    assert "temperature scaling" not in page(example.report()).text


def test_how_to_reproduce_names_command_seeds_versions_and_licences() -> None:
    plugins = Plugins(classifier=PluginUse(name="transformers", licence="apache-2.0", parameters={"checkpoint": "a/b"}))
    report = example.report(seeds=2, plugins=plugins, until="critique")
    _, _, text = page(report).text.partition("How to reproduce")
    for words in ("xaiaug run run.toml --run-dir again --until critique", "torch 2.13.0", "apache-2.0", "a/b"):
        assert words in text, words


def hostile(text: str) -> Report:
    critique = CritiqueRow(
        cause=text, prompt=text, difficulty=text, evidence=(text,), guidance={"place": text, "backdrop_colour": text}
    )
    case = example.case(label=text, predicted=text, critique=critique, failures=(example.failure(message=text),))
    images = tuple(
        image.model_copy(update={"check": text, "reason": text, "dropped": (text,)}) for image in case.images
    )
    arms = tuple(arm.model_copy(update={"name": f"{arm.name}{text}", "isolates": text}) for arm in example.arms())
    return example.report(
        1,
        run=Run(name=text, versions={"xaiaug": text}, hardware={"device": text}),
        settings={"text": text},
        notes=(Note(kind="warning", text=text),),
        data=Data(labels=(text, "dog"), warnings=(text,), counts={text: {text: 1}}),
        arms=arms,
        left_out=(LeftOut(name=text, reason=text),),
        cases=(case.model_copy(update={"images": images}),),
        verdict=example.verdict(text),
    )


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    found, harmless = page(hostile(HOSTILE)), page(hostile("zyx"))
    assert found.tags() == harmless.tags()
    assert found.text.count("<script>alert(1)</script>") == harmless.text.count("zyx") > 20
    assert found.data()[0]["cases"][0]["critique"]["cause"] == HOSTILE
    assert "49" not in found.text.replace("{{ 7*7 }}", "").split()


@settings(max_examples=15, deadline=None)
@sample_of("#000000")
@given(st.text(min_size=1, max_size=60))
def test_no_text_changes_the_structure_of_the_page(text: str) -> None:
    report = hostile(text)
    assert page(report).tags() == page(hostile("zyx")).tags() or not text.strip()


def test_text_cannot_turn_the_direction_of_the_page_or_smuggle_control_characters() -> None:
    text = render(hostile("a\u202eb\u2066c\x00d\x1b"), example.blob)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", text)
    assert "abc\N{REPLACEMENT CHARACTER}d" in text


def test_endless_text_of_a_critic_is_cut_and_says_so() -> None:
    endless = "word " * 20_000
    critique = CritiqueRow(cause=endless, prompt=endless, difficulty=endless, evidence=(endless,) * 30)
    text = render(example.report(1, cases=(example.case(critique=critique),)), example.blob)
    assert "more characters in report.json" in text
    assert Page(text).data()[0]["cases"][0]["critique"]["more"] == 22
    assert len(text) < len(render(example.report(1), example.blob)) + 10_000


def colours(scheme: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", scheme))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "raised", "wash", "caution"])
@pytest.mark.parametrize("ink", ["ink", "soft", "accent", "bad"])
def test_text_stands_out_from_its_ground_in_light_and_dark(scheme: str, ground: str, ink: str) -> None:
    style = re.search(r"<style>(.*?)</style>", render(REPORTS["empty"], example.blob), re.S).group(1)
    light, dark = style.split("prefers-color-scheme: dark")[:2]
    palette = colours(light if scheme == "light" else dark)
    bright, dim = sorted((luminance(palette[ground]), luminance(palette[ink])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def test_a_long_class_name_is_shortened_wherever_it_stands() -> None:
    long = "x" * 5000
    report = example.report()
    cases = tuple(case.model_copy(update={"label": long, "predicted": long}) for case in report.cases)
    data = report.data.model_copy(update={"labels": (long, "dog")})
    text = render(report.model_copy(update={"cases": cases, "data": data}), example.blob)
    assert not re.search("x{200}", text) and "… (5,000 characters)" in text
