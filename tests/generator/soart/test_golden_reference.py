"""Golden references of NSOART: alignment, leave-one-out, sizes, and the choice of the members and of a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.soart import nsoart
from generator.soart.golden_reference import Reference, read_reference
from generator.soart.registration import Pose
from tests.generator.soart.golden_files import PART, drawn_part, reference_of, write_golden

MEMBERS = {f"t{seed}": drawn_part(seed, 0.3 * seed, -0.2 * seed) for seed in range(5)}


def test_the_inverse_of_a_pose_leads_back() -> None:
    pose = Pose(2.0, 1.5, -3.0, 1.02)
    points = np.array([[3.0, 4.0], [90.0, 40.0]])
    there = pose.points(points, (48, 96), (50, 100))
    assert np.allclose(pose.inverse().points(there, (50, 100), (48, 96)), points)


def test_a_moved_good_part_stays_grey_and_a_missing_pin_stands_out(tmp_path: Path) -> None:
    parameters = write_golden(tmp_path)
    good, bad = (
        np.asarray(nsoart.nsoart_picture(drawn_part(9, 2.6, 1.7, missing), parameters, PART, tmp_path)).astype(int)
        for missing in (False, True)
    )
    assert np.abs(good[8:-8, 8:-8] - 128).mean() < 45
    pin, away = np.s_[12:20, 46:54, 1], np.s_[30:40, 8:20, 1]  # log_yita
    assert bad[pin].min() > good[pin].max() and bad[pin].mean() > 235
    assert np.abs(bad[away] - good[away]).max() < 30


def test_a_member_is_compared_with_the_mean_of_the_others() -> None:
    whole = reference_of(MEMBERS)
    others = {run: picture for run, picture in MEMBERS.items() if run != "t3"}  # t0 stays the anchor
    without = reference_of(others).maps(MEMBERS["t3"], None, 16, 1)
    assert (whole.maps(MEMBERS["t3"], "t3", 16, 1) == without).all()
    assert (whole.maps(MEMBERS["t3"], None, 16, 1) != without).any()


def test_a_file_gives_the_reference_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    reference, path = reference_of(MEMBERS), tmp_path / "reference-000.npz"
    sha256 = reference.save(path)
    again = read_reference(path, sha256)
    assert (again.total == reference.total).all() and (again.anchor == reference.anchor).all()
    assert again.members == reference.members
    assert reference.save(path) == sha256  # no date in it
    with pytest.raises(ValueError, match="expected a golden reference of NSOART, got: a file whose SHA-256"):
        read_reference(path, "0" * 64)
    with pytest.raises(ValueError, match="got: No such file"):
        read_reference(tmp_path / "none.npz", sha256)


def test_a_larger_picture_is_compared_at_the_reference_s_size(tmp_path: Path) -> None:
    parameters, picture = write_golden(tmp_path), drawn_part(9, 1.0)
    plain = nsoart.nsoart_picture(picture, parameters, PART, tmp_path)
    large = nsoart.nsoart_picture(picture.resize((288, 144), 0), parameters, PART, tmp_path)
    assert large.size == (288, 144) and (np.asarray(large)[1::3, 1::3] == np.asarray(plain)).all()
    with pytest.raises(ValueError, match="ratio of sides of its golden reference, 96 x 48 px, got 96 x 60"):
        nsoart.nsoart_picture(picture.resize((96, 60)), parameters, PART, tmp_path)


def test_a_reference_is_found_by_what_is_known(tmp_path: Path) -> None:
    parameters = write_golden(tmp_path, ("center", "left"))
    assert nsoart.golden_group(parameters, {"camera": "left", "marking": None})["camera"] == "left"
    with pytest.raises(ValueError, match="several golden references for NSOART of scene s: give also camera"):
        nsoart.golden_group(parameters, {"scene": "s"})
    with pytest.raises(
        ValueError, match=r"no golden reference for NSOART of housing ribbed: nsoart\.json has those of s, p"
    ):
        nsoart.nsoart_picture(drawn_part(1), parameters, {"housing": "ribbed"}, tmp_path)
    with pytest.raises(ValueError, match=r"folder: expected the folder with nsoart\.json"):
        nsoart.nsoart_picture(drawn_part(1), parameters, PART)


def spaces(*rows: tuple[str, str, str, str]) -> nsoart.UnitSpaces:
    """Unit spaces of OK rows, each given by run name, split, housing and marking."""
    found = nsoart.UnitSpaces()
    for run, split, housing, marking in rows:
        found.add(run, nsoart.group_of({**PART, "housing": housing, "marking": marking}), True, split)
    return found


def test_few_members_are_joined_by_those_of_other_markings_then_housings() -> None:
    rows = [(f"a{n}", "train", "plain", "none") for n in (4, 3, 2, 1, 0)]
    rows += [("b0", "train", "plain", "lot"), ("b1", "validation", "plain", "lot")]
    rows += [(f"c{n}", "test_housing", "ribbed", "none") for n in range(7)]
    rows += [("d0", "test_housing", "keyed", "none")]
    found = {space.group[1::3]: (space.source, space.rows) for space in spaces(*rows).golden()}
    trained = ("a0", "a1", "a2", "a3", "a4")
    assert found["plain", "none"] == ("train", trained)
    assert found["plain", "lot"] == ("marking", (*trained, "b0"))
    assert found["ribbed", "none"] == ("few", ("c0", "c1", "c2", "c3", "c4"))
    assert found["keyed", "none"] == ("housing", (*trained, "b0"))


def test_two_members_are_enough_and_one_is_not() -> None:
    [two] = spaces(("a", "train", "plain", "none"), ("b", "train", "plain", "none")).golden()
    assert two.rows == ("a", "b")
    message = r"at least 2 OK rows .* got fewer for s, plain, round, center, none \(1\)$"
    with pytest.raises(ValueError, match=message):
        spaces(("a", "train", "plain", "none")).golden()


def test_the_mean_of_the_members_has_their_grey(tmp_path: Path) -> None:
    flat = Reference(np.full((20, 20), 3 * 4080, np.uint32), np.full((20, 20), 255, np.uint8), ("a", "b", "c"))
    assert (flat.laid(np.ones((20, 20), np.float32)) == 1).all()
