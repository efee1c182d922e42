"""Warnings about manifests without mistakes: each with its numbers, none for the scenes of the project."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.manifest.make_part import make_part
from generator.__main__ import main
from generator.dataset.labels import OK
from generator.doe.part_class import part_class
from generator.doe.plausibility import ng_share
from tests.blender_scripts.geometry.mesh_bytes import CUBE, TRIANGLES, binary_stl
from tests.conftest import ROOT, SCENES

COLUMNS = ["run", "split", "part", "seed", "scene", "housing", "terminal", "defects", "camera", "lighting", "marking"]
COLUMNS += ["width", "height", "fixture"]
SCENE = (SCENES / "connector_3x9.toml").read_text("utf-8")


def found(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    scene: str = SCENE,
    second: dict[str, str] | None = None,
    **cells: str,
) -> list[str]:
    """The lines of `check` that begin with warning or note, for two rows of a scene with these cells.

    `second`: cells of the second row alone.
    """
    (folder / "mine.toml").write_text(scene, encoding="utf-8")
    common = ["mine", "plain", "round", "", "center", "ring", "numbers", "256", "128", ""]
    rows = [dict(zip(COLUMNS, [f"a{i}", "train", i, i, *common], strict=True)) | cells for i in (1, 2)]
    rows[1] |= second or {}
    with (folder / "m.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    assert main(["check", str(folder / "m.csv"), "--scenes", str(folder)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if line.startswith(("warning: ", "note: "))]
    count = sum(line.startswith("warning: ") for line in lines)
    assert first.endswith(f"1 scene(s), {count} warning(s)" if count else "1 scene(s), no mistake found")
    return lines


def test_the_scenes_of_the_project_have_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(SCENES.glob("*.toml")):
        connector = read_connector(path)
        light = next(iter(connector.lightings))
        rows = [
            [f"{path.stem}{i}", "train", i, i, path.stem, housing, terminal, "", camera, light, "numbers"]
            for i, (camera, housing, terminal) in enumerate(
                (camera, housing, terminal)
                for camera in connector.cameras
                for housing in connector.housings
                for terminal in connector.terminal_names
            )
        ]
        with (tmp_path / "m.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS[:-3], *rows])
        assert main(["check", str(tmp_path / "m.csv")]) == 0
        output = capsys.readouterr().out
        assert "no mistake found" in output and "warning" not in output and "note: " not in output


def test_the_manifests_of_the_project_have_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("smoke", "demo", "gallery"):
        assert main(["check", str(ROOT / "manifests" / f"{name}.csv")]) == 0
        assert "warning" not in capsys.readouterr().out


def test_pins_outside_the_picture_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = found(tmp_path, capsys, SCENE.replace("focal_mm = 35.0", "focal_mm = 56.0"), camera="left")
    assert line.startswith("warning: mine, camera left, 256 x 128 px: 2 of 2 pictures do not show all pins (up to ")
    assert "of 27 pins lie outside): increase [camera] distance_mm" in line


def test_a_camera_just_above_the_part_sees_few_pins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = found(tmp_path, capsys, SCENE.replace("distance_mm = 118.0", "distance_mm = 20.0"))
    assert "2 of 2 pictures do not show all pins (up to 2" in line


def test_captures_that_repeat_a_picture_or_change_a_part_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"part": "5", "fixture": "7"}
    assert found(tmp_path, capsys, **same) == [] == found(tmp_path, capsys, seed="4")
    (repeats,) = found(tmp_path, capsys, **same, seed="4")
    assert repeats == (
        "warning: rows that give the same picture as an earlier row: 1 (such as a1 and a2): give rows of the same part "
        "and fixture different seeds"
    )
    (changes,) = found(tmp_path, capsys, **same, second={"housing": "ribbed"})
    assert "parts with several housings, terminals or markings for one fixture number: 1 (such as part 5 of " in changes
    assert "scene mine, fixture 7)" in changes
    # The seeds are 1 and 2: only in the first row, fixture equals seed, as by default.
    (changes,) = found(tmp_path, capsys, part="5", fixture="1", second={"housing": "ribbed"})
    assert "scene mine, fixture 1)" in changes
    assert found(tmp_path, capsys, part="5", second={"seed": "1", "housing": "ribbed"}) == []


def test_a_view_that_is_too_narrow_names_the_key_of_its_camera(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SCENE.replace("focal_mm = 35.0", "telecentric = true\nfield_mm = 30.0")
    (line,) = found(tmp_path, capsys, scene, camera="left")
    assert "2 of 2 pictures do not show all pins" in line and line.endswith("increase [camera] field_mm")
    assert found(tmp_path, capsys, scene.replace("30.0", "48.0"), camera="left") == []


def test_few_pixels_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = found(tmp_path, capsys, width="96", height="48", terminal="square")
    thin, limit = lines
    # 1.1 mm and 0.4 mm at 96 x 35 / 14.8 / 118 px/mm.
    assert thin.startswith("warning: mine, camera center, 96 x 48 px: pins of terminal square are 2.1 px thick, less")
    assert "may move by 0.4 mm, which is 0.76 px, less than the 1 px" in limit or "0.77 px" in limit
    tight = SCENE.replace("retraction_mm = 0.6", "retraction_mm = 0.6\nat.r2c5.true_position_mm = 0.3")
    (line,) = found(tmp_path, capsys, tight)
    assert "may move by 0.15 mm, which is 0.77 px" in line


def share_of_good_parts(folder: Path, line: str, terminal: str) -> tuple[Connector, float]:
    """The scene, and the share in a line's text, which is compared with that of 400 parts."""
    connector = read_connector(folder / "mine.toml")
    parts = [make_part(connector, "plain", terminal, "none", part, ()) for part in range(400)]
    share = float(line.partition(f"terminal {terminal}: ")[2].partition("%")[0]) / 100
    assert share == pytest.approx(np.mean([part_class(part, connector) != OK for part in parts]), abs=0.07)
    return connector, share


