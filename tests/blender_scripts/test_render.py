"""The renderer in bpy: truth against masks and pictures, and bytes that never change."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts import render
from blender_scripts.contract.scratch import Scratch
from blender_scripts.manifest.output_folder import PATHS, SCENE_PATHS, OutputFolder
from blender_scripts.manifest.reader import read_manifest
from blender_scripts.manifest.record import RENDERER, encode_record
from tests.conftest import (
    COLUMNS,
    ROOT,
    ROWS,
    SCENES,
    assert_same_files,
    folder_bytes,
    records,
    renderer_command,
    run_code,
    run_renderer,
    write_manifest,
)
from tests.soak import rounds


@pytest.fixture(scope="module", params=["bpy", "blender"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def rendered(engine: str, rendered_by: Callable[[str], Path]) -> Path:
    return rendered_by(engine)


def picture(folder: Path, run: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "images" / f"{run}.png")).astype(float)


def mask(folder: Path, run: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "masks" / f"{run}.png")).astype(int)


def position(record: dict, address: str) -> dict:
    return next(p for p in record["positions"] if p["address"] == address)


def union(*boxes: list[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def test_every_row_has_picture_mask_and_record(rendered: Path) -> None:
    names = {row[0] for row in ROWS}
    for folder, suffix in (("images", ".png"), ("masks", ".png"), ("records", ".json")):
        assert {path.name for path in (rendered / folder).iterdir()} == {name + suffix for name in names}
    assert [path.name for path in (rendered / "manifests").iterdir()] == ["rows.csv"]


def test_pictures_hold_only_the_chunks_that_pixels_need(rendered: Path) -> None:
    data = (rendered / "images" / "bent.png").read_bytes()
    chunks, offset = [], 8
    while offset < len(data):
        (size,) = struct.unpack_from(">I", data, offset)
        chunks.append(data[offset + 4 : offset + 8])
        offset += size + 12
    assert chunks == [b"IHDR", b"sRGB", b"IDAT", b"IEND"]


def test_pictures_are_exposed(rendered: Path) -> None:
    for run in (row[0] for row in ROWS):
        level = picture(rendered, run)
        assert 25 < level.mean() < 150
        assert np.mean(level == 255) < 0.02
        assert level.std() > 15


def test_visible_boxes_are_inside_the_projected_pin_and_reach_its_tip(rendered: Path) -> None:
    checked = 0
    for record in records(rendered).values():
        for pin in record["positions"]:
            visible, amodal = pin["boxes"]["visible"], pin["boxes"]["amodal"]
            if visible is None or pin["visible_fraction"] < 0.2:
                continue
            assert visible[0] >= amodal[0] - 0.3 and visible[1] >= amodal[1] - 0.3
            assert visible[2] <= amodal[2] + 0.3 and visible[3] <= amodal[3] + 0.3
            if pin["visible_fraction"] > 0.97:
                # The end of an unobstructed pin: the edges on the side its tip points to.
                for axis in (0, 1):
                    towards = pin["tip_px"][axis] - pin["base_px"][axis]
                    if abs(towards) > 3.0:
                        edge = axis + 2 if towards > 0 else axis
                        assert visible[edge] == pytest.approx(amodal[edge], abs=0.5)
                        checked += 1
    assert checked > 60


def test_visible_boxes_agree_with_the_mask(rendered: Path) -> None:
    whole, partly = [], []
    for run, record in records(rendered).items():
        indices = mask(rendered, run)
        assert indices.shape == (record["height"], record["width"])
        assert indices.max() <= len(record["positions"]) + len(record["other"])
        for pin in record["positions"]:
            rows, columns = np.nonzero(indices == pin["index"])
            visible = pin["boxes"]["visible"]
            if visible is None:
                assert len(rows) == 0
            elif len(rows):
                # The box is as large as all that is seen, the mask shows what is seen at pixels' centres.
                found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                inwards = (found - visible) * [1, 1, -1, -1]
                assert inwards.min() >= -0.5 - 1e-6
                (whole if pin["visible_fraction"] > 0.99 else partly).append(inwards.max())
    assert len(whole) > 60
    # A tip may end in the corner of a pixel.
    assert max(whole) <= 1.5
    assert np.median(partly) <= 0.5


def test_tips_lie_on_their_pins(rendered: Path) -> None:
    for run, record in records(rendered).items():
        indices = mask(rendered, run)
        for pin in record["positions"]:
            if pin["visible_fraction"] > 0.8 and pin["tip_px"]:
                x, y = (round(value - 0.5) for value in pin["tip_px"])
                assert pin["index"] in indices[y - 1 : y + 2, x - 1 : x + 2]


def test_most_pins_are_seen_from_the_front(rendered: Path) -> None:
    fractions = [pin["visible_fraction"] for pin in records(rendered)["plain_bent"]["positions"]]
    assert min(fractions) > 0.9


def test_a_bent_pin_is_where_the_manifest_says(rendered: Path) -> None:
    record = records(rendered)["bent"]
    pin, before = position(record, "r2c5"), position(records(rendered)["plain_bent"], "r2c5")
    assert pin["kind"] == "bent"
    # 0.3 mm straight, an arc of 1.8 mm, the rest straight at 16 degrees, of a pin of 6.3 mm.
    angle = np.radians(16)
    arc = 1.8 / angle
    expected = arc * (1 - np.cos(angle)) + (6.3 - 0.3 - 1.8) * np.sin(angle)
    assert pin["dy_mm"] - before["dy_mm"] == pytest.approx(expected, abs=0.02)
    assert pin["dx_mm"] == pytest.approx(before["dx_mm"], abs=0.02)
    assert pin["length_mm"] == before["length_mm"]
    assert pin["base_px"] == pytest.approx(before["base_px"], abs=0.05)
    assert pin["boxes"]["visible"][1] < before["boxes"]["visible"][1] - 3
    assert pin["tip_px"][1] == pytest.approx(before["tip_px"][1] - expected * record["camera"]["fy"] / 119.5, abs=0.5)


def test_a_retracted_pin_stands_lower(rendered: Path) -> None:
    pin, before = (position(records(rendered)[run], "r1c3") for run in ("retracted", "plain_retracted"))
    assert pin["kind"] == "retracted"
    assert pin["retraction_mm"] - before["retraction_mm"] == pytest.approx(3.0, abs=1e-4)
    assert pin["true_position_mm"] == pytest.approx(before["true_position_mm"], abs=1e-4)
    assert pin["visible_fraction"] < before["visible_fraction"] - 0.2


def test_a_missing_pin_has_no_pixels_but_a_box(rendered: Path) -> None:
    record = records(rendered)["missing"]
    pin, before = position(record, "r3c7"), position(records(rendered)["plain_missing"], "r3c7")
    assert not np.any(mask(rendered, "missing") == pin["index"])
    assert pin["boxes"]["visible"] is None and pin["boxes"]["amodal"] is None
    assert all(pin[name] is None for name in ("tip_px", "dx_mm", "true_position_mm", "retraction_mm"))
    assert pin["boxes"]["expected"] == pytest.approx(before["boxes"]["amodal"], abs=1.5)
    assert pin["visible_fraction"] > 0.1


@pytest.mark.parametrize(("run", "address"), [("bent", "r2c5"), ("retracted", "r1c3"), ("missing", "r3c7")])
def test_the_picture_changes_where_the_defect_is(rendered: Path, run: str, address: str) -> None:
    change = np.abs(picture(rendered, run) - picture(rendered, f"plain_{run}")).mean(axis=2)
    seen = [position(records(rendered)[name], address)["boxes"]["visible"] for name in (run, f"plain_{run}")]
    x1, y1, x2, y2 = union(*(box for box in seen if box))
    here = np.zeros(change.shape, bool)
    here[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] = True
    assert change[here].mean() > 8
    assert change[here].mean() > 10 * change[~here].mean()


def test_a_defect_changes_no_other_draw(rendered: Path) -> None:
    found = records(rendered)
    for run, address in (("bent", "r2c5"), ("retracted", "r1c3"), ("missing", "r3c7")):
        assert found[run]["camera"] == found[f"plain_{run}"]["camera"]
        for pin, other in zip(found[run]["positions"], found[f"plain_{run}"]["positions"], strict=True):
            if pin["address"] != address:
                assert pin["tip_mm"] == other["tip_mm"]


def test_any_order_and_a_single_row_give_the_same_bytes(engine: str, rendered: Path, tmp_path: Path) -> None:
    chosen = [ROWS[6], ROWS[0], ROWS[3]]
    shuffled = write_manifest(tmp_path / "rows.csv", chosen)
    assert run_renderer(shuffled, "--out", tmp_path / "shuffled", engine=engine).returncode == 0
    assert (
        run_renderer(shuffled, "--out", tmp_path / "alone", "--rows", "1:2", "--threads", "1", engine=engine).returncode
        == 0
    )
    for out, runs in (("shuffled", [row[0] for row in chosen]), ("alone", [chosen[1][0]])):
        for run in runs:
            for file in (f"images/{run}.png", f"masks/{run}.png", f"records/{run}.json"):
                assert (tmp_path / out / file).read_bytes() == (rendered / file).read_bytes(), (out, file)


WAVES = """
import sys
sys.path.insert(0, {root!r})
import bpy
import numpy as np
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.scene.objects import add_object, make_mesh

