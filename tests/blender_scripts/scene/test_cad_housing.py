"""A scene with a CAD housing: the built-in housing, exported as CAD, gives the same picture."""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.doe import check
from tests.blender_scripts.geometry.mesh_bytes import binary_stl, glb, obj, ply
from tests.blender_scripts.scene.test_blend_files import run
from tests.conftest import COLUMNS, ROOT, SCENES, faults_of, records, run_renderer

FILES = ("own.stl", "own.obj", "own.ply", "own.glb", "own.blend")
DEFECTS = "bent@r2c5:tilt_deg=16,azimuth_deg=90;missing@r3c7"


def triangles(corners: np.ndarray, sizes: np.ndarray) -> list[tuple[int, int, int]]:
    """Fans of convex faces."""
    faces = np.split(corners, np.cumsum(sizes)[:-1])
    return [(f[0], f[i], f[i + 1]) for f in faces for i in range(1, len(f) - 1)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 3 x 9 scene with its plain housing as CAD files of five formats, in inches, Y up."""
    folder = tmp_path_factory.mktemp("cad") / "scenes"
    made = run("bpy", "export", SCENES / "connector_3x9.toml", "plain", folder / "meshes")
    assert (folder / "meshes" / "own.blend").is_file(), made.stdout + made.stderr
    with np.load(folder / "meshes" / "own.npz") as arrays:
        vertices, corners, sizes = arrays["vertices"], arrays["corners"], arrays["sizes"]
    fans = np.array(triangles(corners, sizes))
    faces = [face.tolist() for face in np.split(corners, np.cumsum(sizes)[:-1])]
    contents = {
        "own.stl": binary_stl(vertices[fans]),
        "own.obj": obj(vertices, faces),
        "own.ply": ply(vertices, faces, "binary_big_endian"),
        "own.glb": glb(vertices, fans),
    }
    for name, content in contents.items():
        (folder / "meshes" / name).write_bytes(content)
    text = (SCENES / "connector_3x9.toml").read_text("utf-8")
    plain = text.partition("[housings.plain]\n")[2].partition("\n[")[0]
    for name in FILES:
        housing = name.replace(".", "_")
        text += f"\n[housings.{housing}]\n{plain}\n[housings.{housing}.mesh]\n"
        text += f'file = "meshes/{name}"\nunit_mm = 25.4\naxes = "x,-z,y"\n'
    (folder / "cad.toml").write_text(text, "utf-8")
    return folder


def manifest(path: Path, housings: tuple[str, ...]) -> Path:
    lines = [",".join((*COLUMNS, "samples"))]
    for housing in housings:
        name = housing.replace(".", "_")
        row = (name, "train", 3, 4, "cad", name, "round", DEFECTS, "top", "ring", "none", 16)
        lines.append(",".join(f'"{cell}"' for cell in row))
    path.write_text("\n".join([*lines, ""]), "utf-8")
    return path


def test_the_same_housing_from_every_format_gives_the_same_picture_and_truth(scenes: Path, tmp_path: Path) -> None:
    path = manifest(tmp_path / "rows.csv", ("plain", *FILES))
    out = tmp_path / "out"
    done = run_renderer(path, "--out", out, "--scenes", scenes)
    assert done.returncode == 0, done.stderr
    found = records(out)
    plain = found["plain"]
    picture = np.asarray(Image.open(out / "images" / "plain.png")).astype(float)
    for name in FILES:
        own = found[name.replace(".", "_")]
        for pin, twin in zip(own["positions"], plain["positions"], strict=True):
            assert pin["tip_px"] == twin["tip_px"] and pin["kind"] == twin["kind"]
            assert pin["visible_fraction"] == pytest.approx(twin["visible_fraction"], abs=0.02)
            for kind in ("visible", "amodal", "expected"):
                box, its = pin["boxes"][kind], twin["boxes"][kind]
                assert (box is None) == (its is None) and (box is None or box == pytest.approx(its, abs=0.26))
        for kind in ("visible", "amodal"):
            assert own["housing"]["boxes"][kind] == pytest.approx(plain["housing"]["boxes"][kind], abs=0.05)
        its = np.asarray(Image.open(out / "images" / f"{own['run']}.png")).astype(float)
        assert np.abs(its - picture).mean() < 2.0


@pytest.mark.parametrize("engine", ["bpy", "blender"])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "own.stl",
            b"solid nothing\nendsolid",
            "own.stl: expected at least one face with three different corners, got none",
        ),
        ("own.glb", b"glTF", "own.glb: expected at least 20 bytes: a glTF header and one chunk, got 4 bytes"),
        ("own.blend", b"BLENDER-v304" + b"\0" * 999 + b"ENDB", "own.blend: expected a .blend file that Blender"),
        ("own.ply", None, "got no such file"),
    ],
)
def test_a_broken_or_missing_file_is_exit_code_2_and_nothing_is_rendered(
    engine: str, name: str, content: bytes | None, expected: str, scenes: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    (copy / "meshes" / name).unlink()
    if content is not None:
        (copy / "meshes" / name).write_bytes(content)
    path = manifest(tmp_path / "rows.csv", ("plain", name))
    done = run_renderer(path, "--out", tmp_path / "out", "--scenes", copy, engine=engine)
    assert done.returncode == 2 and expected in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((tmp_path / "out").rglob("*.png"))
    if engine == "bpy":
        for command in ("render", "check"):
            options = ["--out", tmp_path / "out", "--workers", "2"] if command == "render" else []
            line = [sys.executable, "-m", "generator", command, path, "--scenes", copy, *options]
            done = subprocess.run([*map(str, line)], capture_output=True, text=True, cwd=ROOT, timeout=300)
            if (command, name) != ("check", "own.blend"):  # what is in one only Blender can tell
                assert done.returncode == 2 and expected in done.stderr, (command, done.stderr)
            assert "Traceback" not in done.stdout + done.stderr
        assert not list((tmp_path / "out").rglob("*.png"))


def test_the_check_names_every_bad_mesh_and_a_wrong_unit(scenes: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    (copy / "meshes" / "own.obj").write_text("v 0 0 0\n")
    text = (copy / "cad.toml").read_text("utf-8").replace("unit_mm = 25.4", "unit_mm = 25400", 1)
    (copy / "cad.toml").write_text(text, "utf-8")
    problems = faults_of(
        check.run, argparse.Namespace(manifest=manifest(tmp_path / "rows.csv", ("plain", *FILES)), scenes=copy)
    )
    assert [problem.partition(":")[0] for problem in problems] == ["meshes/own.obj", "meshes/own.stl"]
    assert "expected a mesh 0.5 to 1000 mm long with unit_mm = 25400, got " in problems[1]


def test_a_mesh_in_a_camera_s_way_is_refused(scenes: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    with (copy / "cad.toml").open("a", encoding="utf-8") as file:
        file.write("offset_mm = [0, 0, 140]\n")
    path = manifest(tmp_path / "rows.csv", ("plain", FILES[-1]))
    done = run_renderer(path, "--out", tmp_path / "out", "--scenes", copy)
    assert done.returncode == 2, done.stderr
    assert re.search(
        r"^cad\.toml camera\.distance_mm: expected more than 15\d\.\d mm \(camera center could touch "
        r"the mesh of meshes/own\.blend\), got 118$",
        done.stderr,
        re.MULTILINE,
    ), done.stderr
    assert not list((tmp_path / "out").rglob("*.png"))
    text = (scenes / "cad.toml").read_text("utf-8")
    stl = 'file = "meshes/own.stl"\n'
    (copy / "cad.toml").write_text(text.replace(stl, f"{stl}offset_mm = [0, 0, 140]\n"), "utf-8")
    path = manifest(tmp_path / "stl.csv", ("plain", FILES[0]))
    with pytest.raises(InputError, match=r"\(camera center could touch the mesh of meshes/own\.stl\), got 118"):
        check.run(argparse.Namespace(manifest=path, scenes=copy))


@pytest.mark.parametrize("engine", ["bpy", "blender"])
def test_a_blend_file_with_scripts_is_rendered_and_nothing_of_it_runs(
    engine: str, scenes: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    run(engine, "make", tmp_path / "made")
    shutil.copy(tmp_path / "made" / "trap.blend", copy / "meshes" / "own.blend")
    done = run_renderer(
        manifest(tmp_path / "rows.csv", ("own.blend",)), "--out", tmp_path / "out", "--scenes", copy, engine=engine
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "images" / "own_blend.png").is_file()
    assert not (tmp_path / "made" / "ran").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("../outside.stl", "got a path with .."),
        ("/etc/hostname", "got an absolute path"),
        ("meshes/link.stl", "got a symbolic link that leads out of the scene's folder"),
        ("linked/outside.stl", "got a symbolic link that leads out of the scene's folder"),
        ("meshes", "got a folder"),
        ("cad.toml", "got .toml"),
    ],
)
def test_a_mesh_path_that_leads_outside_is_refused_by_key_and_line(
    value: str, expected: str, scenes: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(scenes, tmp_path / "scenes")
    shutil.copy(scenes / "meshes" / "own.stl", tmp_path / "outside.stl")
    (copy / "meshes" / "link.stl").symlink_to(tmp_path / "outside.stl")
    (copy / "linked").symlink_to(tmp_path)
    text = (copy / "cad.toml").read_text("utf-8").replace("meshes/own.obj", value)
    (copy / "cad.toml").write_text(text, "utf-8")
    line = text[: text.index(f'"{value}"')].count("\n") + 1
    (problem,) = faults_of(read_connector, copy / "cad.toml")
    assert problem.startswith(f"cad.toml:{line} housings.own_obj.mesh.file: expected ") and expected in problem