def test_limits_in_mil_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stated = re.search(r"^true_position_mm = .*$", SCENE, re.MULTILINE)
    assert stated is not None
    (line,) = found(tmp_path, capsys, SCENE.replace(stated[0], "true_position_mm = 31.5"))
    assert line.startswith("warning: mine: [tolerance] true_position_mm=31.5 is more than the pitch, 4 mm, so that")


def test_scatter_beyond_the_tolerance_is_a_share_of_good_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = SCENE.replace("position_mm = 0.03\n", "position_mm = 0.14\n", 1)
    (line,) = found(tmp_path, capsys, scene)
    connector, share = share_of_good_parts(tmp_path, line, "round")
    assert 0.1 < share < 0.95
    terminal, limits = connector.terminals["round"], connector.tolerance.limits()
    assert 1 - (1 - ng_share(connector, terminal, limits)) ** 27 == pytest.approx(share, abs=0.006)
    (line,) = found(tmp_path, capsys, SCENE.replace("height_mm = 0.08\n", "height_mm = 0.5\n", 1))
    assert "of good parts would be NG by manufacturing scatter alone" in line


@pytest.mark.parametrize(
    "scatter",
    [
        {"pattern_shift_mm": 0.15},
        {"pattern_tilt_deg": 0.8, "lot_length_mm": 0.1},
        {"shrinkage": 0.018},
        {"lot_length_mm": 0.35},
    ],
)
def test_scatter_that_pins_of_a_part_share_is_simulated_by_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scatter: dict[str, float]
) -> None:
    keys = "".join(f"{name} = {value}\n" for name, value in scatter.items())
    (line,) = found(tmp_path, capsys, SCENE.replace("[scatter]", f"[scatter]\n{keys}", 1), terminal="mixed")
    assert 0.05 < share_of_good_parts(tmp_path, line, "mixed")[1] < 0.95