x, y = (axis.ravel() for axis in np.meshgrid(np.arange(70.0), np.arange(70.0)))
places = np.stack([x, y, np.sin(0.7 * x) * np.cos(0.3 * y)], axis=1)
first = [row * 70 + column for row in range(69) for column in range(69)]
waves = Mesh.of(places, [(i, i + 1, i + 71, i + 70) for i in first], smooth=True)
found = set()
for _ in range(100):
    data = make_mesh("waves", waves, bpy.data.materials.new("waves"))
    thing = add_object("waves", data)
    seen = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    if hasattr(seen, "calc_normals_split"):
        seen.calc_normals_split()
    normals = np.empty(3 * len(seen.loops), np.float32)
    seen.loops.foreach_get("normal", normals)
    assert np.ptp(normals) > 0.5
    found.add(normals.tobytes())
    bpy.data.objects.remove(thing)
    bpy.data.meshes.remove(data)
print(len(found), "kinds of normals")
"""


WINDOWS = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, {root!r})
import bpy
import numpy as np
from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.scene.objects import add_object, make_mesh
from blender_scripts.scene.path_tracer import PathTracer
from blender_scripts.scene.stage import CAMERA, Stage

bpy.ops.wm.read_factory_settings(use_empty=True)
stage = Stage()
tracer = PathTracer(Path(tempfile.gettempdir()), 1)
camera = add_object(CAMERA, bpy.data.cameras.new(CAMERA))
camera.location.z = 10.0
bpy.context.scene.camera = camera
corners = np.array([[-9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 9.0, 0.0], [-9.0, 9.0, 0.0]])
quarter = make_mesh("quarter", Mesh.of(corners, [(0, 1, 2, 3)]), bpy.data.materials.new("grey"))
add_object("quarter", quarter)
stage.show("depth")
for width in (640, 16800, 30000, 61440, 65536):
    for x, y in ((0, 0), (3, 9), (70, 11), (13, 60)):
        left, top = width // 2 - x, width // 4 - y
        seen = tracer.values(width, width // 2, Window(left, top, left + 80, top + 64))
        expected = np.zeros((64, 80))
        expected[:y, :x] = 10
        assert np.array_equal(np.rint(seen), expected), (width, x, y)
try:
    tracer.values(65540, 64, Window(0, 0, 8, 8))
except RuntimeError as error:
    print(error)
print(tracer.picture(16, 8, 1, 0).shape)
"""


