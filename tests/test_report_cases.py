"""The data of the gallery: every mistake, by what it can be filtered, and no more of its images than fit."""

import json

import pytest
import report_example as example
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.report.cases import MOST_KEPT, MOST_NEW, MOST_REJECTED, Gallery, collect_cases
from xaiaug.report.page_text import to_script_json
from xaiaug.report.schema_cases import CaseRow, CritiqueRow
from xaiaug.report.schema_report import Report
from xaiaug.report.thumbnails import Pictures


def gallery(report: Report) -> Gallery:
    return collect_cases(report, Pictures(example.blob))


def options(found: Gallery, key: str) -> dict[str, int]:
    (one,) = (one for one in found.filters if one.key == key)
    return {option.value: option.count for option in one.options}


def test_each_pair_of_classes_comes_in_turn_and_none_is_left_out() -> None:
    report = example.report(7)
    cases = gallery(report).data["cases"]
    assert [case["label"] for case in cases] == ["dog", "cat", "dog", "cat", "dog", "cat", "cat"]
    assert {case["id"] for case in cases} == {row.id for row in report.cases}


def test_thousands_of_mistakes_are_all_there() -> None:
    rows = tuple(example.case(number, asked=0) for number in range(2000))
    assert len(gallery(example.report(1, cases=rows)).data["cases"]) == 2000


@pytest.mark.parametrize("mistakes", [1, 1500, 4000])
def test_new_images_are_shown_as_far_as_they_fit_and_all_are_counted(mistakes: int) -> None:
    images = tuple(
        image.model_copy(update={"kept": turn % 2 == 0}) for turn, image in enumerate(example.case(1, 30).images)
    )
    rows = tuple(example.case(number, images=images) for number in range(mistakes))
    found = gallery(example.report(1, cases=rows))
    case = found.data["cases"][0]
    kept = [image for image in case["images"] if image.get("kept")]
    assert 1 <= len(kept) <= MOST_KEPT and 1 <= len(case["images"]) - len(kept) <= MOST_REJECTED
    assert (case["kept"], case["rejected"]) == (15, 15)
    assert len(case["images"]) * mistakes <= max(MOST_NEW, 2 * mistakes)
    assert found.new_left_out == mistakes * (29 - sum("picture" in image for image in case["images"]))


def test_only_a_plain_colour_is_painted() -> None:
    critique = CritiqueRow(
        cause="", guidance={"subject_colour": "#12ab9f", "backdrop_colour": "url(http://x)", "size": 0.5}
    )
    (case,) = gallery(example.report(1, cases=(example.case(critique=critique),))).data["cases"]
    assert case["critique"]["guidance"] == [
        ("subject colour", "#12ab9f", "#12ab9f"),
        ("backdrop colour", "url(http://x)", ""),
        ("size", "0.50", ""),
    ]


def test_a_case_whose_grid_is_constant_has_no_heat_and_says_so() -> None:
    flat = example.case(degenerate=True)
    (case,) = gallery(example.report(1, cases=(flat,))).data["cases"]
    assert case["flat"] and "heat" not in case


@pytest.mark.parametrize(("specific", "said"), [(True, "prediction"), (False, "all classes"), (None, None)])
def test_which_class_the_heat_explains_is_known_to_the_page(specific: bool | None, said: str | None) -> None:
    (case,) = gallery(example.report(1, cases=(example.case(class_specific=specific),))).data["cases"]
    assert case.get("explains") == said


def test_filters_count_what_they_show() -> None:
    cases = [example.case(number, asked=0) for number in range(6)]
    ids = [case.id for case in cases]
    suspect = CritiqueRow(cause="", label_suspect=True)
    cases[0] = cases[0].model_copy(update={"critique": suspect, "fixed_by": ("continued", "generated+training")})
    cases[1] = cases[1].model_copy(update={"fixed_by": ("continued", "an arm without scores")})
    report = example.report(
        6,
        cases=tuple(cases),
        slices=example.slices(cases[:4]),
        causes=(example.cause("confirmed", ids[:2]), example.cause("refuted", ids[2:3])),
    )
    found = gallery(report)
    assert options(found, "slice") == {"0": 4, "1": 4, "none": 2}
    assert sum(options(found, "pair").values()) == 6
    assert options(found, "cause") == {"backdrop": 3}
    assert options(found, "verdict") == {"confirmed": 2, "refuted": 1, "none": 3}
    assert options(found, "label") == {"suspect": 1, "sound": 5}
    fixed = options(found, "fixed")
    assert (fixed["any"], fixed["none"]) == (2, 4)
    assert [fixed[str(number)] for number in range(3)] == [2, 0, 1]
    assert [fixed[f"not-{number}"] for number in range(3)] == [4, 6, 5]
    by_id = {case["id"]: case for case in found.data["cases"]}
    assert by_id[ids[0]]["edits"][0]["id"] == ids[0] and by_id[ids[1]]["edits"] == [None]
    assert found.data["causes"][0]["example"]["right"] == [False, True, False]


def test_what_a_slice_states_and_a_critic_states_are_both_tests_of_a_mistake() -> None:
    cases = [example.case(number, asked=0) for number in range(3)]
    ids = [case.id for case in cases]
    slices = example.slices(cases)
    first = slices.slices[0].model_copy(update={"verdict": example.cause("confirmed", ids[:1])})
    slices = slices.model_copy(update={"slices": (first, *slices.slices[1:])})
    report = example.report(3, cases=tuple(cases), slices=slices, causes=(example.cause("refuted", ids),))
    found = gallery(report)
    assert [(one["outcome"], one["slice"]) for one in found.data["causes"]] == [("refuted", False), ("confirmed", True)]
    by_id = {case["id"]: case for case in found.data["cases"]}
    assert by_id[ids[0]]["causes"] == [0, 1] and by_id[ids[1]]["causes"] == [0]
    assert options(found, "verdict") == {"confirmed": 1, "refuted": 3, "none": 0}


def test_without_tests_slices_arms_and_suspects_there_is_nothing_to_filter_by_but_classes() -> None:
    found = gallery(example.report(6, arms=()))
    assert [one.key for one in found.filters] == ["pair"]


anything = st.recursive(
    st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(anything)
def test_json_in_a_script_cannot_end_it_and_is_read_back(value: object) -> None:
    text = to_script_json(["</script><!--", value])
    assert "<" not in text and ">" not in text and "&" not in text
    assert json.loads(text)[0] == "</script><!--"


def test_a_case_says_nothing_of_what_it_lacks() -> None:
    bare = CaseRow(id="0", label="cat", predicted="dog", probability=0.0)
    (case,) = gallery(example.report(1, cases=(bare,))).data["cases"]
    assert set(case) == {"id", "label", "predicted", "pair", "p", "kept", "rejected"}
