"""Reading the CSV file of a reference: what is read, and which mistakes are named with line and column."""

import numpy as np
import pytest

from trainer.core.errors import InputError
from trainer.gauge.reference_file import read_reference


@pytest.fixture
def file(tmp_path):
    """Returns a function that writes the text of a reference's file, and returns its path."""

    def write(text, encoding="utf-8"):
        path = tmp_path / "measured.csv"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_measures_and_their_uncertainty_are_read(file):
    text = "part,address,dx_mm,dy_mm,height_mm,u_mm\np1,r1c1,0.1,-0.2,-0.3,0.01\np1,r1c2,0,0,,\n"
    found = read_reference(file(text))
    assert found.measures["p1"]["r1c1"].tolist() == [0.1, -0.2, 0.3] and np.isnan(found.measures["p1"]["r1c2"][2])
    assert found.u_mm == {"p1": {"r1c1": 0.01}} and not found.missing


def test_files_are_read_as_spreadsheets_save_them(file):
    """A byte order mark, semicolons, decimal commas, names in capitals, blank lines at the end, a comment."""
    text = "Part;Address;DX_mm;dy_mm;Height_mm;comment\r\np1;r1c1;0,1;-0,2;-0,3;worn, see photo\r\n;;;;;\r\n"
    found = read_reference(file(text, "utf-8-sig"))
    assert found.measures["p1"]["r1c1"].tolist() == [0.1, -0.2, 0.3] and len(found.measures["p1"]) == 1


def test_a_missing_pin_is_read_from_the_column_present(file):
    found = read_reference(
        file(
            "part,address,dx_mm,dy_mm,height_mm,u_mm,present\n"
            "p1,r1c1,0.1,-0.2,-0.3,0.01,yes\np1,r1c2,,,,0.01,No\np1,r1c3,0,0,,,\np2,r1c1,,,,,FALSE\n"
        )
    )
    assert found.missing == {("p1", "r1c2"), ("p2", "r1c1")}
    assert np.isnan(found.measures["p1"]["r1c2"]).all() and found.measures["p1"]["r1c1"].tolist() == [0.1, -0.2, 0.3]
    assert found.u_mm == {"p1": {"r1c1": 0.01}}
    assert read_reference(file("part,address,present\np1,r1c1,no\n")).missing == {("p1", "r1c1")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p1,r1c1,a,0,,,", ":2 dx_mm: expected a number of mm, got 'a'"),
        ("p1,r1c1,,0,,,", ":2 dx_mm: expected a number of mm, got ''"),
        ("p1,r1c1,0,inf,,,", ":2 dy_mm: expected a finite number of mm, got 'inf'"),
        ("p1,r1c1,0,0,inf,,", ":2 height_mm: expected a finite number of mm, got 'inf'"),
        ("p1,r1c1,0,0,,-0.1,", ":2 u_mm: expected an uncertainty of at least 0 mm, got -0.1"),
        ("p1,r1c1,0,0,,a,", ":2 u_mm: expected a number of mm, got 'a'"),
        ("p1,,0,0,,,", ":2 address: expected a name, got nothing"),
        (",r1c1,,,,,no", ":2 part: expected a name, got nothing"),
        ("p1,r1c1,0.1,,,,no", ":2 present: expected yes for a pin with measures, got no and dx_mm 0.1"),
        ("p1,r1c1,,,-0.2,,0", ":2 present: expected yes for a pin with measures, got 0 and height_mm -0.2"),
        ("p1,r1c1,0,0,0,,perhaps", ":2 present: expected yes or no, got 'perhaps'"),
        ("p1,r1c1,0,1,0,2,,,", ":2 row: expected 7 values as in the header, got 9 (a truncated line, a stray comma or"),
        ('p1,r1c1,"0,1",0,,,', ":2 dx_mm: expected the same decimal mark in the whole file, another one than the"),
    ],
)
def test_a_line_with_a_mistake_is_named(file, line, said):
    path = file(f"part,address,dx_mm,dy_mm,height_mm,u_mm,present\n{line}\n")
    with pytest.raises(InputError) as error:
        read_reference(path)
    assert error.value.problems[0].startswith(f"--reference {path}{said}"), error.value.problems


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("part,address,dx_mm", ":2 dy_mm: expected this column, or present no for a missing pin, got no such column"),
        ("part,dx_mm,dy_mm", ":1 header: expected the column address, got no such column"),
        (
            "part,address,dx_mm,dy_mm,z_mm",
            ":1 header: expected one of the columns part, address, dx_mm",
        ),
        ("part address dx_mm dy_mm", ":1 header: expected one of the columns part, address"),
    ],
)
def test_columns_that_are_missing_or_misspelt_are_named(file, header, said):
    path = file(f"{header}\np1,r1c1,0,0,0\n"[: len(header) + 1] + "p1,r1c1,0\n")
    with pytest.raises(InputError) as error:
        read_reference(path)
    assert any(each.startswith(f"--reference {path}{said}") for each in error.value.problems), error.value.problems


def test_a_program_s_nan_is_no_value_and_a_file_without_pins_is_refused(file):
    found = read_reference(file("part,address,dx_mm,dy_mm,height_mm,u_mm\np1,r1c1,0,0,nan,NaN\n"))
    assert np.isnan(found.measures["p1"]["r1c1"][2]) and not found.u_mm
    with pytest.raises(InputError, match=":2 row: expected at least one pin, got none"):
        read_reference(file("part,address,dx_mm,dy_mm\n"))


def test_a_missing_column_is_named_once_and_a_pin_stated_twice_also_beside_another_mistake(file):
    with pytest.raises(InputError) as error:
        read_reference(file("part,address,dx_mm\np1,r1c1,0\np1,r1c2,0\n"))
    assert len(error.value.problems) == 1
    with pytest.raises(InputError) as error:
        read_reference(file("part,address,dx_mm,dy_mm\np1,r1c2,x,0\np1,r1c2,0,0\n"))
    assert len(error.value.problems) == 2


def test_all_mistakes_are_named_at_once(file):
    path = file("part,address,dx_mm,dy_mm\np1,r1c1,0,0\np1,r1c1,0.1,0\np1,r1c2,a,0\n")
    with pytest.raises(InputError) as error:
        read_reference(path)
    assert error.value.problems == [
        f"--reference {path}:3 address: expected each pin once, got p1 r1c1 a second time",
        f"--reference {path}:4 dx_mm: expected a number of mm, got 'a'",
    ]
