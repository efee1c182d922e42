"""`generator import --locate`: a gauge finds the part in photographs; pictures and labels are straightened."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.dataset.rows import objects_of
from generator.dataset.writer import encoded_png
from generator.interchange import importing, locating_parts, photo_rows
from generator.interchange.coco_masks import bounds_of, moved_segmentation, outline_of, pixels_of, run_lengths
from generator.locating.edges import Similarity
from generator.locating.fit import FitLimits
from generator.locating.gauge_file import GaugeFile
from generator.locating.pin_places import pin_boxes
from generator.locating.straightening import Straightener
from tests.generator.augmenting.test_augment import rows_of
from tests.generator.interchange.test_import_export import coco, image, import_
from tests.generator.locating.drawn_photographs import EdgeFinder, background, camera_of, draw_part, drawing_of, tips_of
from tests.generator.locating.exact_finder import PITCH_PX, gauge_of

ROWS = drawing_of("connector_3x9")
# Drawn photographs show the part from above, also those of the view `left`.
ROWS = replace(ROWS, cameras=dict.fromkeys(("center", "left"), ROWS.cameras["center"]))
GAUGE = gauge_of(EdgeFinder(), FitLimits(2.0, 0.7, 1.0))
ADDRESSES = [each.address for each in ROWS.positions]
SIZE = (420, 360)
# Half a side of a labelled box, in pitches.
HALF = 0.3


def similarity_of(turn_deg: float, scale: float = 0.9, x: float = 210.0) -> Similarity:
    return Similarity(scale * np.exp(1j * np.radians(turn_deg)), complex(x, 180.0))


def photograph(similarity: Similarity, seed: int = 1) -> Image.Image:
    picture = draw_part(background(SIZE, seed), ROWS, np.eye(4), similarity)
    noise = np.random.default_rng(seed).normal(0.0, 1.5, (SIZE[1], SIZE[0]))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def tips_in(similarity: Similarity) -> dict[str, np.ndarray]:
    return dict(zip(ADDRESSES, similarity.apply(tips_of(ROWS, np.eye(4))), strict=True))


def straightened_tips() -> dict[str, np.ndarray]:
    """Where straightened pictures show the tips: as the camera of `camera_of`, but for a shift."""
    boxes = Straightener(GAUGE, "x", ROWS, "center").boxes()
    shift = np.array(boxes[0].box[:2]) - pin_boxes(ROWS, camera_of(ROWS).project)[0].box[:2]
    return {address: tip + shift for address, tip in tips_in(Similarity(1.0 + 0.0j, 0.0j)).items()}


def label(number: int, picture: int, similarity: Similarity, pin: str, category: int = 1, **more) -> dict:
    """A COCO annotation round a pin: an upright box in the photograph; `outline`: as a polygon that lies as the pin."""
    reach, tip = HALF * PITCH_PX, tips_in(similarity)[pin]
    if more.pop("outline", False):
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float) * reach
        points = corners @ similarity.linear.T + tip
        low, size = points.min(axis=0), np.ptp(points, axis=0)
        more["segmentation"] = [points.ravel().tolist()]
    else:
        reach *= similarity.scale
        low, size = tip - reach, np.full(2, 2 * reach)
    return {"id": number, "image_id": picture, "category_id": category, "bbox": [*low.tolist(), *size.tolist()], **more}


def held(*keys: tuple[str, str, str]) -> GaugeFile:
    return GaugeFile("drawn", "ab" * 32, GAUGE, {key: replace(ROWS, key=key) for key in keys or (ROWS.key,)}, {})


@pytest.fixture(autouse=True)
def gauge(monkeypatch):
    def clear() -> None:
        for cached in (locating_parts._held, locating_parts._straightener, locating_parts._turns):
            cached.cache_clear()

    def use(*keys: tuple[str, str, str]) -> None:
        clear()
        monkeypatch.setattr(locating_parts, "read_gauge_file", lambda path, threads: held(*keys))

    use()
    yield use
    clear()


def locate(folder: Path, *more, kind: str = "coco", to: str = "set") -> int:
    (folder / "gauge.onnx").write_bytes(b"gauge")
    return import_(folder / "in", "--format", kind, "--to", folder / to, "--locate", folder / "gauge.onnx", *more)


def named(folder: Path, to: str = "set") -> dict[str, dict]:
    return {row["file"]: row for row in rows_of(folder / to).values()}


@pytest.mark.parametrize("is_alike", [True, False])
def test_boxes_land_on_the_pins_and_get_their_addresses(tmp_path, capsys, monkeypatch, is_alike):
    """Whatever the part's turn and scale in the photograph, and whether the labels are boxes, polygons or run lengths.

    If the pins look alike after a half turn, as here, addresses of parts that do not lie upright are not known.
    """
    if not is_alike:
        monkeypatch.setattr(locating_parts, "turns_alike", lambda *_: 1)
    places = {"a.png": similarity_of(0.0), "b.png": similarity_of(40.0), "c.jpg": similarity_of(-65.0, 1.05)}
    images, labels = [], []
    for number, (name, similarity) in enumerate(places.items(), 1):
        (tmp_path / "in").mkdir(exist_ok=True)
        photograph(similarity, number).save(tmp_path / "in" / name)
        images.append(image(number, name, *SIZE))
        for at, address in enumerate(("r1c1", "r2c4", "r3c9")):
            labels.append(label(10 * number + at, number, similarity, address, 1 + at % 2, outline=number == 2))
    run_length = {"segmentation": run_lengths(pixels_of(labels[3]["segmentation"], SIZE)), "bbox": None}
    coco(tmp_path / "in", images, [*labels[:3], labels[3] | run_length, *labels[4:]], ("BENDNG", "NUKENG"))
    assert locate(tmp_path) == 0
    said = capsys.readouterr().err
    assert "gauge.onnx: found the part in 3 of 3 photographs" in said
    assert f"boxes of defects that got the address of the pin where they lie: {3 if is_alike else 9}\n" in said
    turned = "note: boxes of defects without an address (null): 6. The pins look alike, or nearly, after another turn"
    assert (turned in said) == is_alike
    assert "orientation ambiguous: the drawing looks alike after a turn by 180°" in said
    tips, rows = straightened_tips(), named(tmp_path)
    for name, similarity in places.items():
        row, found, pins = rows[name], objects_of(rows[name]), ["r1c1", "r2c4", "r3c9"]
        is_known = name == "a.png" or not is_alike
        assert [each.address for each in found] == (pins if is_known else [None] * 3)
        cavities = [ROWS.positions[ADDRESSES.index(pin)].cavity for pin in pins]
        assert [each.cavity for each in found] == (cavities if is_known else [None] * 3)
        assert [row[key] for key in ("scene", "housing", "terminal", "camera")] == [*ROWS.key, "center"]
        assert row["synthetic"] is False and row["camera_json"] is None and "<loc_" in row["bbox_str"]
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            assert picture.size == (row["width"], row["height"]) == Straightener(GAUGE, "x", ROWS, "center").size
            grey = np.asarray(picture.convert("L")).astype(float)
        # An upright box round a turned one is larger; an outline stays as large as it is.
        turn = abs(np.angle(similarity.factor))
        growth = 1.0 if name == "b.png" else np.cos(turn) + np.sin(turn)
        for pin, each in zip(pins, found, strict=True):
            x1, y1, x2, y2 = each.box
            assert np.hypot(*(0.5 * np.array([x1 + x2, y1 + y2]) - tips[pin])) < 1.5
            assert (x2 - x1, y2 - y1) == pytest.approx((2 * HALF * PITCH_PX * growth,) * 2, abs=1.5)
            x, y = np.floor(tips[pin]).astype(int)
            assert grey[y, x] > 200
    with Image.open(io.BytesIO(rows["b.png"]["mask"]["bytes"])) as picture:
        mask = np.asarray(picture)
    for number, each in enumerate(objects_of(rows["b.png"]), 1):
        x1, y1, x2, y2 = each.box
        rows_, columns = np.nonzero(mask == number)
        bounds = (columns.min(), rows_.min(), columns.max() + 1, rows_.max() + 1)
        assert bounds == pytest.approx((x1, y1, x2, y2), abs=1.5)
    assert "A gauge (`gauge.onnx`, SHA-256" in (tmp_path / "set" / "README.md").read_text("utf-8")


def test_photographs_without_the_part_or_with_labels_beside_it_are_faults(tmp_path, capsys):
    """All are named, and nothing is written; --skip-broken leaves them out."""
    (tmp_path / "in").mkdir()
    similarity = similarity_of(20.0)
    good = photograph(similarity)
    good.save(tmp_path / "in" / "good.png")
    background(SIZE, 5).save(tmp_path / "in" / "empty.png")
    good.crop((120, 0, *SIZE)).save(tmp_path / "in" / "cut.png")
    good.save(tmp_path / "in" / "beside.jpg")
    images = [image(1, "good.png", *SIZE), image(2, "empty.png", *SIZE), image(3, "cut.png", SIZE[0] - 120, SIZE[1])]
    images.append(image(4, "beside.jpg", *SIZE))
    beside = {"id": 9, "image_id": 4, "category_id": 1, "bbox": [2, 3, 20, 10]}
    coco(tmp_path / "in", images, [label(1, 1, similarity, "r2c5"), beside], ("BENDNG",))
    assert locate(tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    faults = [line for line in lines if "expected" in line]
    assert [line.partition(":")[0] for line in faults] == ["empty.png", "cut.png", "beside.jpg box 1"]
    assert "empty.png: expected one whole part that gauge.onnx finds, got: not " in faults[0]
    assert faults[2] == (
        "beside.jpg box 1: expected a box of which at least 50% lie on the part (within its outline), got "
        "[2, 3, 22, 13] with 0%"
    )
    assert lines[-1] == "3 faults: correct them, or give --skip-broken" and not (tmp_path / "set").exists()
    assert any(line.endswith("found the part in 2 of 4 photographs") for line in lines)
    assert locate(tmp_path, "--skip-broken") == 0
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: empty.png")]
    assert list(named(tmp_path)) == ["good.png"]


def test_an_address_is_never_guessed(tmp_path, capsys):
    """Boxes between pins and defects across pins have none; addresses in the labels are kept.

    If these contradict how the part lies, the other boxes get none.
    """
    (tmp_path / "in").mkdir()
    similarity = similarity_of(5.0)
    photograph(similarity).save(tmp_path / "in" / "a.png")
    tips = tips_in(similarity)
    between, across = 0.5 * (tips["r2c4"] + tips["r3c5"]), 0.5 * (tips["r1c1"] + tips["r1c3"])
    wide = 1.2 * abs(tips["r1c3"] - tips["r1c1"])
    labels = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [*(between - 3).tolist(), 6, 6]},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [*(across - 0.5 * wide).tolist(), *wide.tolist()]},
        label(3, 1, similarity, "r2c8", 2),
        label(4, 1, similarity, "r1c9", address="r3c1", cavity="99", moved_px=3.0),
        label(5, 1, similarity, "r1c8", 3),
    ]
    for stated, found, turned in (("r1c9", "r2c8", 0), ("r3c1", None, 1)):
        labels[3]["address"] = stated
        coco(tmp_path / "in", [image(1, "a.png", *SIZE)], labels, ("BENDNG", "OTHERNG", "OK"))
        assert locate(tmp_path, to=stated) == 0
        (row,) = named(tmp_path, stated).values()
        assert row["objects"]["address"] == [None, None, found, stated, None]
        assert row["objects"]["cavity"][3] == "99"
        # In px of the straightened picture, as all that a dataset states of its pictures.
        assert row["objects"]["moved_px"] == [None, None, None, pytest.approx(3.0 / similarity.scale, rel=0.02), None]
        said = capsys.readouterr().err
        assert f"that got the address of the pin where they lie: {1 - turned}\n" in said
        assert "boxes of defects without an address (null): 2. Their middle lies farther" in said
        assert ("boxes of defects without an address (null): 1. The pins look alike" in said) == bool(turned)
        warned = "warning: boxes that keep the address in the labels, but lie at other pins: 1."
        assert (warned in said) == bool(turned)


def test_a_box_of_which_little_lies_on_the_part_is_a_fault(tmp_path, capsys):
    """Such a box would be cut to a sliver at the part's rim."""
    (tmp_path / "in").mkdir()
    similarity = similarity_of(0.0)
    photograph(similarity).save(tmp_path / "in" / "a.png")
    first, second = ROWS.positions[:2]
    tips = tips_in(similarity)
    px_per_mm = (tips[second.address] - tips[first.address])[0] / (second.x_mm - first.x_mm)
    left = tips[first.address][0] + (min(x for x, _ in ROWS.outline_mm) - first.x_mm) * px_per_mm
    for share, code in ((0.3, 2), (0.7, 0)):
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [left - (1.0 - share) * 60.0, 175.0, 60.0, 10.0]}
        coco(tmp_path / "in", [image(1, "a.png", *SIZE)], [box], ("OTHERNG",))
        assert locate(tmp_path, to=f"set{code}") == code
        said = capsys.readouterr().err
        assert ("a.png box 1: expected a box of which at least 50% lie on the part" in said) == bool(code)