def test_windows_of_a_wide_view_lie_where_they_should(engine: str, tmp_path: Path) -> None:
    done = run_code(engine, WINDOWS.format(root=str(ROOT)), tmp_path)
    found = [line for line in done.stdout.splitlines() if line.startswith(("expected", "(8"))]
    assert found == ["expected a view of at most 65536 px along a side, got 65540 x 64 px", "(8, 16, 3)"], (
        done.stdout + done.stderr
    )


LEFT_SHOWN = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import bpy
from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.optics import set_up_station
from blender_scripts.manifest.make_part import make_part
from blender_scripts.scene.stage import Stage

bpy.ops.wm.read_factory_settings(use_empty=True)
connector, stage = read_connector(Path({root!r}, "scenes", "header_2x8.toml")), Stage()
part = make_part(connector, "plain", "square", "none", 1, ())
for _ in range(2):
    stage.lay_out(part, "ring", set_up_station(connector, "center", 1, 64, 32))
    print("override", bpy.context.view_layer.material_override)
    stage.show("depth")
"""


def test_a_truth_that_a_failed_row_left_shown_is_not_in_the_next_picture(tmp_path: Path) -> None:
    done = run_code("bpy", LEFT_SHOWN.format(root=str(ROOT)), tmp_path)
    assert done.stdout.splitlines() == ["override None"] * 2, done.stdout + done.stderr


def test_beyond_the_table_there_is_nothing(engine: str, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    text = (SCENES / "connector_3x9.toml").read_text("utf-8")
    text = re.sub(r"(?m)^angle_deg = .*", "angle_deg = 75", text)
    text = re.sub(r"(?m)^focal_mm = .*", "focal_mm = 12", text)
    (scenes / "connector_3x9.toml").write_text(text, "utf-8")
    row = ("far", "train", 1, 1, "plain", "round", "", "bottom", "ring", "none", 64, 64, 1)
    path = write_manifest(tmp_path / "far.csv", [row], (*COLUMNS, "width", "height", "samples"))
    out = tmp_path / "out"
    done = run_renderer(path, "--out", out, "--scenes", scenes, "--depth", "--normal", engine=engine)
    assert done.returncode == 0, done.stderr
    depth, normal = (np.load(out / kind / "far.npy") for kind in ("depth", "normal"))
    nothing, lengths = depth == 0.0, np.linalg.norm(normal, axis=2)
    assert 0.1 < nothing.mean() < 0.5 and depth[~nothing].min() > 50.0
    assert np.all(lengths[nothing] == 0.0) and lengths[~nothing] == pytest.approx(1.0, abs=1e-3)


def test_a_large_smooth_mesh_always_has_the_same_normals(engine: str, tmp_path: Path) -> None:
    """Blender 3.4 sums the normals of a vertex in the order its threads come."""
    done = run_code(engine, WAVES.format(root=str(ROOT)), tmp_path)
    assert "1 kinds of normals" in done.stdout.splitlines(), done.stdout + done.stderr


@pytest.mark.parametrize("part", rounds(1))
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(
    engine: str, rendered: Path, manifest: Path, tmp_path: Path, part: int
) -> None:
    """Killed right after two rows; in a soak after one to six rows, at any moment of the next one."""
    source = random.Random(part)
    rows, pause = (source.randint(1, 6), source.uniform(0, 0.1)) if part else (2, 0)
    # A busy machine may be too late to hit a renderer of small pictures before its last one: it tries again.
    for attempt in range(5):
        out = tmp_path / f"out{attempt}"
        process = subprocess.Popen(renderer_command(engine, manifest, "--out", out), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(list((out / "records").glob("*.json"))) < rows and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        finished = len(list((out / "records").glob("*.json")))
        if finished < len(ROWS):
            break
    assert rows <= finished < len(ROWS)
    (out / "images" / ".bent.png.1.tmp").write_bytes(b"half")
    again = run_renderer(manifest, "--out", out, engine=engine)
    assert again.returncode == 0, again.stderr
    assert f"{finished} already there" in again.stdout
    assert_same_files(out, rendered)


def test_an_interrupt_leaves_whole_files_and_exit_code_1(engine: str, tmp_path: Path) -> None:
    rows = [
        (f"row{i}", "train", i, i, "plain", "round", "", "center", "ring", "none", *size)
        for i, size in enumerate([(64, 32, 1)] * 3 + [(1024, 512, 4096)])
    ]
    manifest = write_manifest(tmp_path / "rows.csv", rows, (*COLUMNS, "width", "height", "samples"))
    out = tmp_path / "out"
    process = subprocess.Popen(renderer_command(engine, manifest, "--out", out), stderr=subprocess.PIPE, text=True)
    while not list((out / "records").glob("*.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "repeat the command" in words and "Traceback" not in words
    assert not list(out.rglob("*.tmp"))


def test_an_interrupt_does_not_wait_for_a_long_render(engine: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    row = ("long", "train", 1, 2, "plain", "round", "", "center", "ring", "none", 1024, 512, 4096)
    columns = (*COLUMNS, "width", "height", "samples")
    process = subprocess.Popen(
        renderer_command(engine, write_manifest(tmp_path / "long.csv", [row], columns), "--out", tmp_path / "out"),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    # The manifest is copied just before the first row: on a busy machine Blender's start takes long.
    while not list((tmp_path / "out" / "manifests").glob("*.csv")) and process.poll() is None:
        time.sleep(0.01)
    time.sleep(3.0)  # now it is in a render that takes minutes
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "repeat the command" in words and "Traceback" not in words
    assert not list(scratch.iterdir()) and not list((tmp_path / "out").rglob("*.tmp"))


def test_a_temporary_folder_that_blender_cannot_use_keeps_what_is_in_it(engine: str, tmp_path: Path) -> None:
    """The folder's name is too long for Blender's own folder below it."""
    scratch = tmp_path
    while len(str(scratch)) < 1012:
        scratch /= "x" * min(100, 1011 - len(str(scratch)))
    scratch.mkdir(parents=True)
    (scratch / "mine").touch()
    done = subprocess.run(
        renderer_command(engine, tmp_path / "none.csv", "--out", tmp_path / "out"),
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert done.returncode == 2 and "none.csv:1 file: expected a readable CSV file" in done.stderr
    assert "falling back to" in done.stdout + done.stderr
    assert (scratch / "mine").exists()


def test_annotations_do_not_keep_an_old_python_from_being_refused() -> None:
    for function in (value for value in vars(render).values() if isinstance(value, types.FunctionType)):
        assert all(isinstance(kind, str) for kind in function.__annotations__.values()), function


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "from blender_scripts.contract.scratch import Scratch; import os; Scratch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=ROOT)
    (left,) = tmp_path.iterdir()
    (tmp_path / "pinsight-of-another").mkdir()
    with contextlib.closing(Scratch()) as mine, contextlib.closing(Scratch()) as other:
        assert not left.exists()
        assert mine.folder.is_dir() and other.folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["pinsight-of-another"]


@pytest.fixture
def small(engine: str, tmp_path: Path) -> tuple[Path, Path]:
    """Two rendered rows of 64 x 32 px, in a folder that a test may change."""
    manifest = small_manifest(tmp_path / "small.csv")
    out = tmp_path / "out"
    assert run_renderer(manifest, "--out", out, engine=engine).returncode == 0
    return manifest, out


def small_manifest(path: Path, split: str = "train", note: str = "a", seed: int = 21) -> Path:
    columns = (*COLUMNS, "width", "height", "samples", "note")
    rows = [
        (name, split, part, seed, "plain", "round", defects, "center", "ring", "none", 64, 32, 1, note)
        for name, part, defects in (("one", 1, ""), ("two", 2, "missing@r1c1"))
    ]
    return write_manifest(path, rows, columns)


def test_a_label_column_refreshes_the_record_only(engine: str, small: tuple[Path, Path]) -> None:
    manifest, out = small
    before = {name: (out / "images" / f"{name}.png").stat().st_mtime_ns for name in ("one", "two")}
    small_manifest(manifest, split="test", note="b")
    done = run_renderer(manifest, "--out", out, engine=engine)
    assert "0 rendered, 2 already there" in done.stdout
    assert before == {name: (out / "images" / f"{name}.png").stat().st_mtime_ns for name in before}
    assert {(r["row"]["split"], r["row"]["note"]) for r in records(out).values()} == {("test", "b")}


def test_an_edited_tolerance_or_datum_refreshes_the_record_only(tmp_path: Path) -> None:
    scenes, out, manifest = tmp_path / "scenes", tmp_path / "out", small_manifest(tmp_path / "small.csv")
    scenes.mkdir()
    text = (SCENES / "connector_3x9.toml").read_text("utf-8").replace("[scatter]", "[scatter]\nshrinkage = 0.01", 1)

    def render(changed: str) -> str:
        (scenes / "connector_3x9.toml").write_text(changed, "utf-8")
        return run_renderer(manifest, "--out", out, "--scenes", scenes).stdout

    assert "2 rendered" in render(text)
    before = folder_bytes(out)
    edited = text.replace("true_position_mm = 0.8", "true_position_mm = 0.4\nat = { r1c2 = { retraction_mm = 0.1 } }")
    assert "0 rendered, 2 already there" in render(f"# checked\n{edited}")
    assert {r["tolerance"]["true_position_mm"] for r in records(out).values()} == {0.4}
    assert {r["tolerance"]["at"]["r1c2"]["retraction_mm"] for r in records(out).values()} == {0.1}
    after = folder_bytes(out)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"records/one.json", "records/two.json", "scenes/connector_3x9.toml"}
    assert "0 rendered" in render(text) and folder_bytes(out) == before
    # The right datum from the beginning gives the same record.
    from_left = f'{text}\n[datum]\nx = "left"\n'
    assert "0 rendered" in render(from_left)
    moved = [records(out)["one"]["positions"][0][key] for key in ("dx_mm", "true_position_mm")]
    assert moved != [
        json.loads(before["records/one.json"])["positions"][0][key] for key in ("dx_mm", "true_position_mm")
    ]
    refreshed = folder_bytes(out)
    shutil.rmtree(out)
    assert "2 rendered" in render(from_left) and folder_bytes(out) == refreshed


def test_what_was_damaged_is_rendered_again(engine: str, small: tuple[Path, Path]) -> None:
    manifest, out = small
    whole = folder_bytes(out)
    (out / "images" / "one.png").write_bytes(b"broken")
    (out / "records" / "two.json").write_text("{")
    assert "2 rendered" in run_renderer(manifest, "--out", out, engine=engine).stdout
    assert folder_bytes(out) == whole


def test_another_seed_is_another_picture(engine: str, small: tuple[Path, Path]) -> None:
    manifest, out = small
    before = folder_bytes(out)
    small_manifest(manifest, seed=99)
    assert "2 rendered" in run_renderer(manifest, "--out", out, engine=engine).stdout
    assert folder_bytes(out)["images/one.png"] != before["images/one.png"]


def test_a_run_of_another_manifest_is_not_overwritten(engine: str, small: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = small
    before = folder_bytes(out)
    other = small_manifest(tmp_path / "other.csv", seed=5)
    done = run_renderer(other, "--out", out, engine=engine)
    assert done.returncode == 2
    assert "other.csv: expected a new run name, got one, which small.csv" in done.stderr
    assert folder_bytes(out) == before


def test_foreign_files_are_replaced_by_force_only(engine: str, tmp_path: Path) -> None:
    manifest, out = small_manifest(tmp_path / "small.csv"), tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "one.png").write_bytes(b"mine")
    done = run_renderer(manifest, "--out", out, engine=engine)
    assert done.returncode == 2 and "got a folder with other files that would be replaced" in done.stderr
    assert folder_bytes(out) == {"images/one.png": b"mine"} and [path.name for path in out.iterdir()] == ["images"]
    assert run_renderer(manifest, "--out", out, "--force", engine=engine).returncode == 0
    assert (out / "images" / "one.png").read_bytes().startswith(b"\x89PNG")


def test_arrays_of_an_earlier_picture_go(tmp_path: Path) -> None:
    output, arrays = OutputFolder(tmp_path / "out"), {"depth": b"d", "normal": b"n"}
    for extras in (arrays, {"depth": b"e"}):
        output.write("a", b"image", b"mask", {}, extras)
    assert folder_bytes(tmp_path / "out").keys() == {"images/a.png", "masks/a.png", "records/a.json", "depth/a.npy"}
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / "a.npy").touch()
    (tmp_path / "out" / "normal").rmdir()
    (tmp_path / "out" / "normal").symlink_to(tmp_path / "normal")
    output.write("a", b"image", b"mask", {}, {})
    assert not (tmp_path / "out" / "depth" / "a.npy").exists() and (tmp_path / "normal" / "a.npy").exists()


def test_nothing_is_written_through_a_link(engine: str, small: tuple[Path, Path], tmp_path: Path) -> None:
    manifest, _ = small
    out, outside = tmp_path / "linked", tmp_path / "outside"
    outside.mkdir()
    out.mkdir()
    (out / "images").symlink_to(outside)
    done = run_renderer(manifest, "--out", out, engine=engine)
    assert done.returncode == 2 and "symbolic link" in done.stderr
    assert not list(outside.iterdir())


def test_a_link_in_place_of_a_picture_is_replaced(engine: str, small: tuple[Path, Path], tmp_path: Path) -> None:
    manifest, out = small
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    (out / "images" / "one.png").unlink()
    (out / "images" / "one.png").symlink_to(outside)
    assert run_renderer(manifest, "--out", out, engine=engine).returncode == 0
    assert outside.read_bytes() == b"mine"
    assert not (out / "images" / "one.png").is_symlink()


def render_here(engine: str, pool: bool, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command without --out, by Blender itself or by the pool, with this folder as the current one."""
    driver = [sys.executable, "-m", "generator", "render", "--workers", "1", "--engine"]
    driver.append({"bpy": "local", "blender": "blender"}[engine])
    command = [*driver, *map(str, arguments)] if pool else renderer_command(engine, *arguments)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder, env=environment)


