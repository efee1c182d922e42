"""`generator inspect --model`: photographs with the part at any place and turn are straightened, then inspected."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import generator.soart.straighteners as straighteners
from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.locating.edges import Similarity
from generator.locating.fit import FitLimits
from generator.locating.gauge_file import GaugeFile
from generator.locating.straightening import NotFoundError, Straightener
from tests.generator.locating.drawn_photographs import EdgeFinder, background, draw_part, drawing_of
from tests.generator.locating.exact_finder import gauge_of

ROWS = drawing_of("connector_3x9")
# Drawn photographs show the part from above, also those of the view `left`.
ROWS = replace(ROWS, cameras=dict.fromkeys(("center", "left"), ROWS.cameras["center"]))
SIZE = (420, 360)
GAUGE = gauge_of(EdgeFinder(), FitLimits(2.0, 0.7, 1.0))


def photograph(seed: int, missing: str = "", x: float = 215.0) -> Image.Image:
    """Draw a part at a random place, turn and scale over a random background; `missing`: address of a missing pin."""
    source = np.random.default_rng(seed)
    scale, turn = source.uniform(0.8, 1.1), np.radians(source.uniform(-60.0, 60.0))
    similarity = Similarity(scale * np.exp(1j * turn), complex(x + source.uniform(-30, 30), 180.0))
    picture = draw_part(background(SIZE, seed), ROWS, np.eye(4), similarity)
    if missing:
        pin = next(each for each in ROWS.positions if each.address == missing)
        at = Straightener(GAUGE, "x", ROWS, "center")
        (x1, y1, x2, y2) = next(each.box for each in at.boxes() if each.address == missing)
        found = at.straighten(picture, "drawn")
        middle = found.matrix @ (0.5 * (x1 + x2), 0.5 * (y1 + y2), 1.0)
        pixels = np.asarray(picture).copy()
        rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
        pixels[np.hypot(columns - middle[0], rows - middle[1]) < 6.0 * scale] = 20
        assert pin.address == missing
        picture = Image.fromarray(pixels)
    noise = source.normal(0.0, 1.5, (SIZE[1], SIZE[0]))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("straightened")
    for name in ("ok", "new"):
        (path / name).mkdir()
    for n in range(8):
        photograph(n).save(path / "ok" / f"g{n}.png")
    background(SIZE, 50).save(path / "ok" / "empty.png")
    photograph(20).save(path / "new" / "good.png")
    photograph(21, missing="r2c4").save(path / "new" / "bad.png")
    background(SIZE, 5).save(path / "new" / "without.png")
    (path / "gauge.onnx").touch()
    return path


@pytest.fixture(autouse=True)
def gauge(monkeypatch) -> None:
    held = GaugeFile("drawn", "ab" * 32, GAUGE, {ROWS.key: ROWS}, {})
    monkeypatch.setattr(straighteners, "read_gauge_file", lambda path: held)


def inspect(folder: Path, out: Path, golden: str, *more: str) -> int:
    words = ["--golden", str(folder / golden), "-o", str(out), *more]
    return main(["inspect", str(folder / "new"), *words])


def test_parts_are_inspected_wherever_they_lie_and_never_ok_if_not_found(folder: Path, tmp_path: Path, capsys) -> None:
    model = ["--model", str(folder / "gauge.onnx")]
    assert inspect(folder, tmp_path / "out", "ok", *model, "--save", str(tmp_path / "unit.npz")) == 0
    assert "OK picture empty.png is set aside: not " in capsys.readouterr().out
    found = {name: json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8")) for name in ("good", "bad")}
    assert found["good"]["verdict"] == "OK" and len(found["good"]["pins"]) == 27
    assert found["good"]["orientation"].startswith("ambiguous: the drawing looks alike after a turn by 180°")
    assert found["bad"]["verdict"] == "NG"
    bad = [pin for pin in found["bad"]["pins"] if pin["verdict"] != "OK"]
    assert [pin["address"] for pin in bad] == ["r2c4"]
    with Image.open(folder / "new" / "bad.png") as picture:
        x1, y1, x2, y2 = bad[0]["box"]
        x, y = np.array(found["bad"]["to_photograph"]) @ (0.5 * (x1 + x2), 0.5 * (y1 + y2), 1.0)
        assert picture.getpixel((round(x), round(y))) < 40
    lost = json.loads((tmp_path / "out" / "without.json").read_text("utf-8"))
    assert lost["verdict"] == "INVALID" and lost["score"] is None and lost["reasons"][0].startswith("not ")
    assert (tmp_path / "out" / "without.png").is_file()
    capsys.readouterr()
    assert inspect(folder, tmp_path / "again", str(tmp_path / "unit.npz"), *model) == 0
    again = json.loads((tmp_path / "again" / "bad.json").read_text("utf-8"))
    assert again["verdict"] == "NG" and again["to_photograph"] == found["bad"]["to_photograph"]
    assert [pin["decision"] for pin in again["pins"]] == [pin["decision"] for pin in found["bad"]["pins"]]
    assert inspect(folder, tmp_path / "none", str(tmp_path / "unit.npz")) == 2
    said = "with which it was made (gauge abababab, connector connector_3x9 plain round, view center), got no --model"
    assert said in capsys.readouterr().err


def test_parts_of_several_views_are_straightened_each_by_its_camera(folder: Path, tmp_path: Path) -> None:
    for name in ("ok", "new"):
        (tmp_path / name).mkdir()
    for part, seed in {**{f"ok/g{n}": n for n in range(6)}, "new/good": 30, "new/half": 31}.items():
        for number, view in enumerate(("center", "left")):
            photograph(100 * number + seed).save(tmp_path / f"{part}_{view}.png")
    background(SIZE, 52).save(tmp_path / "new" / "half_left.png")
    views = ["--views", "center,left", "--model", str(folder / "gauge.onnx")]
    assert inspect(tmp_path, tmp_path / "out", "ok", *views) == 0
    good, half = (json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8")) for name in ("good", "half"))
    assert good["verdict"] == "OK" and len(good["by_view"]["left"]["to_photograph"]) == 2
    assert half["verdict"] == "INVALID" and half["by_view"]["left"]["verdict"] == "INVALID"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scene", "connector_3x9"], "--model: expected a gauge's ONNX file together with --scene, got none"),
        (["--model", "g.onnx", "--positions", "p.csv"], "--positions: expected no file together with --model"),
        (["--model", "g.onnx", "--camera", "back"], "view back: expected a camera of the gauge (center, left)"),
        (["--model", "g.onnx", "--grid", "10"], "--model g.onnx, --grid 10: r2c1: expected a box with at least 4 pix"),
        (["--model", "g.onnx", "--scene", "other"], "--scene other: expected a connector of the gauge"),
    ],
)
def test_mistakes_are_named(folder: Path, tmp_path: Path, capsys, more, message) -> None:
    assert inspect(folder, tmp_path / "out", "ok", *more) == 2
    assert message in capsys.readouterr().err


def test_a_part_that_is_partly_outside_the_photograph_is_not_straightened() -> None:
    straightener = Straightener(GAUGE, "x", ROWS, "center")
    picture = draw_part(background(SIZE, 3), ROWS, np.eye(4), Similarity(1.0 + 0.0j, complex(200.0, 180.0)))
    straightener.straighten(picture, "whole")
    with pytest.raises(NotFoundError, match="cut: view: some of the part lies outside the photograph"):
        straightener.straighten(picture.crop((90, 0, *SIZE)), "cut")


def test_a_housing_without_a_stated_outline_is_shown_as_far_as_its_pins() -> None:
    drawing = replace(ROWS, outline_mm=None, opening_mm=None)
    cad = Straightener(GAUGE, "x", drawing, "center")
    stated = Straightener(GAUGE, "x", ROWS, "center")
    boxes = np.array([each.box for each in cad.boxes()])
    assert (boxes.min(axis=0)[:2] > 5).all() and np.ptp(boxes, axis=0)[0] == pytest.approx(
        np.ptp([each.box for each in stated.boxes()], axis=0)[0]
    )


def test_mixed_terminals_without_a_nominal_height_are_named() -> None:
    first, *others = ROWS.positions
    mixed = replace(ROWS, positions=(replace(first, z_mm=None, standing_mm=None), *others))
    with pytest.raises(
        InputError, match="connector connector_3x9 plain round: the drawing has no nominal height of r1c1"
    ):
        Straightener(GAUGE, "x", mixed, "center")