@pytest.mark.parametrize(
    ("housing", "marking", "alike"),
    [("plain", "none", True), ("ribbed", "none", True), ("plain", "numbers", False), ("keyed", "none", False)],
)
def test_a_part_that_looks_alike_after_a_half_turn_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], housing: str, marking: str, alike: bool
) -> None:
    lines = found(tmp_path, capsys, housing=housing, marking=marking)
    assert [line.partition(" looks")[0] for line in lines] == [f"note: mine, housing {housing}: the part"] * alike
    assert not alike or "pictures with marking none (2)" in lines[0]
    d_shape = SCENE.replace("opening_mm = [38.4,", 'shape = "d"\nslant_deg = 3.0\nopening_mm = [40.4,')
    assert found(tmp_path, capsys, d_shape, housing=housing, marking=marking) == []


def tray(size: tuple[float, float, float] = (44.4, 21.6, 14.0)) -> np.ndarray:
    """An open housing's triangles (T, 3, 3): floor and walls of connector_3x9's shell, its rim at z = 0."""
    floor, x, y = 7.5 / 14.0, 3.0 / 44.4, 3.0 / 21.6
    boxes = [((0, 0, 0), (1, 1, 1 - floor)), ((0, 0, 0), (x, 1, 1)), ((1 - x, 0, 0), (1, 1, 1))]
    boxes += [((0, 0, 0), (1, y, 1)), ((0, 1 - y, 0), (1, 1, 1))]
    corners = [np.array(low) + CUBE * (np.array(high) - low) for low, high in boxes]
    return np.concatenate([((own - [0.5, 0.5, 1.0]) * size)[TRIANGLES] for own in corners])


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        ("", ()),
        ("offset_mm = [0.0, 0.0, 0.3]", ()),
        (
            "offset_mm = [0.0, 0.0, 1.2]",
            (
                "floor between the pins lies at z = -6.30 mm, the scene's at -7.50 mm ",
                "correct the Z of offset_mm by -1.20 mm",
            ),
        ),
        ("offset_mm = [0.0, 0.0, -2.0]", ("lies at z = -9.50 mm", "by +2.00 mm")),
        ("offset_mm = [5.0, 0.0, 0.0]", ("3 of 27 pins stand inside the mesh (up to ", "covers 3 of 27 pins")),
        (
            'axes = "x,-y,-z", offset_mm = [0.0, 0.0, -14.0]',
            ("covers 27 of 27 pins", "check whether the mesh is upside down (key `axes`)"),
        ),
        ('axes = "-x,y,z"', ("the key `axes` mirrors the mesh (exchanges left and right)",)),
        ('axes = "-x,-y,z"', ()),
    ],
)
def test_a_mesh_that_lies_otherwise_than_the_shell_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], placement: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "box.stl").write_bytes(binary_stl(tray()))
    mesh = f'[housings.plain]\nmesh = {{ file = "box.stl"{", " * bool(placement)}{placement} }}\n'
    lines = found(tmp_path, capsys, SCENE.replace("[housings.plain]\n", mesh))
    assert bool(lines) == bool(words) and all(line.startswith("warning: mine, box.stl: ") for line in lines)
    assert all(word in "\n".join(lines) for word in words)


@pytest.mark.parametrize(
    ("key", "old", "new", "said"),
    [
        ("row_numbers_x_mm", -20.75, -19.4, "3 printed texts .* 'A' at x -19.4, y .*, over the opening"),
        ("row_numbers_x_mm", -20.75, -23.0, "3 printed texts .* beside the housing"),
        ("position_numbers_y_mm", 9.35, 8.0, "9 printed texts .* over the opening"),
    ],
)
def test_print_that_does_not_lie_on_the_rim_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, old: float, new: float, said: str
) -> None:
    text = SCENE.replace(f"{key} = {old}", f"{key} = {new}")
    assert text != SCENE
    (line,) = found(tmp_path, capsys, text, marking="numbers")
    assert re.search(said.replace("'A'", "'[^']+'"), line), line


