"""A user's .blend in bpy and in a `blender` executable: its faces are read, and none of its code runs."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.geometry.mesh import Mesh
from tests.blender_scripts.geometry.mesh_bytes import CUBE
from tests.blender_scripts.geometry.test_mesh_files import volume
from tests.conftest import blender_executable
from tests.soak import rounds

MAKER = Path(__file__).with_name("blend_maker.py")
ENGINES = ("bpy", "blender")


def run(engine: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    if engine == "bpy":
        command = [sys.executable, str(MAKER)]
    else:
        command = [blender_executable(), "-b", "--factory-startup", "-P", str(MAKER)]
    command += ["--", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def read(engine: str, *names: object) -> list[dict]:
    """The result for each file, then the data that remain in that Blender."""
    done = run(engine, "read", *names)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files written by each Blender, by engine."""
    folders = {engine: tmp_path_factory.mktemp(engine) / "files" for engine in ENGINES}
    for engine, folder in folders.items():
        done = run(engine, "make", folder)
        assert (folder / "trap.blend").is_file(), done.stdout + done.stderr
    return folders


# A newer Blender reads an older one's files, not the other way round.
READABLE = [("bpy", "bpy"), ("bpy", "blender"), ("blender", "blender")]


@pytest.mark.parametrize(("reader", "writer"), READABLE)
def test_objects_are_read_as_they_stand_in_the_world(reader: str, writer: str, made: dict[str, Path]) -> None:
    folder = made[writer]
    names = ("good.blend#housing", "packed.blend#housing", "good.blend#mirrored", "good.blend", "good.blend#no'ne")
    one, packed, mirrored, all_, absent, left = read(reader, *(folder / name for name in names))
    world = np.array(json.loads((folder / "world.json").read_text()))
    expected = CUBE @ world[:3, :3].T + world[:3, 3]
    for found in (one, packed):
        mesh = Mesh.of(np.array(found["vertices"]), found["faces"])
        assert np.sort(mesh.vertices, axis=0) == pytest.approx(np.sort(expected, axis=0), abs=1e-5)
        assert volume(mesh) == pytest.approx(8.0, abs=1e-4)
    assert volume(Mesh.of(np.array(mirrored["vertices"]), mirrored["faces"])) == pytest.approx(1.0)
    assert len(all_["vertices"]) == 16
    assert 'good.blend: expected a file with the object "no\'ne", got ' in absent["problems"][0]
    assert set(left["left"].values()) == {0}


@pytest.mark.parametrize(("reader", "writer"), READABLE)
def test_only_what_renders_of_the_one_scene_show_is_read(reader: str, writer: str, made: dict[str, Path]) -> None:
    names = ("collections.blend", "within.blend", "scenes.blend", "scenes.blend#excluded")
    found, within, several, named, left = read(reader, *(made[writer] / name for name in names))
    assert np.max(found["vertices"]) == 1.0 and len(found["vertices"]) == 8
    # A collection within an excluded one may be shown.
    assert np.max(within["vertices"]) == 50.0
    assert several["problems"] == ["scenes.blend: expected a file with one scene, or the key `object`, got 2 scenes"]
    assert len(named["vertices"]) == 8
    assert set(left["left"].values()) == {0}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_stands_otherwise_than_it_says_is_refused(engine: str, made: dict[str, Path]) -> None:
    expected = {
        "nothing.blend": "expected a mesh object that is shown in renders, got none",
        "good.blend#above": "expected the object 'above' as a mesh, got EMPTY",
        "modifier.blend": "expected the object 'round' without modifiers (apply them in Blender), got BEVEL",
        "shape_keys.blend": "expected the object 'key' without shape keys",
        "constraint.blend": "the object 'tied' without constraints (apply them in Blender), got LIMIT_LOCATION",
        "instances.blend": "without instances (Object > Apply > Make Instances Real), got instances of 'many'",
        "linked.blend": "expected a file that needs no other file, got links to other files: 'good.blend'",
        "linked.blend#own": "",
    }
    *found, left = read(engine, *(made[engine] / name for name in expected))
    for (name, text), result in zip(expected.items(), found, strict=True):
        if text:
            (problem,) = result["problems"]
            assert problem.startswith(name.partition("#")[0] + ": ") and text in problem and problem.isprintable()
        else:
            assert len(result["vertices"]) == 8
    assert set(left["left"].values()) == {0}


@pytest.mark.parametrize(("reader", "writer"), READABLE)
def test_scripts_drivers_and_handlers_of_a_file_never_run(reader: str, writer: str, made: dict[str, Path]) -> None:
    marker = made[writer] / "ran"
    trap = made[writer] / "trap.blend"
    marker.unlink(missing_ok=True)
    # The trap works: opening the file with scripts enabled springs it.
    run(reader, "spring", trap)
    assert marker.exists()
    marker.unlink()
    named, all_, left = read(reader, f"{trap}#housing", trap)
    assert len(named["vertices"]) == len(all_["vertices"]) == 8
    assert set(left["left"].values()) == {0}
    assert not marker.exists()


def test_files_of_a_newer_blender_are_refused_by_version(made: dict[str, Path]) -> None:
    plain, packed, _ = read("blender", made["bpy"] / "good.blend", made["bpy"] / "packed.blend")
    assert (
        "good.blend: expected a file of Blender 3.4, which runs here, or of an older one, got a file of Blender 5."
        in (plain["problems"][0])
    )
    assert "got a damaged file, or one of a newer Blender" in packed["problems"][0]


@pytest.mark.parametrize("part", rounds(1))
@pytest.mark.parametrize("engine", ENGINES)
def test_broken_files_cost_the_child_not_the_reader(engine: str, part: int, made: dict[str, Path]) -> None:
    """Even where they bring Blender down."""
    source = random.Random(5 + part)
    whole = (made[engine] / "good.blend").read_bytes()
    names = []
    for number in range(5):
        broken = bytearray(whole)
        for _ in range(40):
            broken[source.randrange(24, len(broken) - 40)] = source.randrange(256)
        names.append(made[engine] / f"broken_{number}.blend")
        names[-1].write_bytes(broken)
    packed = (made[engine] / "packed.blend").read_bytes()
    names.append(made[engine] / "broken_packed.blend")
    names[-1].write_bytes(packed[: len(packed) // 2])
    *found, left = read(engine, *names)
    assert len(found) == len(names)
    for name, result in zip(names, found, strict=True):
        if "problems" in result:
            assert result["problems"][0].startswith(f"{name.name}: expected ") or (
                result["problems"][0].startswith(f"{name.name} vertex ")
            )
    assert "problems" in found[-1]
    assert set(left["left"].values()) == {0}
