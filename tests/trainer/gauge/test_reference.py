"""The file of a reference: what is read, refused, and derived from it."""

import numpy as np
import pytest

from trainer.core.errors import InputError
from trainer.gauge.reference import Reference


def test_a_reference_that_does_not_fit_the_photographs_is_refused():
    reference = Reference({"p1": {"r1c1": np.zeros(3)}})
    reference.check({"a/p1": ["center"]}, ["center"], ["r1c1"])
    for photographed, views, addresses, said in (
        ({"a/p1": ["center"]}, ["center"], ["A1"], "part p1: expected addresses on the drawing, such as A1, got r1c1"),
        ({}, ["center"], ["r1c1"], "part p1: expected a photograph"),
        ({"a/p1": ["center"], "b/p1": ["center"]}, ["center"], ["r1c1"], "part p1: expected one part of this name"),
        ({"a/p1": ["left"]}, ["center"], ["r1c1"], r"views of the good parts \(center\), got left"),
    ):
        with pytest.raises(InputError, match=said):
            reference.check(photographed, views, addresses)


def test_a_reference_is_read_from_csv(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("part,address,dx_mm,dy_mm,height_mm\np1,r1c1,0.1,-0.2,-0.3\np1,r1c2,0,0,\n")
    found = Reference.read(path).measures["p1"]
    assert found["r1c1"].tolist() == [0.1, -0.2, 0.3] and np.isnan(found["r1c2"][2])
    path.write_text("part,address,dx_mm,dy_mm\np1,r1c1,a,0\n")
    with pytest.raises(InputError, match="line 2: expected the columns part, address"):
        Reference.read(path)
    path.write_text("part,address,dx_mm,dy_mm\np1,r1c1,0,0\np1,r1c1,0.1,0\n")
    with pytest.raises(InputError, match="line 3: expected each pin once, but p1 r1c1 is stated twice"):
        Reference.read(path)


def test_an_uncertainty_of_the_reference_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("part,address,dx_mm,dy_mm,u_mm\np1,r1c1,0.1,-0.2,0.01\np1,r1c2,0,0,\n", encoding="utf-8-sig")
    found = Reference.read(path)
    assert found.u_mm == {"p1": {"r1c1": 0.01}} and set(found.measures["p1"]) == {"r1c1", "r1c2"}


@pytest.mark.parametrize(("column", "value"), [("u_mm", "-0.1"), ("u_mm", "inf"), ("u_mm", "a"), ("height_mm", "inf")])
def test_uncertainties_and_heights_that_cannot_be_are_refused(tmp_path, column, value):
    path = tmp_path / "measured.csv"
    path.write_text(f"part,address,dx_mm,dy_mm,{column}\np1,r1c1,0,0,{value}\n")
    with pytest.raises(InputError, match="line 2: expected the columns part, address, dx_mm, dy_mm and, if known"):
        Reference.read(path)


def test_the_tip_of_a_bent_pin_is_lower_than_its_terminal():
    reference = Reference({"p1": {"r1c1": np.array([0.6, 0.8, 0.13]), "r1c2": np.array([0.0, 0.0, 0.13])}})
    found = reference.of_terminals({"r1c1": 5.0, "r1c2": 5.0}).measures["p1"]
    # 0.65 of the square of the bend over the length: see docs/explanation/gauge.md.
    assert found["r1c1"] == pytest.approx([0.6, 0.8, 0.0]) and found["r1c2"] == pytest.approx([0.0, 0.0, 0.13])


def test_a_missing_pin_is_read_from_the_column_present(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text(
        "part,address,dx_mm,dy_mm,height_mm,u_mm,present\n"
        "p1,r1c1,0.1,-0.2,-0.3,0.01,yes\np1,r1c2,,,,0.01,No\np1,r1c3,0,0,,,\np2,r1c1,,,,,FALSE\n"
    )
    found = Reference.read(path)
    assert found.missing == {("p1", "r1c2"), ("p2", "r1c1")}
    assert np.isnan(found.measures["p1"]["r1c2"]).all() and found.measures["p1"]["r1c1"].tolist() == [0.1, -0.2, 0.3]
    assert found.u_mm == {"p1": {"r1c1": 0.01}}
    path.write_text("part,address,present\np1,r1c1,no\n")
    assert Reference.read(path).missing == {("p1", "r1c1")}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p1,r1c1,0.1,,,no", r"line 3: expected no measures of a missing pin \(present no\), got dx_mm 0.1"),
        ("p1,r1c1,,,-0.2,0", r"line 3: expected no measures of a missing pin \(present 0\), got height_mm -0.2"),
        ("p1,r1c1,0,0,0,perhaps", "line 3 present: expected yes or no, got 'perhaps'"),
        ("p1,r1c1,,,,", "line 3: expected the columns .*no for a missing pin.*, got could not convert"),
        ("p1,r1c1,0,1,0,2,yes", "line 3: expected a cell for each column of the header, got 1 more; the decimal sign"),
        (",r1c1,,,,no", "line 3: .*got an empty name"),
    ],
)
def test_lines_on_missing_pins_that_cannot_be_are_refused(tmp_path, line, said):
    path = tmp_path / "measured.csv"
    path.write_text(f"part,address,dx_mm,dy_mm,height_mm,present\n\n{line}\n")
    with pytest.raises(InputError, match=said):
        Reference.read(path)


def test_a_column_that_is_missing_is_named(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("part,address,dx_mm\np1,r1c1,0\n")
    with pytest.raises(InputError, match=r"line 2: .*got no column dy_mm"):
        Reference.read(path)