def test_pictures_with_a_class_only_are_straightened_too(tmp_path):
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(-30.0)).save(tmp_path / "in" / "OK" / "part_left.png")
    assert locate(tmp_path, "--known", "camera=left", kind="imagefolder") == 0
    (row,) = named(tmp_path).values()
    assert row["objects"] is None and row["camera"] == "left"
    assert (row["width"], row["height"]) == Straightener(GAUGE, "x", ROWS, "left").size


def test_pictures_are_not_encoded_for_a_comparison_that_is_not_made(tmp_path, monkeypatch):
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(0.0)).save(tmp_path / "in" / "OK" / "a.png")
    calls = []

    def encoded(picture: Image.Image) -> bytes:
        calls.append(picture.size)
        return encoded_png(picture)

    monkeypatch.setattr(photo_rows, "encoded_png", encoded)
    assert locate(tmp_path, kind="imagefolder") == 0
    assert len(calls) == 2  # the columns image and nsoart


def test_every_view_is_found_by_its_own_camera(tmp_path, capsys):
    (tmp_path / "in" / "OK").mkdir(parents=True)
    for number, view in enumerate(("center", "left", "right")):
        photograph(similarity_of(15.0 * number), number).save(tmp_path / "in" / "OK" / f"part1_{view}.png")
    assert locate(tmp_path, "--views", "center,left,right", kind="imagefolder") == 2
    assert "view right: expected a camera of the gauge (center, left), got one that it lacks" in capsys.readouterr().err
    (tmp_path / "in" / "OK" / "part1_right.png").unlink()
    assert locate(tmp_path, "--views", "center,left", kind="imagefolder") == 0
    assert sorted((row["camera"], row["part"]) for row in named(tmp_path).values()) == [("center", 1), ("left", 1)]


