"""Strict reading of TOML: values by type and range, every mistake at once, each with its line."""

from pathlib import Path

import pytest

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.toml_section import TomlSection
from tests.conftest import faults_of

TEXT = """\
# a comment
top = 1
"quoted key" = 2

[a]
number = 1.5
pair = [
    1,
    2,
]
word = "x"

[a.below]
deep = true

[[a.list]]
n = 1

[[a.list]]   # the second
n = 2
"""


@pytest.fixture
def section(tmp_path: Path) -> TomlSection:
    return read(tmp_path, TEXT)


def read(folder: Path, content: str | bytes) -> TomlSection:
    path = folder / "s.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TomlSection.read(path)


def test_a_table_that_is_read_completely_is_good(section: TomlSection) -> None:
    assert section.integer("top", 0, 9) == 1
    assert section.integer("quoted key", 0, 9) == 2
    a = section.table("a")
    assert a.number("number", 0, 2) == 1.5
    assert a.numbers("pair", 2, 0, 2) == (1.0, 2.0)
    assert a.text("word") == "x" and a.choice("word", ("w", "x")) == "x"
    assert a.table("below").data == {"deep": True}
    a.table("below")._take("deep", "", None)
    assert a.array_of_tables("list", lambda child: child.integer("n", 0, 9)) == (1, 2)
    section.finish()


def test_lines_of_keys_tables_and_array_items(section: TomlSection) -> None:
    a = section.table("a")
    assert section.line("top") == 2 and section.line("quoted key") == 3
    assert a.line() == 5 and a.line("pair") == 7 and a.line("word") == 11
    assert a.table("below").line("deep") == 14
    assert a.array_of_tables("list", lambda child: child.line("n")) == (17, 20)
    # A missing key is reported at the line of its table.
    assert a.line("absent") == 5 and section.line("absent") == 1


def test_lines_of_inline_tables_are_those_of_their_key(tmp_path: Path) -> None:
    section = read(tmp_path, "x = 1\na = { b = { c = 3 } }\n")
    assert section.table("a").table("b").line("c") == 2


def test_what_is_not_asked_for_is_unknown(section: TomlSection) -> None:
    section.integer("top", 0, 9)
    found = faults_of(section.finish)
    assert found == [
        "s.toml:3 'quoted key': expected a known key (top), got 'quoted key'",
        "s.toml:5 a: expected a known key (top), got 'a'",
    ]


def test_defaults_only_where_they_are_offered(section: TomlSection) -> None:
    a = section.table("a")
    assert a.number("x", 0, 1, 0.5) == 0.5
    assert a.integer("y", 0, 1, 1) == 1
    assert a.numbers("z", 2, 0, 1, (0.0, 1.0)) == (0.0, 1.0)
    assert a.choice("c", ("p", "q"), "q") == "q" and a.text("t", "") == ""
    assert section.table("nowhere", optional=True).number("n", 0, 1, 0.25) == 0.25
    a.number("missing", 0, 1)
    assert "s.toml:5 a.missing: expected a number from 0 to 1, got nothing" in faults_of(section.finish)


@pytest.mark.parametrize("value", ['"1"', "true", "nan", "inf", "-inf", "-1", "10.01", "[1]", "{}", "1979-05-27"])
def test_what_is_no_number_in_range(tmp_path: Path, value: str) -> None:
    section = read(tmp_path, f"n = {value}\n")
    assert section.number("n", 0, 10) == 0
    (problem,) = faults_of(section.finish)
    assert problem.startswith("s.toml:1 n: expected a number from 0 to 10, got ")


@pytest.mark.parametrize("value", ["1.0", '"1"', "true", "11", "-1", "[]", "9" * 400, "0x" + "f" * 5000])
def test_what_is_no_integer_in_range(tmp_path: Path, value: str) -> None:
    section = read(tmp_path, f"n = {value}\n")
    assert section.integer("n", 0, 10) == 0
    (problem,) = faults_of(section.finish)
    assert problem.startswith("s.toml:1 n: expected an integer from 0 to 10, got ") and len(problem) < 200


@pytest.mark.parametrize(
    "value", ["[1]", "[1, 2, 3]", "1", "[1, true]", '[1, "2"]', "[1, 99]", "[1, nan]", "[[1], [2]]"]
)
def test_what_is_no_pair_in_range(tmp_path: Path, value: str) -> None:
    section = read(tmp_path, f"n = {value}\n")
    assert section.numbers("n", 2, 0, 10) == (0, 0)
    assert faults_of(section.finish)[0].startswith("s.toml:1 n: expected 2 numbers from 0 to 10, got ")


