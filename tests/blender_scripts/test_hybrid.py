"""A hybrid connector rendered: terminals and tolerance by position, blanks, a longer pin, a thicker wall."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.connector import read_connector
from generator.dataset.build import Options, build
from generator.dataset.connectors import read_connectors
from tests.conftest import ROOT, records, run_renderer
from tests.generator.dataset.test_build import rows_of

SCENE = ROOT / "tests" / "blender_scripts" / "hybrid.toml"
CONNECTOR = read_connector(SCENE)
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,width,height,samples"
ROWS = {
    "good": ("", "center", "numbers"),
    "side": ("missing@r1c5;protruding@r2c2:height_mm=0.5", "left", "none"),
    # True position 0.4 mm: good for a signal pin, not for the earth pin. A protrusion within tolerance is good.
    "bent": ("bent@r1c3:tip_offset_mm=0.2;bent@r1c2:tip_offset_mm=0.2", "center", "none"),
    "inside": ("protruding@r2c3:height_mm=0.02", "center", "none"),
}


@pytest.fixture(scope="module", params=["bpy", "blender"])
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROWS rendered; the scene is then removed, so that only its copy is left."""
    folder = tmp_path_factory.mktemp(f"hybrid_{request.param}")
    scenes = folder / "scenes"
    scenes.mkdir()
    shutil.copy(SCENE, scenes)
    lines = [
        f"{run},train,{n},{n},hybrid,plain,hybrid,{defects},{camera},ring,{marking},192,96,2"
        for n, (run, (defects, camera, marking)) in enumerate(ROWS.items(), 1)
    ]
    (folder / "m.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")
    made = run_renderer(folder / "m.csv", "--scenes", scenes, "--out", folder / "out", engine=request.param)
    assert made.returncode == 0, made.stderr
    shutil.rmtree(scenes)
    return folder / "out"


def of(record: dict, address: str) -> dict:
    return next(position for position in record["positions"] if position["address"] == address)


def test_a_blank_is_neither_a_position_nor_in_the_mask(out: Path) -> None:
    for run, record in records(out).items():
        assert [position["index"] for position in record["positions"]] == list(range(1, 9))
        assert not {"r1c4", "r2c1"} & {position["address"] for position in record["positions"]}
        mask = np.asarray(Image.open(out / "masks" / f"{run}.png"))
        assert set(np.unique(mask)) == {0, *range(1, 9)} - ({4} if run == "side" else set())


def test_each_position_has_the_measures_of_its_own_terminal(out: Path) -> None:
    good = records(out)["good"]
    assert [of(good, address)["terminal"] for address in ("r1c1", "r1c2", "r1c3", "r2c4")] == [
        *("power", "signal", "earth", "signal")
    ]
    assert [of(good, address)["length_mm"] for address in ("r1c1", "r1c2", "r1c3")] == [5.0, 4.0, 5.4]
    assert max(abs(position["retraction_mm"]) for position in good["positions"]) < 0.08
    side = records(out)["side"]
    # Seen from the left, the earth pin's picture is longer than that of the signal pin beside it, and a blade wider.
    widths, heights = (
        {
            address: (box := of(side, address)["boxes"]["expected"])[2 + axis] - box[axis]
            for address in ("r1c1", "r1c2", "r1c3")
        }
        for axis in (0, 1)
    )
    assert widths["r1c3"] > 1.2 * widths["r1c2"] and heights["r1c1"] > 3.0 * heights["r1c2"]
    for address in ("r1c1", "r1c2", "r1c3"):
        assert of(side, address)["boxes"]["visible"] == pytest.approx(of(side, address)["boxes"]["amodal"], abs=1.0)


def test_the_right_wall_is_rendered_thicker(out: Path) -> None:
    good = records(out)["good"]
    picture = np.asarray(Image.open(out / "images" / "good.png").convert("L")).astype(float)
    left, _, right, _ = good["housing"]["boxes"]["amodal"]
    first, last = (of(good, address)["base_px"][0] for address in ("r1c1", "r1c6"))
    assert (right - last) - (first - left) == pytest.approx(2.4 * (last - first) / 14.0, rel=0.12)
    # The dark housing on the brighter table ends where its box does.
    line = picture[int(of(good, "r1c6")["base_px"][1])]
    assert line[int(right) + 2 : int(right) + 6].mean() > 1.5 * line[int(right) - 8 : int(right) - 2].mean()


def test_labels_follow_each_positions_tolerance(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(out, tmp_path / "set", None, Options({}))
    assert f"hybrid: tolerance from {out / 'scenes' / 'hybrid.toml'}: " in capsys.readouterr().err
    found = rows_of(tmp_path / "set")
    kinds = {
        run: {each: kind for each, kind in zip(row["objects"]["address"], row["objects"]["kinds"], strict=True) if kind}
        for run, row in found.items()
    }
    assert kinds == {
        "good": {},
        "side": {"r1c5": ["missing"], "r2c2": ["protruding"]},
        "bent": {"r1c3": ["bent"]},
        "inside": {},
    }
    assert len(found["good"]["objects"]["address"]) == 8
    [nominal] = read_connectors(tmp_path / "set") or ()
    assert [(each.address, each.standing_mm, each.width_mm) for each in nominal.positions[:3]] == [
        *(("r1c1", 5.0, 0.8), ("r1c2", 4.0, 0.64), ("r1c3", 5.4, 0.64))
    ]
    xs = [x for x, _ in nominal.outline_mm or ()]
    assert (min(xs), max(xs)) == pytest.approx((-10.7, 13.1))