def test_print_on_a_block_that_ends_at_the_face_is_no_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENE.replace("position_numbers_y_mm = 9.35", "position_numbers_y_mm = 6.9")
    block = "[[housings.plain.blocks]]\ncenter_mm = [0.0, 6.9]\nsize_mm = [38.0, 1.8]\nbottom_mm = -2.0\ntop_mm = 0.0\n"
    (line,) = found(tmp_path, capsys, text)
    assert "9 printed texts" in line
    assert found(tmp_path, capsys, text.replace("[housings.ribbed]", f"{block}\n[housings.ribbed]")) == []


def test_pins_that_end_in_front_of_the_mating_face_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENE.replace("standing_mm = 6.3", "standing_mm = 8.0")
    lines = found(tmp_path, capsys, text, second={"housing": "ribbed"})
    assert sum("pins end up to 0.5 mm in front of the mating face" in line for line in lines) == 1, lines


def test_blocks_that_swallow_pins_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = "[[housings.plain.blocks]]\ncenter_mm = [0.0, 0.0]\nsize_mm = [9.0, 1.0]\nbottom_mm = -7.7\ntop_mm = -1.0\n"
    (line,) = found(tmp_path, capsys, SCENE.replace("[housings.ribbed]", f"{block}\n[housings.ribbed]"))
    assert line.startswith("warning: mine, housing plain, terminal round: 3 of 27 pins stand inside its blocks (up to ")
    low = block.replace("-1.0", "-7.2")  # a ridge on the floor
    assert found(tmp_path, capsys, SCENE.replace("[housings.ribbed]", f"{low}\n[housings.ribbed]")) == []


@pytest.mark.parametrize(
    ("size", "placement", "question"),
    [
        ((44.4, 21.6, 14.0), "", None),
        ((44.4, 21.6, 14.0), "offset_mm = [1.0, 0.0, 0.0]", None),
        (
            (1.748, 0.8504, 0.551),
            "",
            "1.748 x 0.8504 mm in X and Y with unit_mm = 1, .* 32 x 9.2 mm: try unit_mm = 25.4",
        ),
        ((1.748, 0.8504, 0.551), "unit_mm = 25.4", None),
        ((4.44, 2.16, 1.4), "", "try unit_mm = 10"),
        ((0.9, 0.9, 0.5), "unit_mm = 1000", "try unit_mm = 25.4"),
        ((44.4, 21.6, 14.0), "offset_mm = [60.0, 0.0, 0.0]", "lie partly outside the mesh: correct offset_mm"),
        ((21.6, 44.4, 14.0), "", "correct axes"),
    ],
)
def test_a_mesh_that_does_not_hold_the_pins_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size, placement: str, question: str | None
) -> None:
    (tmp_path / "box.stl").write_bytes(binary_stl(tray(size)))
    mesh = f'[housings.plain]\nmesh = {{ file = "box.stl"{", " * bool(placement)}{placement} }}\n'
    scene = SCENE.replace("[housings.plain]\n", mesh).replace("distance_mm = 118.0", "distance_mm = 4000.0")
    scene = scene.replace("focal_mm = 35.0", "focal_mm = 1000.0")
    lines = [line for line in found(tmp_path, capsys, scene) if "mesh" in line]
    assert len(lines) == (question is not None)
    for line in lines:
        assert line.startswith("warning: mine, box.stl: the mesh is ")
        for piece in question.split(".*"):
            assert piece in line


@pytest.mark.parametrize(("tower", "alike"), [(0.0, True), (3.0, False)])
def test_a_mesh_that_looks_alike_after_a_half_turn_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tower: float, alike: bool
) -> None:
    triangles = tray()
    triangles[(triangles[..., 2] == 0.0) & (triangles[..., 0] < -22) & (triangles[..., 1] < 0), 2] -= (
        tower  # two corners
    )
    (tmp_path / "box.stl").write_bytes(binary_stl(triangles))
    scene = SCENE.replace("[housings.plain]\n", '[housings.plain]\nmesh = { file = "box.stl" }\n')
    lines = found(tmp_path, capsys, scene, marking="none")
    note = (
        "note: mine, housing plain: the part looks the same after half a turn, so that pictures with marking none (2)"
    )
    assert lines == [f"{note} do not show its orientation"] * alike