def test_what_is_no_text_choice_or_table(tmp_path: Path) -> None:
    section = read(tmp_path, 'a = 1\nb = "z"\nc = 3\nd = 4\ne = [1]\n')
    section.text("a")
    assert section.choice("b", ("x", "y")) == "x"
    section.table("c").number("n", 0, 1)
    assert section.array_of_tables("d", lambda child: child) == ()
    assert section.array_of_tables("e", lambda child: child) == ()
    assert faults_of(section.finish) == [
        "s.toml:1 a: expected a text, got 1",
        "s.toml:2 b: expected one of x, y, got 'z'",
        "s.toml:3 c: expected a table, got 3",
        "s.toml:4 d: expected an array of tables, got 4",
        "s.toml:5 e: expected an array of tables, got [1]",
    ]


def test_named_tables_need_a_name_and_at_least_one(tmp_path: Path) -> None:
    section = read(tmp_path, '[t."Big One"]\n[t.good]\n[u]\n[v]\nw = 3\n')
    assert set(section.named_tables("t", lambda name, table: name)) == {"Big One", "good"}
    section.named_tables("u", lambda name, table: name)
    section.named_tables("v", lambda name, table: name)
    assert faults_of(section.finish) == [
        "s.toml:1 t.'Big One': expected a table name of up to 32 lower-case letters, digits and _, first a letter, "
        "got 'Big One'",
        "s.toml:3 u: expected at least one table [u.NAME], got none",
        "s.toml:5 v.w: expected a table, got 3",
    ]


def test_mistakes_come_in_the_order_of_lines(tmp_path: Path) -> None:
    section = read(tmp_path, "[z]\nn = 9\n[b]\nn = 9\n[a]\nn = 9\n")
    for name in "abz":
        section.table(name).number("n", 0, 1)
    assert [problem.split(" ")[0] for problem in faults_of(section.finish)] == ["s.toml:2", "s.toml:4", "s.toml:6"]


BROKEN = [
    ("a = \n", "s.toml:1 file: expected valid TOML, got: Invalid value"),
    ("a = 1\n\nb = [1,\n", "s.toml:4 file: expected valid TOML, got: "),
    ("a = 1\na = 2\n", "s.toml:2 file: expected valid TOML, got: Cannot overwrite a value"),
    (b"a = 1\nb = '\xff'\n", "s.toml:2 file: expected UTF-8 text, got byte 0xff"),
    (b"\xef\xbb\xbfa = 1\nb = '\x93\xfa'\n", "s.toml:2 file: expected UTF-8 text, got byte 0x93"),
    ("a = 1\n".encode("utf-16"), "s.toml:1 file: expected UTF-8 text, got byte 0xff"),
    ("a = '\0'\n", "s.toml:1 file: expected valid TOML, got: "),
    ("a = 1\nb = " + "9" * 5000, "s.toml:2 file: expected integers of at most 4300 digits, got a longer one"),
    ("a = " + "[" * 5000, "s.toml:1 file: expected valid TOML, got lists or tables nested too deep"),
    ("a = " + "{a=" * 5000, "s.toml:1 file: expected valid TOML, got lists or tables nested too deep"),
]


@pytest.mark.parametrize(("content", "says"), BROKEN, ids=[says[7:60] + str(i) for i, (_, says) in enumerate(BROKEN)])
def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    (problem,) = faults_of(read, tmp_path, content)
    assert problem.startswith(says) and problem.isprintable()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^s\.toml:1 file: expected a readable file, got No such file"):
        TomlSection.read(tmp_path / "s.toml")


def test_a_byte_order_mark_and_carriage_returns_are_no_mistake(tmp_path: Path) -> None:
    section = read(tmp_path, b"\xef\xbb\xbf[a]\r\nn = 1\r\n\r\nm = 99\r\n")
    a = section.table("a")
    a.integer("n", 0, 9)
    a.integer("m", 0, 9)
    assert faults_of(section.finish) == ["s.toml:4 a.m: expected an integer from 0 to 9, got 99"]


def test_keys_and_values_of_any_shape_are_shown_in_one_short_line(tmp_path: Path) -> None:
    deep = "[x" + ".a" * 2000 + "]\nb = 1\n"
    section = read(tmp_path, '"a\\nb" = 1\nlong = "' + "y" * 9999 + '"\n' + deep)
    section.number("long", 0, 1)
    section.number("x", 0, 1)
    found = faults_of(section.finish)
    assert len(found) == 3
    assert all(problem.isprintable() and len(problem) < 250 for problem in found)
