"""The renderer in a `blender` executable: the same truth and refusals as in bpy, and correct exit codes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.manifest.output_folder import PATHS, SCENE_PATHS
from tests.conftest import COLUMNS, ROOT, ROWS, blender_executable, folder_bytes, records, run_renderer, write_manifest
from tests.generator.doe.test_check import FIVE
from tests.other_python import other_python

SMOKE = ROOT / "manifests" / "smoke.csv"
# One of each view and lamp; a sample a pixel, since a Debian build without denoiser takes eight times as many.
CHOSEN = [row for row in ROWS if row[0] in ("bent", "retracted", "missing", "several", "below")]


def blender(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_renderer(*arguments, engine="blender")


def mask(folder: Path, run: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "masks" / f"{run}.png")).astype(int)


@pytest.fixture(scope="module")
def in_blender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CHOSEN rendered by the executable; read it, do not write to it."""
    folder = tmp_path_factory.mktemp("blender")
    path = write_manifest(folder / "rows.csv", [(*row, 1) for row in CHOSEN], (*COLUMNS, "samples"))
    done = blender(path, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{len(CHOSEN)} rendered, 0 already there, 0 failed" in done.stdout
    return folder / "out"


@pytest.fixture(scope="module")
def pairs(in_blender: Path, rendered: Path) -> list[tuple[dict, dict]]:
    """The records of each row from blender and from bpy."""
    mine, other = records(in_blender), records(rendered)
    assert set(mine) == {row[0] for row in CHOSEN}
    return [(mine[run], other[run]) for run in mine]


def test_records_have_the_same_shape(pairs: list[tuple[dict, dict]]) -> None:
    for mine, other in pairs:
        assert list(mine) == list(other)
        assert {**mine["row"], "samples": 0} == {**other["row"], "samples": 0}
        assert mine["blender"] != other["blender"] and mine["row_sha256"] != other["row_sha256"]
        for pin, twin in zip(mine["positions"], other["positions"], strict=True):
            assert list(pin) == list(twin)


def test_amodal_and_expected_boxes_are_those_of_bpy_to_a_hundredth_of_a_pixel(pairs: list[tuple[dict, dict]]) -> None:
    compared = 0
    for mine, other in pairs:
        whole = [*mine["positions"], mine["housing"]], [*other["positions"], other["housing"]]
        for thing, twin in zip(*whole, strict=True):
            for name in ("amodal", "expected"):
                box, its = thing["boxes"][name], twin["boxes"][name]
                assert (box is None) == (its is None)
                if box is not None:
                    assert box == pytest.approx(its, abs=0.01)
                    compared += 1
    assert compared == len(CHOSEN) * 28 * 2 - sum(row[6].count("missing") for row in CHOSEN)


def test_keypoints_measures_and_camera_are_those_of_bpy(pairs: list[tuple[dict, dict]]) -> None:
    exact = ("index", "address", "cavity", "terminal", "defects", "kind")
    measured = ("dx_mm", "dy_mm", "true_position_mm", "retraction_mm", "tilt_deg", "length_mm")
    for mine, other in pairs:
        assert np.array(mine["camera"]["matrix_world"]) == pytest.approx(
            np.array(other["camera"]["matrix_world"]), abs=2e-6
        )
        for name in ("fx", "fy", "cx", "cy", "distortion"):
            assert mine["camera"][name] == pytest.approx(other["camera"][name], abs=1e-6)
        for pin, twin in zip(mine["positions"], other["positions"], strict=True):
            assert [pin[name] for name in exact] == [twin[name] for name in exact]
            assert [pin[name] for name in measured] == pytest.approx([twin[name] for name in measured], abs=2e-6)
            assert pin["tip_px"] == (twin["tip_px"] and pytest.approx(twin["tip_px"], abs=0.01))
            assert pin["base_px"] == pytest.approx(twin["base_px"], abs=0.01)


def test_visible_boxes_and_shares_are_those_of_bpy(pairs: list[tuple[dict, dict]]) -> None:
    compared = 0
    for mine, other in pairs:
        things = [*mine["positions"], *mine["other"]], [*other["positions"], *other["other"]]
        for thing, twin in zip(*things, strict=True):
            assert thing["visible_fraction"] == pytest.approx(twin["visible_fraction"], abs=1e-4)
            box, its = (each["boxes"]["visible"] for each in (thing, twin))
            assert box == (its and pytest.approx(its, abs=0.01))
            compared += box is not None
    assert compared > 100


def test_masks_are_those_of_bpy(in_blender: Path, rendered: Path) -> None:
    for run, *_ in CHOSEN:
        mine, other = mask(in_blender, run), mask(rendered, run)
        assert np.count_nonzero(mine) > 0.02 * mine.size
        assert np.count_nonzero(mine != other) <= 1


def test_pictures_show_the_same_scene(in_blender: Path, rendered: Path) -> None:
    for run, *_ in CHOSEN:
        mine, other = (
            np.asarray(Image.open(folder / "images" / f"{run}.png").convert("L").resize((64, 32), Image.Resampling.BOX))
            for folder in (in_blender, rendered)
        )
        assert mine.mean() == pytest.approx(other.mean(), rel=0.15)
        assert np.corrcoef(mine.ravel(), other.ravel())[0, 1] > 0.95


def test_the_projects_smoke_test(tmp_path: Path) -> None:
    # With Blender's own working folder and a relative path, as in the README.
    command = [blender_executable(), "-b", "-P", "blender_scripts/render.py", "--", "manifests/smoke.csv"]
    command += ["--out", str(tmp_path / "out"), "--rows", "1:2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert sorted(folder_bytes(tmp_path / "out")) == [
        "images/smoke_002.png",
        "manifest_paths.json",
        "manifests/smoke.csv",
        "masks/smoke_002.png",
        "records/smoke_002.json",
        "scene_paths.json",
        "scenes/connector_3x9.toml",
    ]


def test_five_mistakes_are_five_lines_here_and_in_the_check(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "five.csv", FIVE)
    done = blender(path, "--out", tmp_path / "out")
    check = other_python("-m", "generator", "check", path, check=False)
    assert done.returncode == check.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    found = [line for line in done.stderr.splitlines() if line.startswith("five.csv:")]
    assert [line.split(": expected ")[0] for line in found] == [
        *("five.csv:2 camera", "five.csv:3 defects", "five.csv:4 run", "five.csv:5 seed", "five.csv:6 housing")
    ]
    assert check.stderr.splitlines() == found
    assert not (tmp_path / "out").exists()


def test_one_mistake_keeps_good_rows_from_being_rendered(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.csv", [CHOSEN[0], FIVE[1]])
    assert blender(path, "--out", tmp_path / "out", "--rows", "0:1").returncode == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--rows", "x"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = blender(SMOKE, "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert "error: " in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_driver_gives_the_bytes_of_blender_itself(in_blender: Path, tmp_path: Path) -> None:
    path = in_blender / "manifests" / "rows.csv"
    command = [sys.executable, "-m", "generator", "render", path, "--out", tmp_path / "out", "--rows", "1:3"]
    command += ["--engine", "blender", "--blender", blender_executable(), "--workers", "1"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "2 rendered, 0 already there, 0 failed" in done.stdout
    whole = folder_bytes(in_blender)
    mine = folder_bytes(tmp_path / "out")
    assert mine.pop(PATHS) and mine.pop(SCENE_PATHS)
    assert len(mine) == 2 * 3 + 2
    assert {name: whole[name] for name in mine} == mine