def test_a_stopped_import_does_not_search_again_with_the_same_gauge(tmp_path, monkeypatch):
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(-30.0)).save(tmp_path / "in" / "OK" / "a.png")
    searched, find = [], Straightener.find

    def counted(self, picture, name):
        searched.append(name)
        return find(self, picture, name)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Straightener, "find", counted)
    with monkeypatch.context() as patched:
        patched.setattr(importing, "make_derived_card", stopped)
        locate(tmp_path, kind="imagefolder")
        locate(tmp_path, kind="imagefolder")
        assert searched == ["OK/a.png"] and not (tmp_path / "set").exists()
        locate(tmp_path, "--known", "camera=left", kind="imagefolder")
        assert searched == ["OK/a.png"] * 2
    assert locate(tmp_path, "--known", "camera=left", kind="imagefolder") == 0
    assert locate(tmp_path, kind="imagefolder", to="fresh") == 0
    assert searched == ["OK/a.png"] * 3
    one, two = (named(tmp_path, name)["OK/a.png"] for name in ("set", "fresh"))
    assert one["image"]["bytes"] == two["image"]["bytes"] and one["camera"] == "left"


def test_after_an_error_in_one_photograph_the_others_are_not_searched_again(tmp_path, monkeypatch):
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(-30.0)).save(tmp_path / "in" / "OK" / "a.png")
    background(SIZE, 3).save(tmp_path / "in" / "OK" / "b.png")
    searched, find = [], Straightener.find

    def counted(self, picture, name):
        searched.append(name)
        return find(self, picture, name)

    monkeypatch.setattr(Straightener, "find", counted)
    assert locate(tmp_path, kind="imagefolder") == 2 and sorted(searched) == ["OK/a.png", "OK/b.png"]
    assert not (tmp_path / "set").exists()
    assert locate(tmp_path, "--skip-broken", kind="imagefolder") == 0
    assert len(searched) == 2 and list(named(tmp_path)) == ["OK/a.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gauge.onnx", "in", "set"]


