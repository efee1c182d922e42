"""CSV files of spreadsheets: delimiter, nameless columns, decimal marks; every mistake with its line and column."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.csv_file import DELIMITERS, CsvRows, yes_or_no

KNOWN = ("name", "width")


def read(text: str, **options: object) -> tuple[list[tuple[int, dict[str, str]]], list[str], CsvRows]:
    problems: list[str] = []

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"{line} {column}: expected {expected}, got {got}")

    rows = CsvRows(io.StringIO(text, newline=""), KNOWN, wrong, KNOWN, **options)
    return list(rows), problems, rows


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(str.strip)
tables = st.lists(st.tuples(cells.filter(bool), cells), min_size=1, max_size=5)


@given(tables, st.sampled_from(sorted(DELIMITERS)), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_rows_are_read_with_every_delimiter(table, delimiter: str, end: str, excel: bool, is_wide: bool) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([[*row, *([""] * is_wide)] for row in [KNOWN, *table]])
    rows, problems, _ = read(f"sep={delimiter}{end}" * excel + text.getvalue())
    assert problems == []
    assert [row for _, row in rows] == [dict(zip(KNOWN, row, strict=True)) for row in table]


def test_lines_are_those_of_the_file() -> None:
    rows, _, _ = read('sep=;\n\n;;\nname;width\na;"1\n2"\n;\n\nb;3\n')
    assert [line for line, _ in rows] == [5, 9]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "1 header: expected the columns name, width, got nothing"),
        ("name:width\n", {}, "1 header: expected the columns name, width, got no such column"),
        ("name;size\n", {}, "1 header: expected the column width, got no such column"),
        ("name;width;name\n", {}, "1 header: expected each column once, got 'name' twice"),
        ("name,width\na,0,5\n", {}, "2 row: expected 2 values as in the header, got 3 (a truncated line, a stray"),
        ("name;width\na\n", {}, "2 row: expected 2 values as in the header, got 1 (a truncated line, a stray"),
        ("name,width,\na,1,\nb,2,x\nc,3,y\n", {}, "3 column 3: expected a name for this column in the header, or no"),
        (",name,width\n0,a,1\n", {}, "2 column 1: expected a name"),
        (",name,width\nx,a,1\n", {"index": True}, "2 column 1: expected a name"),
        ('name,width\n"a,1\n', {}, "2 row: expected a valid CSV record, got unexpected end of data"),
        ('"name\n', {}, "1 row: expected a valid CSV record"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, options: dict[str, bool], message: str) -> None:
    _, (problem,), _ = read(text, **options)
    assert problem.startswith(message)


def test_an_index_and_short_rows_are_read_where_they_may_be() -> None:
    rows, problems, _ = read(",name,width,note\n0,a,1\n1,b\n", index=True, ragged=True)
    assert not problems
    assert [cells for _, cells in rows] == [
        {"name": "a", "width": "1", "note": ""},
        {"name": "b", "width": "", "note": ""},
    ]


@pytest.mark.parametrize(
    ("delimiter", "texts", "numbers"),
    [
        (",", ["1", "0.5", "-2.5e3", "0,5", "1.234,5", "0_8"], [1.0, 0.5, -2500.0, None, None, None]),
        (";", ["1", "0,5", "-2,5e3", "0.5", "1.234,5", "1,2,3", "7"], [1.0, 0.5, -2500.0, None, None, None, 7.0]),
        ("\t", ["0.5", "0,5", "x,5", "0.25"], [0.5, None, None, 0.25]),
    ],
)
def test_a_file_has_one_decimal_mark(delimiter: str, texts: list[str], numbers: list[float | None]) -> None:
    _, _, rows = read(f"name{delimiter}width\n")
    assert rows.delimiter == delimiter
    for text, number in zip(texts, numbers, strict=True):
        if number is None:
            with pytest.raises(ValueError, match=r"number|convert|decimal mark"):
                rows.number(text)
        else:
            assert rows.number(text) == number


@pytest.mark.parametrize("empty", [True, False])
def test_answers_of_cells(empty: bool) -> None:
    assert [yes_or_no(text, empty) for text in ("Yes", " y", "1", "TRUE")] == [True] * 4
    assert [yes_or_no(text, empty) for text in ("no", "N ", "0", "False")] == [False] * 4
    assert [yes_or_no(text, empty) for text in ("", "  ", "perhaps", "2")] == [empty, empty, None, None]
