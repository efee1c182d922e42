"""Rows of the wide world as pictures: other light, the same labels, the same bytes every time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.world import WIDE, World
from tests.conftest import COLUMNS, SCENES, records, run_renderer, write_manifest

NAMES = (*COLUMNS, "width", "height", "samples")
DEFECTS = "bent@r1c3:tilt_deg=20;missing@r2c5;cracked@housing"


def row(run: str, *world: str) -> tuple[object, ...]:
    return (run, "train", 5, 4, "plain", "round", DEFECTS, "left", "side", "numbers", 96, 48, 2, *world)


def render(folder: Path, rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> Path:
    folder.mkdir()
    done = run_renderer(write_manifest(folder / "rows.csv", rows, columns), "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_wide_changes_the_picture_but_no_label_and_scene_changes_nothing(tmp_path: Path) -> None:
    plain = render(tmp_path / "plain", [row("a")], NAMES)
    rows = [row("a", "scene"), row("b", "wide"), row("c", "")]
    mixed = render(tmp_path / "mixed", rows, (*NAMES, "world"))
    alone = render(tmp_path / "alone", [row("b", "wide")], (*NAMES, "world"))
    for kind, end in (("images", "png"), ("masks", "png"), ("records", "json")):
        # A picture does not depend on the rows before it either.
        for run, folder in (("a", plain), ("b", alone)):
            mine, its = ((each / kind / f"{run}.{end}").read_bytes() for each in (mixed, folder))
            assert mine == its, (kind, run)
    found = records(mixed)
    own = {"run", "row", "row_sha256", "image_sha256"}
    for key in found["a"]:
        assert key in own or found["a"][key] == found["b"][key] == found["c"][key], key
    assert "world" not in found["a"] and found["a"]["row"]["world"] == found["c"]["row"]["world"] == "scene"
    assert found["a"]["row_sha256"] == found["c"]["row_sha256"] != found["b"]["row_sha256"]
    assert found["b"]["row"]["world"] == WIDE
    stated, world = found["b"]["world"], World(5, 4, 4, "left")
    assert stated["lamp_height"] == round(world.value("lamp_height"), 6)
    assert [each["terminal"] for each in stated["platings"]] == ["round"]
    assert len(stated["windows"]) == len(world.windows())
    scene, wide = (np.asarray(Image.open(mixed / "images" / f"{run}.png")).astype(float) for run in "ab")
    assert np.abs(scene - wide).mean() > 5.0
    assert 10.0 < wide.mean() < 220.0 and wide.std() > 8.0


@pytest.mark.parametrize("shares", ["coaxial = 0.5, side = 0.6", "dome = 0.5, ring = 0.6"])
def test_two_lamps_of_a_type_give_the_same_picture_after_other_rows(shares: str, tmp_path: Path) -> None:
    scene = (SCENES / "connector_3x9.toml").read_text("utf-8").replace("ring = 0.5, side = 0.6", shares)
    (tmp_path / "connector_3x9.toml").write_text(scene, "utf-8")
    rows = [(run, "train", 5, 4, "plain", "round", "", "left", "mixed", "none", 64, 32, 2) for run in "abc"]
    manifest = write_manifest(tmp_path / "rows.csv", rows, NAMES)
    done = run_renderer(manifest, "--scenes", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len({path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}) == 1
