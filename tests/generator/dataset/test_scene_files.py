"""Which scene file a build reads: --scenes, else where it was when rendered, else its copy in the render folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.claim import claim
from blender_scripts.manifest.output_folder import SCENE_PATHS, original_path
from blender_scripts.manifest.reader import read_manifest
from generator.dataset.build import Options, build, source_sha256
from generator.dataset.scene_files import find_scenes
from tests.conftest import faults_of
from tests.generator.dataset.test_build import rows_of
from tests.generator.made_renders import SCENES, row, write_renders

# Measures 1 mm of true position; the scene allows 0.8 mm.
ROWS = [row("a1"), row("a2", defects="bent@r1c2:tilt_deg=10")]


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    """Renders of a scene of the user's own, with the copies that the renderer keeps."""
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    shutil.copy(SCENES / "connector_3x9.toml", scenes)
    out = write_renders(tmp_path / "out", ROWS)
    claim(read_manifest(out / "manifests" / "design.csv", scenes), scenes, out, True).save_inputs()
    return out


def edit(scenes: Path, limit: float) -> Path:
    """Change the tolerance of the scene file in a folder."""
    path = scenes / "connector_3x9.toml"
    path.write_text(path.read_text().replace("true_position_mm = 0.8", f"true_position_mm = {limit:g}"))
    return scenes


def verdicts(renders: Path, scenes: Path | None, to: Path) -> list[str]:
    build(renders, to, scenes, Options({}))
    return [("OK", "NG")[row["verdict"]] for row in rows_of(to).values()]


def test_the_copy_and_its_original_are_kept(renders: Path, tmp_path: Path) -> None:
    assert (renders / "scenes" / "connector_3x9.toml").read_bytes() == (SCENES / "connector_3x9.toml").read_bytes()
    assert json.loads((renders / SCENE_PATHS).read_text()) == {"connector_3x9.toml": "../scenes/connector_3x9.toml"}
    assert original_path(renders, SCENE_PATHS, "connector_3x9.toml") == tmp_path / "scenes" / "connector_3x9.toml"


def test_a_mesh_is_copied_with_its_scene(tmp_path: Path) -> None:
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    (scenes / "meshes").mkdir(parents=True)
    corners = "vertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0"
    mesh = f"solid s\nfacet normal 0 0 1\nouter loop\n{corners}\nendloop\nendfacet\nendsolid\n"
    (scenes / "meshes" / "body.stl").write_text(mesh)
    text = (SCENES / "connector_3x9.toml").read_text() + '\n[housings.plain.mesh]\nfile = "meshes/body.stl"\n'
    (scenes / "connector_3x9.toml").write_text(text)
    manifest = write_renders(tmp_path / "made", ROWS) / "manifests" / "design.csv"
    claim(read_manifest(manifest, scenes), scenes, out, False).save_inputs()
    shutil.rmtree(scenes)
    assert find_scenes(out, ["connector_3x9"], None).connectors["connector_3x9"][0].housings["plain"].cad
    # Whoever renders the copies keeps the path of the original.
    claim(read_manifest(manifest, out / "scenes"), out / "scenes", out, False).save_inputs()
    assert json.loads((out / SCENE_PATHS).read_text()) == {"connector_3x9.toml": "../scenes/connector_3x9.toml"}


def test_an_edited_tolerance_counts_and_is_said(renders: Path, tmp_path: Path, capsys) -> None:
    assert verdicts(renders, None, tmp_path / "set") == ["OK", "NG"]
    said = capsys.readouterr().err
    assert f"connector_3x9: tolerance from {tmp_path / 'scenes' / 'connector_3x9.toml'}: true_position_mm=0.8," in said
    before = source_sha256(renders, None, Options({}))
    edit(tmp_path / "scenes", 1.2)
    assert source_sha256(renders, None, Options({})) != before
    assert verdicts(renders, None, tmp_path / "set") == ["OK", "OK"]
    assert "connector_3x9.toml (edited since rendering): true_position_mm=1.2," in capsys.readouterr().err
    # The geometry is still known from the copy.
    assert json.loads((tmp_path / "set" / "connectors.json").read_text())["connectors"]


