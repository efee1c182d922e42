"""Limits of pins: those of a scene, those of single positions, and those that replace them."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_scripts.contract.tolerance import Limits, Tolerance, parse_tolerance, read_tolerance, stated_tolerance
from blender_scripts.contract.toml_section import TomlSection
from tests.conftest import faults_of

ADDRESSES = ("r1c1", "r1c2")
PLAIN = "true_position_mm = 0.5\nretraction_mm = 0.4\n"


def read(text: str, folder: Path) -> Tolerance:
    (folder / "scene.toml").write_text(f"[tolerance]\n{text}")
    top = TomlSection.read(folder / "scene.toml")
    found = read_tolerance(top.table("tolerance"), ADDRESSES)
    top.finish()
    return found


def test_a_protrusion_may_be_as_large_as_a_retraction_unless_the_scene_says_otherwise(tmp_path: Path) -> None:
    assert read(PLAIN, tmp_path).limits() == Limits(0.5, 0.4, 0.4)
    assert read(f"{PLAIN}protrusion_mm = 0.1", tmp_path).limits() == Limits(0.5, 0.4, 0.1)


def test_a_position_has_limits_of_its_own(tmp_path: Path) -> None:
    found = read(f"{PLAIN}[tolerance.at]\nr1c2 = {{ true_position_mm = 0.2, retraction_mm = 0.3 }}", tmp_path)
    assert found.limits("r1c1") == found.limits() == Limits(0.5, 0.4, 0.4)
    assert found.limits("r1c2") == Limits(0.2, 0.3, 0.3)
    assert found.stated() == {
        "true_position_mm": 0.5,
        "retraction_mm": 0.4,
        "at": {"r1c2": {"true_position_mm": 0.2, "retraction_mm": 0.3}},
    }
    assert found.complete()["at"]["r1c2"] == {"true_position_mm": 0.2, "retraction_mm": 0.3, "protrusion_mm": 0.3}
    for written in (found.stated(), found.complete()):
        assert Tolerance(**written).limits("r1c2") == found.limits("r1c2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[tolerance.at]\nr3c1 = { retraction_mm = 0.2 }", "scene.toml:5 tolerance.at.r3c1: expected the address of a"),
        ("[tolerance.at]\nr1c1 = 0.2", "scene.toml:5 tolerance.at.r1c1: expected a table, got 0.2"),
        (
            "[tolerance.at.r1c1]",
            "scene.toml:4 tolerance.at.r1c1: expected at least one limit (true_position_mm, retraction_mm",
        ),
        ("[tolerance.at.r1c1]\ntilt_deg = 2", "scene.toml:5 tolerance.at.r1c1.tilt_deg: expected a known key (protrus"),
        ("[tolerance.at.r1c1]\nretraction_mm = 0", "scene.toml:5 tolerance.at.r1c1.retraction_mm: expected a number"),
        ("protrusion_mm = 0", "scene.toml:4 tolerance.protrusion_mm: expected a number from 0.001 to 50, got 0"),
    ],
)
def test_mistakes_are_named_with_file_and_line(text: str, problem: str, tmp_path: Path) -> None:
    assert [found[: len(problem)] for found in faults_of(read, PLAIN + text, tmp_path)] == [problem]


def test_a_limit_on_the_command_line_replaces_that_of_every_position() -> None:
    stated = Tolerance(0.5, 0.4, None, {"r1c1": {"true_position_mm": 0.2, "retraction_mm": 0.1}})
    assert stated.with_limits({"true_position_mm": 0.6}).limits("r1c1") == Limits(0.6, 0.1, 0.1)
    assert stated.with_limits({"retraction_mm": 0.3}).limits() == Limits(0.5, 0.3, 0.3)
    assert stated.with_limits({"r1c2.retraction_mm": 0.3}).limits("r1c2") == Limits(0.5, 0.3, 0.3)
    both = stated.with_limits({"r1c2.retraction_mm": 0.3, "retraction_mm": 0.7})
    assert (both.limits("r1c2"), both.limits("r1c1")) == (Limits(0.5, 0.3, 0.3), Limits(0.2, 0.7, 0.7))


def test_a_limit_must_be_a_length() -> None:
    with pytest.raises(ValueError, match="retraction_mm must be a number of mm above 0"):
        Tolerance(0.5, 0.0)
    with pytest.raises(ValueError, match="tilt_deg must be"):
        Tolerance(0.5, 0.4, None, {"r1c1": {"tilt_deg": 1.0}})


def test_tolerances_as_text() -> None:
    assert parse_tolerance("true_position_mm=0.6,retraction_mm=0.5") == {"true_position_mm": 0.6, "retraction_mm": 0.5}
    assert parse_tolerance(" retraction_mm = .1 ") == {"retraction_mm": 0.1}
    assert parse_tolerance("retraction_mm=50,protrusion_mm=0.001") == {"retraction_mm": 50, "protrusion_mm": 0.001}
    assert parse_tolerance("r2c5.protrusion_mm=0.3") == {"r2c5.protrusion_mm": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected true_position_mm=NUMBER"),
        ("tilt_deg=3", "got 'tilt_deg=3'"),
        ("c2.retraction_mm=3", "for a single pin, r1c2.true_position_mm=NUMBER, got 'c2.retraction_mm=3'"),
        ("true_position_mm", "got 'true_position_mm'"),
        ("true_position_mm=0.6;retraction_mm=0.5", "expected a limit in mm as digits"),
        ("true_position_mm=0,6,retraction_mm=0,5", "^expected numbers with a decimal point, such as 0.6, got '0,6'$"),
        ("x=0,5", "^expected numbers with a decimal point, such as 0.6, got '0,5'$"),
        ("retraction_mm=0.5,retraction_mm=0.6", "twice"),
        ("retraction_mm=0", "^expected retraction_mm in mm, from 0.001 to 50, got '0'$"),
        ("retraction_mm=-1", "from 0.001 to 50, got '-1'"),
        ("true_position_mm=800", "^expected true_position_mm in mm, from 0.001 to 50, got '800'$"),
        ("r1c2.true_position_mm=50.1", "^expected r1c2.true_position_mm in mm, from 0.001 to 50, got '50.1'$"),
        ("retraction_mm=0.0000001", "from 0.001 to 50"),
        *(
            (f"retraction_mm={text}", f"^expected a limit in mm as digits .*, got 'retraction_mm={text}'$")
            for text in ("nan", "inf", "1e6", "1e-9", "8_0", "\uff18\uff10\uff10", "\u0668", "0x8", "")
        ),
    ],
)
def test_tolerances_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_tolerance(text)


def test_tolerances_of_documents() -> None:
    held = Tolerance(0.5, 0.4, None, {"r1c1": {"true_position_mm": 0.2}})
    assert stated_tolerance(held.stated(), "x") == held
    assert stated_tolerance(held.complete(), "x").limits("r1c1") == held.limits("r1c1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retraction_mm": True}, "^x.retraction_mm: expected a number of mm above 0, got "),
        ({"retraction_mm": float("inf")}, "^x.retraction_mm: expected a number of mm above 0, got inf"),
        ({"tilt_deg": 1.0}, "^x.tilt_deg: expected only true_position_mm, .*, got an unknown key$"),
        ({"at": {"c1": {}}}, "^x.at.c1: expected an address such as r1c1"),
        ({"at": {"r1c1": {"at": 1}}}, "^x.at.r1c1.at: expected only true_position_mm"),
    ],
)
def test_damaged_tolerances_of_documents(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stated_tolerance({**Tolerance(0.5, 0.4).stated(), **change}, "x")
    with pytest.raises(ValueError, match=r"^x\.true_position_mm: expected a number of mm above 0, got no such key$"):
        stated_tolerance({"retraction_mm": 0.5}, "x")
