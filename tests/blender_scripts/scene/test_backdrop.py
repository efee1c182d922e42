"""Options of a scene in the picture: photographs on the table, scatter that pins share, motion; the truth beside it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.optics import set_up_station
from tests.conftest import COLUMNS, SCENES, records, run_renderer, write_manifest

SCENE = (SCENES / "connector_3x9.toml").read_text("utf-8").replace("fixture_shade = 0.3", "fixture_shade = 0.0")
SIZE = ("width", "height", "samples")


def render(folder: Path, scene: str, rows: list[tuple[object, ...]], engine: str = "bpy") -> Path:
    (folder / "connector_3x9.toml").write_text(scene, encoding="utf-8")
    manifest = write_manifest(folder / "rows.csv", rows, (*COLUMNS, *SIZE))
    done = run_renderer(manifest, "--scenes", folder, "--out", folder / "out", engine=engine)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def row(run: str, seed: int, size: tuple[int, int] = (128, 64), defects: str = "") -> tuple[object, ...]:
    return (run, "train", 5, seed, "plain", "round", defects, "center", "ring", "none", *size, 4)


def picture(folder: Path, run: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "images" / f"{run}.png")).astype(float)


@pytest.mark.parametrize("engine", ["bpy", "blender"])
def test_a_photograph_of_a_colour_is_a_table_of_that_colour(engine: str, tmp_path: Path) -> None:
    colours = {"a.png": (188, 188, 188), "b.png": (200, 40, 90)}
    backs = tmp_path / "backs"
    backs.mkdir()
    for name, colour in colours.items():
        Image.new("RGB", (40, 30), colour).save(backs / name)
    scene = f'{SCENE}\n[fixture]\nphotographs = "backs"\n'
    (tmp_path / "connector_3x9.toml").write_text(scene, encoding="utf-8")
    connector = read_connector(tmp_path / "connector_3x9.toml")
    chosen = {}
    for seed in range(1, 30):
        photograph = set_up_station(connector, "center", seed, 128, 64).photograph
        assert photograph == set_up_station(connector, "left", seed, 128, 64).photograph
        chosen.setdefault(Path(photograph.name).name, seed)
    out = render(tmp_path, scene, [row(name[0], seed) for name, seed in chosen.items()], engine)
    assert {path.name for path in (out / "scenes" / "backs").iterdir()} == set(colours)
    for name, seed in chosen.items():
        code = np.array(colours[name]) / 255.0
        linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).tolist()
        plain = tmp_path / f"plain_{name[0]}"
        plain.mkdir()
        same = render(plain, f"{SCENE}\n[fixture]\ncolor = {linear}\n", [row("same", seed)], engine)
        assert np.abs(picture(same, "same") - picture(out, name[0])).max() <= 2
    # A picture taken out of the folder is not left in the copy, whose scene is then the same as the original.
    (backs / "b.png").unlink()
    render(tmp_path, scene, [row("a", chosen["a.png"])], engine)
    assert [path.name for path in (out / "scenes" / "backs").iterdir()] == ["a.png"]
    copy, original = (read_connector(place / "connector_3x9.toml") for place in (out / "scenes", tmp_path))
    assert copy.sha256 == original.sha256


def test_a_photograph_lies_as_the_camera_saw_it_and_repeats_as_in_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "backs").mkdir()
    quarters = np.zeros((20, 40, 3), np.uint8)
    # Red on the left, blue on the right, green added above.
    quarters[:, :20, 0], quarters[:, 20:, 2], quarters[:10, :, 1] = 220, 220, 220
    Image.fromarray(quarters).save(tmp_path / "backs" / "a.png")
    still = SCENE.replace("shift_mm = 0.5", "shift_mm = 0.0").replace("rotation_deg = 1.0", "rotation_deg = 0.0")
    for width in ("", "width_mm = 18.5\n"):  # a third of what the camera sees: the corners show mirrored copies
        folder = tmp_path / f"of{len(width)}"
        shutil.copytree(tmp_path / "backs", folder / "backs")
        out = render(folder, f'{still}\n[fixture]\nphotographs = "backs"\n{width}', [row("a", 1)])
        found = picture(out, "a")
        corners = {(y, x): found[y, x] > 80 for y in (1, -2) for x in (1, -2)}
        for (y, x), (red, green, blue) in corners.items():
            assert red == (not blue) == ((x == 1) != bool(width)), (width, y, x)
            assert green == ((y == 1) != bool(width)), (width, y, x)


SHARED = "lot_length_mm = 0.3\nshrinkage = 0.01\npattern_shift_mm = 0.4\npattern_tilt_deg = 0.5\n"


def test_boxes_are_those_of_the_shared_scatter_and_of_the_middle_of_a_motion(tmp_path: Path) -> None:
    scattered = SCENE.replace("[scatter]", f"[scatter]\n{SHARED}", 1).replace(
        "full_well_e = 12000.0", "full_well_e = 0.0"
    )
    moving = scattered.replace("[camera]", "[camera]\nmotion_mm = 1.0\nmotion_azimuth_deg = 30.0", 1)
    rows = [row("a", 3, (256, 128), "missing@r2c5;bent@r1c3:shape=s_bend,tilt_deg=20;chipped@housing")]
    folders = []
    for name, scene in (("still", scattered), ("moving", moving)):
        (tmp_path / name).mkdir()
        folders.append(render(tmp_path / name, scene, rows))
    still, moved = (records(folder)["a"] for folder in folders)
    differing = {key for key in still if json.dumps(still[key]) != json.dumps(moved[key])}
    assert differing == {"row_sha256", "image_sha256", "scene_sha256"}
    sharp, blurred = (picture(folder, "a") for folder in folders)
    # 1 mm is 5 px: edges are flatter, and the light is the same.
    steepest = [np.quantile(np.abs(np.diff(light, axis=1)), 0.995) for light in (blurred, sharp)]
    assert steepest[0] < 0.6 * steepest[1]
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.03)
    pins = [pin for pin in still["positions"] if pin["visible_fraction"] > 0.97 and pin["boxes"]["visible"]]
    assert len(pins) > 20
    for pin in pins:
        # Half a millimetre below the floor belongs to the amodal box only.
        inwards = np.subtract(pin["boxes"]["visible"], pin["boxes"]["amodal"]) * (1, 1, -1, -1)
        assert inwards.min() > -0.5 and inwards.max() < 2.6
        assert max(np.abs(np.subtract(pin["boxes"]["amodal"], pin["boxes"]["expected"]))) > 0.8
    missing = next(pin for pin in still["positions"] if pin["address"] == "r2c5")
    assert missing["boxes"]["visible"] is None and missing["visible_fraction"] > 0.95


def test_the_table_does_not_lie_in_an_open_cavity(tmp_path: Path) -> None:
    cells = {"connector_3x9": ("plain", "round", "r2c5"), "circular_5": ("", "", "r1c2")}
    lines = [",".join((*COLUMNS, *SIZE))]
    for name, (housing, terminal, address) in cells.items():
        connector = read_connector(SCENES / f"{name}.toml")
        housing, terminal = housing or next(iter(connector.housings)), terminal or connector.terminal_names[0]
        lines.append(f"{name},train,1,1,{name},{housing},{terminal},missing@{address},center,ring,none,192,96,1")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run_renderer(tmp_path / "rows.csv", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name, record in records(tmp_path / "out").items():
        (missing,) = (pin for pin in record["positions"] if pin["kind"] == "missing")
        assert missing["visible_fraction"] > 0.97, name