def test_the_folder_in_scenes_comes_first_and_the_copy_last(renders: Path, tmp_path: Path, capsys) -> None:
    other = edit(shutil.copytree(SCENES, tmp_path / "other"), 1.1)
    edit(tmp_path / "scenes", 1.2)
    assert find_scenes(renders, ["connector_3x9"], other).tolerances["connector_3x9"].true_position_mm == 1.1
    assert find_scenes(renders, ["connector_3x9"], None).tolerances["connector_3x9"].true_position_mm == 1.2
    (tmp_path / "scenes" / "connector_3x9.toml").unlink()
    found = find_scenes(renders, ["connector_3x9"], None)
    assert found.tolerances["connector_3x9"].true_position_mm == 0.8
    assert f"tolerance from {renders / 'scenes' / 'connector_3x9.toml'}: " in found.notes[0]


def test_renders_of_an_earlier_version_have_the_tolerance_of_their_records(tmp_path: Path, capsys) -> None:
    renders = write_renders(tmp_path / "out", ROWS)
    assert verdicts(renders, None, tmp_path / "set") == ["OK", "NG"]
    assert (
        "connector_3x9: tolerance from the records, as the render folder has no scene file" in capsys.readouterr().err
    )
    scenes = edit(shutil.copytree(SCENES, tmp_path / "scenes"), 1.2)
    assert verdicts(renders, scenes, tmp_path / "set") == ["OK", "OK"]


def test_a_scene_that_is_nowhere_is_one_line(tmp_path: Path, capsys) -> None:
    renders = write_renders(tmp_path / "out", ROWS)
    manifest = renders / "manifests" / "design.csv"
    manifest.write_text(manifest.read_text().replace("connector_3x9", "mine"))
    nothing = "no --scenes, and no copy of the file in the render folder"
    for scenes, got in ((None, nothing), (SCENES, "one without this file")):
        [problem] = faults_of(build, renders, tmp_path / "set", scenes, Options({}))
        assert problem.startswith("--scenes") and problem.endswith(
            f"with the scene file mine.toml, which the manifests in {renders} need, got {got}"
        )
    assert capsys.readouterr().err == ""


def test_records_of_a_faulty_manifest_are_no_orphans(renders: Path, tmp_path: Path, capsys) -> None:
    manifest = renders / "manifests" / "design.csv"
    manifest.write_text(manifest.read_text().replace("plain", "oak"))
    with pytest.raises(InputError):
        build(renders, tmp_path / "set", None, Options({}))
    assert "no manifest has" not in capsys.readouterr().err


def test_limits_of_single_pins_on_the_command_line(renders: Path, tmp_path: Path, capsys) -> None:
    build(renders, tmp_path / "set", None, Options({"r1c2.true_position_mm": 1.5}))
    assert "--tolerance: r1c2.true_position_mm=1.5, in place of the scene's limit" in capsys.readouterr().err
    found = rows_of(tmp_path / "set")["a2"]
    assert found["verdict"] == 0
    assert json.loads(found["tolerance_json"])["at"]["r1c2"] == {
        "true_position_mm": 1.5,
        "retraction_mm": 0.6,
        "protrusion_mm": 0.6,
    }
    assert "| connector_3x9, r1c2 | 1.5 | 0.6 | 0.6 |" in (tmp_path / "set" / "README.md").read_text()
    with pytest.raises(
        InputError, match=r"--tolerance: expected addresses .* of pins of scene connector_3x9, got r9c9"
    ):
        build(renders, tmp_path / "set", None, Options({"r9c9.retraction_mm": 0.1}))
    scene = tmp_path / "scenes" / "connector_3x9.toml"
    scene.write_text(scene.read_text() + "\n[tolerance.at]\nr1c2 = { true_position_mm = 0.1 }\n")
    capsys.readouterr()
    build(renders, tmp_path / "set", None, Options({"true_position_mm": 1.5}))
    assert rows_of(tmp_path / "set")["a2"]["verdict"] == 0
    assert "true_position_mm of --tolerance applies to every pin, also to r1c2" in capsys.readouterr().err