@pytest.mark.parametrize("pool", [False, True], ids=["itself", "pool"])
def test_the_bare_command_keeps_to_its_own_folder(
    engine: str, pool: bool, small: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest, whole = small
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(manifest, here)
    done = render_here(engine, pool, here, "small.csv")
    assert done.returncode == 0, done.stderr
    assert "rendering into the folder renders/small " in done.stdout
    assert "2 rendered, 0 already there, 0 failed, in renders/small\n" in done.stdout
    before = folder_bytes(here)
    assert folder_bytes(here / "renders" / "small") == {
        **folder_bytes(whole),
        PATHS: b'{\n "small.csv": "../../small.csv"\n}\n',
        SCENE_PATHS: before[f"renders/small/{SCENE_PATHS}"],
    }
    done = render_here(engine, pool, here, "small.csv")
    assert done.returncode == 0 and "0 rendered, 2 already there, 0 failed" in done.stdout
    if engine == "bpy":  # Debian's has no denoiser
        done = render_here(engine, pool, here, "small.csv", "--no-denoise")
        assert done.returncode == 2 and "rendered" not in done.stdout
        assert "renders/small: expected finished rows with the settings of this command" in done.stderr
        assert "got 2 with other settings (such as one: other render settings): to render these rows" in done.stderr
    done = render_here(engine, pool, here, "small.csv", "--rows", "1:2", "--mask-scale", "2")
    assert done.returncode == 2
    assert "got 1 with other settings (such as two: --mask-scale 1, now 2)" in done.stderr
    # From elsewhere; with --out, since the rows are the same.
    (here / "else").mkdir()
    shutil.copy(manifest, here / "else")
    done = render_here(engine, pool, here, "else/small.csv")
    assert done.returncode == 2
    assert f"else/small.csv: expected {here / 'small.csv'}, whose pictures are in" in done.stderr
    (here / "else" / "small.csv").unlink()
    (here / "else").rmdir()
    # An edit that changes a picture: without --out no picture is replaced.
    small_manifest(here / "small.csv", seed=5)
    done = render_here(engine, pool, here, "small.csv")
    assert done.returncode == 2 and "got 2 with other settings (such as one: the manifest row was" in done.stderr
    shutil.copy(manifest, here)
    assert folder_bytes(here) == before
    small_manifest(here / "small.csv", seed=5)
    done = render_here(engine, pool, here, "small.csv", "--force")
    assert done.returncode == 0 and "2 rendered" in done.stdout
    (here / "small.csv").rename(here / ".small.csv")
    done = render_here(engine, pool, here, ".small.csv")
    assert done.returncode == 2 and ".small.csv: expected --out DIR, as the manifest's name begins" in done.stderr


def made_by_renderer_4(out: Path) -> None:
    """Change the records of a render folder to those of the version before."""
    for path in (out / "records").iterdir():
        record = json.loads(path.read_text("utf-8"))
        del record["row"]["fixture"], record["row"]["world"], record["camera"]["model"]
        path.write_bytes(encode_record({**record, "row_sha256": "4" * 64, "renderer": "4", "scene_sha256": "4" * 64}))


def test_pictures_of_another_renderer_are_refused_or_rendered_again(tmp_path: Path) -> None:
    small_manifest(tmp_path / "small.csv")
    out = tmp_path / "renders" / "small"
    assert render_here("bpy", False, tmp_path, "small.csv").returncode == 0
    whole = folder_bytes(out)
    made_by_renderer_4(out)
    before = folder_bytes(out)
    for pool in (False, True):
        done = render_here("bpy", pool, tmp_path, "small.csv")
        assert done.returncode == 2 and folder_bytes(out) == before
        assert f"got 2 with other settings (such as one: renderer version '4', now '{RENDERER}')" in done.stderr
    done = render_here("bpy", False, tmp_path, "small.csv", "--out", "renders/small", "--rows", "0:1")
    line = f"renders/small: rows of renderer version 4 that version {RENDERER} renders again: 1"
    assert f"{line}; rows that stay as they are: 1 (`build` refuses" in done.stderr and "1 rendered" in done.stdout
    done = render_here("bpy", True, tmp_path, "small.csv", "--out", "renders/small")
    assert f"{line}\n" in done.stderr and "1 rendered, 1 already there" in done.stdout
    assert folder_bytes(out) == whole
    assert "renderer" not in render_here("bpy", False, tmp_path, "small.csv", "--out", "renders/small").stderr


def test_another_blender_replaces_nothing_in_a_default_folder(tmp_path: Path) -> None:
    small_manifest(tmp_path / "small.csv")
    assert render_here("bpy", True, tmp_path, "small.csv").returncode == 0
    before = folder_bytes(tmp_path)
    for pool in (False, True):
        done = render_here("blender", pool, tmp_path, "small.csv")
        assert done.returncode == 2 and "got 2 with other settings (such as one: Blender " in done.stderr
    assert folder_bytes(tmp_path) == before
    # A damaged row does not count as finished.
    (tmp_path / "renders" / "small" / "images" / "one.png").write_bytes(b"broken")
    assert "got 1 with other settings (such as two: " in render_here("blender", False, tmp_path, "small.csv").stderr
    assert "1 rendered, 1 already there" in render_here("bpy", False, tmp_path, "small.csv").stdout
    assert folder_bytes(tmp_path) == before


def test_the_pool_s_renderer_notices_an_edited_scene(engine: str, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    shutil.copy(SCENES / "connector_3x9.toml", scenes)
    path = small_manifest(tmp_path / "small.csv")
    words = ["--out", tmp_path / "out", "--scenes", scenes, "--feed", "--validated"]
    words.append(read_manifest(path, scenes).checked_sha256)
    for edit, code in ((b"", 0), (b"# a comment\n", 2)):
        with (scenes / "connector_3x9.toml").open("ab") as file:
            file.write(edit)
        done = subprocess.run(
            renderer_command(engine, path, *words), input="0\n", capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, done.stderr
        assert ('"rendered": true' in done.stdout) == (code == 0)
    assert "small.csv: expected manifest and scene files unchanged since they were checked" in done.stderr


@pytest.mark.parametrize("arguments", [["--rows", "5:2"], ["--rows", "x"], ["--mask-scale", "9"], ["--nonsense"]])
def test_wrong_arguments_end_with_2(engine: str, arguments: list[str], tmp_path: Path) -> None:
    manifest = small_manifest(tmp_path / "small.csv")
    out = ["--out", str(tmp_path / "out")]
    done = run_renderer(manifest, *out, *arguments, engine=engine)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.strip()
    assert not (tmp_path / "out" / "images").exists()


def test_two_workers_give_the_bytes_of_one(engine: str, rendered: Path, manifest: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "generator",
        "render",
        manifest,
        "--out",
        tmp_path / "out",
        "--workers",
        "2",
        "--recycle",
        "3",
        "--engine",
        {"bpy": "local", "blender": "blender"}[engine],
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert f"{len(ROWS)} rendered" in done.stdout
    assert_same_files(tmp_path / "out", rendered)