def test_variants_that_look_alike_to_the_gauge_are_not_stated_unless_they_are_named(tmp_path, capsys, gauge):
    gauge(("connector_3x9", "plain", "round"), ("connector_3x9", "ribbed", "round"))
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(0.0)).save(tmp_path / "in" / "OK" / "a.png")
    assert locate(tmp_path, kind="imagefolder") == 0
    assert (
        "column housing is null, as the gauge knows several (plain, ribbed): give --housing" in capsys.readouterr().err
    )
    (row,) = named(tmp_path).values()
    assert (row["scene"], row["housing"], row["terminal"]) == ("connector_3x9", None, "round")
    for given in (("--housing", "ribbed"), ("--known", "housing=ribbed")):
        assert locate(tmp_path, *given, kind="imagefolder", to=given[0]) == 0
        assert named(tmp_path, given[0])["OK/a.png"]["housing"] == "ribbed"
        assert "is null" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scene", "x"], "--locate: expected a gauge's ONNX file together with --scene, got none"),
        (["--locate", "none.onnx"], "--locate none.onnx: expected a gauge's ONNX file, got no such file"),
        (["--locate", "in"], "--locate in: expected a gauge's ONNX file, got a folder"),
        (["--locate", "g.onnx", "--scene", "x"], "--scene x: expected a connector of the gauge"),
        (["--locate", "g.onnx", "--known", "scene=x"], "--scene x: expected a connector of the gauge"),
        (
            ["--locate", "g.onnx", "--scene", "x", "--known", "scene=y"],
            "--known scene: expected x, as --scene states, got y",
        ),
        (["--locate", "g.onnx", "--known", "camera=top"], "view top: expected a camera of the gauge (center, left)"),
        (["--locate", "set/g.onnx"], "--to set: expected a folder without set/g.onnx (--locate), got one that contain"),
    ],
)
def test_mistakes_are_named(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    for name in ("in/OK", "set"):
        Path(name).mkdir(parents=True)
    for name in ("g.onnx", "set/g.onnx"):
        Path(name).touch()
    photograph(similarity_of(0.0)).save("in/OK/a.png")
    assert import_("in", "--format", "imagefolder", "--to", "set", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("is_installed", [True, False])
def test_a_file_that_is_no_gauge_or_cannot_be_read_is_one_line(tmp_path, monkeypatch, capsys, is_installed):
    from generator.locating.gauge_file import read_gauge_file

    monkeypatch.setattr(locating_parts, "read_gauge_file", read_gauge_file)
    if not is_installed:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "in" / "OK").mkdir(parents=True)
    photograph(similarity_of(0.0)).save(tmp_path / "in" / "OK" / "a.png")
    assert locate(tmp_path, kind="imagefolder") == 2
    (line,) = capsys.readouterr().err.splitlines()
    expected = "expected an ONNX file, got" if is_installed else "expected the package onnxruntime to read it, got none"
    assert f"{tmp_path / 'gauge.onnx'}: {expected}" in line


@pytest.mark.parametrize("column", [20, 21])
def test_a_thin_segmentation_does_not_vanish_in_a_smaller_picture(column):
    """A line one pixel wide in a photograph of twice the scale."""
    half = Similarity(0.5 + 0.0j, 0.0j)
    pixels = np.zeros((80, 100), bool)
    pixels[10:50, column] = True
    thin = [[column, 10.0, column + 0.9, 10.0, column + 0.9, 50.0, column, 50.0]]
    assert pixels_of(thin, (100, 80)).any()
    for line in (run_lengths(pixels), thin):
        moved = moved_segmentation(line, (100, 80), half, (50, 40))
        rows, columns = np.nonzero(pixels_of(moved, (50, 40)))
        assert set(columns) == {10} and set(rows) == set(range(5, 25)), line
    beside = moved_segmentation(thin, (100, 80), Similarity(0.5 + 0.0j, complex(60.0, 0.0)), (50, 40))
    assert not pixels_of(beside, (50, 40)).any()


def test_a_thin_diagonal_line_stays_whole_in_a_smaller_picture():
    pixels = np.zeros((80, 100), bool)
    pixels[np.arange(10, 50), np.arange(20, 60)] = True
    third = Similarity(1 / 3 + 0.0j, 0.0j)
    moved = pixels_of(moved_segmentation(run_lengths(pixels), (100, 80), third, (34, 27)), (34, 27))
    places = {((row + 0.5) // 3, (row + 10.5) // 3) for row in range(10, 50)}
    assert places <= set(zip(*np.nonzero(moved), strict=True))


def test_a_thin_polygon_beside_a_large_one_keeps_its_pixels():
    half = Similarity(0.5 + 0.0j, 0.0j)
    large = [60.0, 10.0, 90.0, 10.0, 90.0, 50.0, 60.0, 50.0]
    thin = [21.0, 10.0, 21.9, 10.0, 21.9, 50.0, 21.0, 50.0]
    moved = pixels_of(moved_segmentation([large, thin], (100, 80), half, (50, 40)), (50, 40))
    assert moved[5:25, 10].all() and moved[5:25, 30:45].all() and not moved[:, 11:30].any()
    # Beside the resampled picture there is nothing to keep: polygons remain polygons.
    beside = moved_segmentation([large, thin], (100, 80), Similarity(0.5 + 0.0j, -15.0 + 0.0j), (50, 40))
    assert isinstance(beside, list) and len(beside) == 2


def test_segmentations_move_with_the_picture():
    turned = Similarity(0.5j, complex(60.0, 5.0))
    square = [[20.0, 30.0, 40.0, 30.0, 40.0, 50.0, 20.0, 50.0]]
    moved = moved_segmentation(square, (100, 80), turned, (60, 50))
    assert bounds_of(moved) == pytest.approx((35.0, 15.0, 10.0, 10.0))
    runs = run_lengths(pixels_of(square, (100, 80)))
    assert bounds_of(moved_segmentation(runs, (100, 80), turned, (60, 50))) == pytest.approx((35.0, 15.0, 10.0, 10.0))
    points = outline_of(runs, (100, 80))
    assert (*points.min(axis=0), *points.max(axis=0)) == (20.0, 30.0, 40.0, 50.0)
    # A cable across the photograph reaches farther beyond the resampled picture than a polygon may.
    cable = [[0.0, 38.0, 100.0, 38.0, 100.0, 42.0, 0.0, 42.0]]
    near = Similarity(10.0 + 0.0j, complex(-500.0, -390.0))
    moved = moved_segmentation(cable, (100, 80), near, (20, 20))
    assert isinstance(moved, dict) and bounds_of(moved) == (0.0, 0.0, 20.0, 20.0)
    assert json.dumps(moved)
