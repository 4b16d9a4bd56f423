"""Tables that people edit in spreadsheets are read whatever the spreadsheet made of them, or refused and left alone."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.curation.review_table import COLUMNS, ReviewDecision, index_rows
from xaiaug.errors import DataError, RunFolderError
from xaiaug.store import Store
from xaiaug.tables import format_csv, mask_formula, parse_edited_csv, parse_table, unmask_formula

NAMES = ("decision", "new_prompt", "id")
cells = st.text(st.characters(exclude_categories=("C",)) | st.sampled_from(',;\t"\n|'), max_size=12)


def write(rows, delimiter=",", encoding="utf-8", names=NAMES):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([names, *rows])
    return text.getvalue().encode(encoding)


@given(
    st.lists(st.tuples(cells, cells, st.text("0123456789abcdef", min_size=1)), max_size=4),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_a_spreadsheet_saves_is_what_is_read(rows, delimiter, encoding):
    table = parse_table(write(rows, delimiter, encoding), NAMES)
    assert table.columns == NAMES
    assert [tuple(row.values()) for _, row in table.rows] == rows


def test_the_first_line_of_excel_and_blank_lines_are_no_rows():
    table = parse_table(b'sep=;\r\nDecision ; NEW_PROMPT;id;\r\n;;;\r\nkeep;"a; b";1;\r\n\r\n', NAMES)
    assert [(line, row["decision"], row["new_prompt"], row["id"]) for line, row in table.rows] == [
        (4, "keep", "a; b", "1")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no column 'decision', 'new_prompt', 'id'"),
        (
            b"decision;new_prompt\nkeep;\n",
            "has no column 'id'; it has decision, new_prompt, separated by semi",
        ),
        (b"decision,new_prompt,id,ID\n", "has the column 'id' twice"),
        (b"decision,new_prompt,id\nkeep,a, b,1\n", r"line 2: more values than columns"),
        ("decision;new_prompt;id\nkeep;Kätzchen;1\n".encode("cp1252"), "is not a UTF-8 CSV file"),
        ("decision,new_prompt,id\n".encode("utf-16-le"), "zero bytes"),
        (b'decision,new_prompt,id\nkeep,"a,1\n', "is not a UTF-8 CSV file"),
        (b"PK\x03\x04\x14\x00", "zero bytes"),
        (",".join(map(str, range(5000))).encode(), "has no column"),
    ],
)
def test_what_is_no_such_table_is_refused_in_a_short_message(content, message):
    with pytest.raises(DataError, match=message) as caught:
        parse_table(content, NAMES)
    assert len(str(caught.value)) < 600


# Texts that are one character away from a formula, apostrophes and separators among them.
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
texts = st.text(st.sampled_from(SIGNS + "'\"\t\r\n;,| a1\u200b\ufeff\xa0"), max_size=8) | st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12
)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
def test_any_text_is_read_back_as_it_was_written(rows):
    written = [{"id": "1", "prompt": one, "cause": other} for one, other in rows]
    assert parse_edited_csv(format_csv(written).encode(), ("id", "prompt", "cause")) == written


def spreadsheet_cells(text):
    """The cells that a spreadsheet would make of a text, whichever delimiter it expects, quoted or not."""
    return [text, *re.split(r"[;\t\r\n]", text)]


@given(texts)
def test_no_cell_or_piece_of_one_is_a_formula(text):
    masked = mask_formula(text)
    assert not masked.startswith(("\t", "\r", "\n"))
    for cell in spreadsheet_cells(masked):
        assert not cell.strip(' "\xa0\u200b\ufeff').startswith(tuple(SIGNS)), masked
    assert unmask_formula(masked) == text


@given(texts, st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_written_table_that_a_spreadsheet_saved_is_read_as_it_was_written(text, delimiter, encoding):
    cells = list(csv.reader(io.StringIO(format_csv([{"id": "1", "prompt": text}]), newline="")))
    saved = write(cells[1:], delimiter, encoding, names=cells[0])
    assert parse_edited_csv(saved, ("id", "prompt")) == [{"id": "1", "prompt": text}]
    # Some take the apostrophe for their own mark of a text, and save the text without it.
    if cells[1][1].startswith("'") and not text.startswith("'"):
        saved = write([["1", cells[1][1][1:]]], delimiter, encoding, names=cells[0])
        assert parse_edited_csv(saved, ("id", "prompt")) == [{"id": "1", "prompt": text}]


def test_formulas_are_masked_and_numbers_and_other_texts_stay():
    rows = [
        {"text": '=HYPERLINK("http://x","y")', "number": -0.5, "none": None},
        {"text": "it's 'fine', -5", "number": 3, "none": None},
        {"text": "a;=1+1\n@x", "number": -1e-9, "none": None},
    ]
    assert format_csv(rows) == (
        "text,number,none\n"
        '"\'=HYPERLINK(""http://x"",""y"")",-0.5,\n'
        "\"it's 'fine', -5\",3,\n"
        "\"a;'=1+1\n'@x\",-1e-09,\n"
    )


def test_a_mask_takes_linear_time():
    for text in ("\x1f" * 200_000, "'" * 200_000, "\t" * 200_000 + "=", ";" * 200_000, " \u200b" * 100_000 + "x"):
        assert unmask_formula(mask_formula(text)) == text


@pytest.mark.parametrize("text", ["a\0b", "a\ud800"])
def test_a_text_that_no_table_can_hold_is_an_error(text):
    with pytest.raises(DataError, match="a table cannot hold"):
        format_csv([{"text": text}])


def test_a_table_of_a_user_is_read_as_it_stands():
    assert parse_table(b"file,label\n'=a.png,'-1\n", ("file", "label")).rows[0][1] == {
        "file": "'=a.png",
        "label": "'-1",
    }


def test_a_table_that_is_replaced_is_kept_beside_and_one_that_is_not_understood_stays(tmp_path):
    with Store(tmp_path) as store:
        store.write_table("review.csv", [{"id": "1", "decision": ""}])
        assert not (tmp_path / "review.csv.bak").exists()
        edited = b"id;decision\r\n1;keep\r\n"
        (tmp_path / "review.csv").write_bytes(edited)
        store.write_table("review.csv", store.read_table("review.csv", ["id", "decision"]))
        store.write_table("review.csv", store.read_table("review.csv", ["id", "decision"]))
        assert (tmp_path / "review.csv").read_bytes() == b"id,decision\n1,keep\n"
        assert (tmp_path / "review.csv.bak").read_bytes() == edited
        (tmp_path / "review.csv").write_bytes(b"decision\nkeep\n")
        with pytest.raises(RunFolderError, match=r"has no column 'id'.*Nothing was changed"):
            store.read_table("review.csv", ["id", "decision"])
        assert (tmp_path / "review.csv").read_bytes() == b"decision\nkeep\n"


def line(**values):
    return {
        **dict.fromkeys(COLUMNS, ""),
        "id": "0123456789abcdef",
        "image": "blobs/01/0123456789abcdef01.png",
        **values,
    }


def test_an_id_that_a_spreadsheet_made_a_number_is_found_in_the_name_of_the_image():
    number = "1234567890123456"
    rows = index_rows([line(id="1,23457E+15", image=f"blobs/12/{number}0123456789abcdef01234567.png", decision="keep")])
    assert rows[number]["decision"] == "keep" and rows[number]["id"] == number
    with pytest.raises(DataError, match=r"id '1,23457E\+15', expected 16 hexadecimal"):
        index_rows([line(id="1,23457E+15", image="")])


def test_two_decisions_on_one_image_are_refused():
    assert len(index_rows([line(decision="keep"), line(decision="keep")])) == 1
    with pytest.raises(DataError, match="two different decisions"):
        index_rows([line(decision="keep"), line(decision="reject")])


@pytest.mark.parametrize("word", ["yes", "WAHR", "vrai", "x", "1"])
def test_a_flag_may_be_in_the_words_of_a_spreadsheet(word):
    assert ReviewDecision.from_row(line(label_is_wrong=word)).label_is_wrong
    assert not ReviewDecision.from_row(line(label_is_wrong="falsch")).label_is_wrong
    with pytest.raises(DataError, match="label_is_wrong must be yes, no or empty, got 'maybe'"):
        ReviewDecision.from_row(line(label_is_wrong="maybe"))
