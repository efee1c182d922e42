"""`python -m generator import` and `export`: round trips, stock readers, broken inputs, mixing."""

import contextlib
import csv
import errno
import io
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import supervision
import yaml
from datasets import load_dataset
from PIL import Image

from generator.__main__ import main
from generator.dataset.build import Options, build
from generator.dataset.folder import read_rows, split_files
from generator.dataset.labels import CLASSES
from generator.dataset.rows import objects_of
from generator.interchange import importing, photo_rows
from generator.interchange.photo_rows import opened
from tests.conftest import edited
from tests.generator.augmenting.test_augment import broken_folder, files, made_rows, masked_renders, picture, rows_of
from tests.generator.made_renders import SCENES, write_renders

FORMATS = ("coco", "yolo", "imagefolder")
MEASURES = ("dx_mm", "dy_mm", "true_position_mm", "retraction_mm", "tilt_deg", "visible", "moved_px")


def import_(*words):
    return main(["import", *map(str, words), "--workers", "1"])


def export(*words):
    return main(["export", *map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    masked_renders(folder / "renders", made_rows(10))
    build(folder / "renders", folder / "dataset", SCENES, Options({}, masks=True))
    for kind in FORMATS:
        for option in ((), ("--ok-positions",)):
            to = folder / (kind + "".join(option))
            assert export(folder / "dataset", "--format", kind, "--to", to, *option) == 0
    return folder


def boxes_of(row):
    return sorted((t.category, *t.box) for t in objects_of(row))


def test_coco_against_itself_has_an_average_precision_of_one(built):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for path in sorted((built / "coco--ok-positions/annotations").glob("*.json")):
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(str(path))
            found = [{**a, "score": 1.0} for a in truth.dataset["annotations"]]
            for kind in ("bbox", "segm"):
                judged = COCOeval(truth, truth.loadRes(json.loads(json.dumps(found))), kind)
                judged.params.maxDets = [1, 10, 100]
                judged.evaluate()
                judged.accumulate()
                judged.summarize()
                assert judged.stats[0] == pytest.approx(1.0), (path.name, kind)


def test_run_lengths_are_the_masks(built):
    from pycocotools.coco import COCO

    rows = rows_of(built / "dataset")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(built / "coco--ok-positions/annotations/instances_train.json"))
    checked = 0
    for image in truth.dataset["images"]:
        mask = np.asarray(Image.open(io.BytesIO(rows[image["run"]]["mask"]["bytes"])))
        numbers = {t.address: t.id for t in objects_of(rows[image["run"]])}
        for annotation in truth.imgToAnns[image["id"]]:
            pixels = mask == numbers[annotation["address"]]
            if pixels.any():
                assert isinstance(annotation["segmentation"]["counts"], str)
                assert np.array_equal(truth.annToMask(annotation).astype(bool), pixels)
                assert annotation["area"] == pixels.sum()
                checked += 1
    assert checked > 150


def test_stock_readers_read_coco_and_yolo(built):
    rows = rows_of(built / "dataset")
    coco = supervision.DetectionDataset.from_coco(
        str(built / "coco/images"), str(built / "coco/annotations/instances_train.json")
    )
    yolo = supervision.DetectionDataset.from_yolo(
        str(built / "yolo/images/train"), str(built / "yolo/labels/train"), str(built / "yolo/data.yaml")
    )
    for data in (coco, yolo):
        assert len(data) == sum(r["split"] == "train" for r in rows.values())
        for path, _, truth in data:
            expected = [t for t in boxes_of(rows[Path(path).stem]) if t[0] != "OK"]
            names = [data.classes[number] for number in truth.class_id]
            found = sorted((name, *map(float, box)) for name, box in zip(names, truth.xyxy, strict=True))
            assert [f[0] for f in found] == [e[0] for e in expected]
            assert np.allclose([f[1:] for f in found], [e[1:] for e in expected], atol=1e-3)


def test_yolo_s_folders_are_named_from_where_data_yaml_lies(built):
    content = yaml.safe_load((built / "yolo/data.yaml").read_text("utf-8"))
    assert content == {"train": "images/train", "val": "images/validation", "names": {0: "BENDNG", 1: "NUKENG"}}


def test_yolo_boxes_are_right_to_a_millionth(built):
    rows = rows_of(built / "dataset")
    checked = 0
    for path in (built / "yolo--ok-positions/labels").rglob("*.txt"):
        row = rows[path.stem]
        lines = [line.split() for line in path.read_text().splitlines()]
        expected = objects_of(row)
        assert len(lines) == len(expected) == 27
        for (number, *values), thing in zip(lines, expected, strict=True):
            x1, y1, x2, y2 = thing.box
            w, h = row["width"], row["height"]
            wanted = ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h)
            assert list(map(float, values)) == pytest.approx(wanted, abs=1e-6)
            assert CLASSES[int(number)] == thing.category
            checked += 1
    assert checked == 270


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("option", [(), ("--ok-positions",)])
def test_exported_and_imported_it_has_the_same_boxes_and_classes(built, tmp_path, kind, option):
    source = built / (kind + "".join(option))
    assert import_(source, "--format", kind, "--to", tmp_path / "back") == 0
    before, after = rows_of(built / "dataset"), rows_of(tmp_path / "back")
    by_stem = {Path(r["file"]).stem: r for r in after.values()}
    assert by_stem.keys() == before.keys()
    for run, row in before.items():
        back = by_stem[run]
        expected = [t for t in boxes_of(row) if option or t[0] != "OK"]
        found = boxes_of(back)
        assert [f[0] for f in found] == [e[0] for e in expected]
        assert np.allclose([f[1:] for f in found], [e[1:] for e in expected], atol=1e-6 * 96)
        assert (back["label"], back["verdict"], back["_split"]) == (row["label"], row["verdict"], row["_split"])
        assert back["image"]["bytes"] == row["image"]["bytes"]
        assert back["bbox_str"] == row["bbox_str"]


def test_masks_survive_coco(built, tmp_path):
    source = built / "coco--ok-positions"
    assert import_(source, "--format", "coco", "--to", tmp_path / "back") == 0
    before, after = rows_of(built / "dataset"), rows_of(tmp_path / "back")
    for run, row in before.items():
        old, new = (np.asarray(Image.open(io.BytesIO(r["mask"]["bytes"]))) for r in (row, after[run]))
        addresses = {t.id: t.address for t in objects_of(row)}
        for thing in objects_of(after[run]):
            pixels = old == next(i for i, a in addresses.items() if a == thing.address)
            if pixels.any():
                assert np.array_equal(new == thing.id, pixels)


def test_what_coco_says_of_an_object_comes_back(built, tmp_path):
    source = built / "coco--ok-positions"
    assert import_(source, "--format", "coco", "--to", tmp_path / "back") == 0
    before, after = rows_of(built / "dataset"), rows_of(tmp_path / "back")
    for run, row in before.items():
        found = {each.address: each for each in objects_of(after[run])}
        assert after[run]["kinds"] == row["kinds"] and len(found) == 27
        assert after[run]["observable"] == row["observable"]
        for each in objects_of(row):
            for name in ("kinds", "in_answer", "cavity", *MEASURES):
                assert getattr(found[each.address], name) == getattr(each, name), name


def test_a_picture_of_a_defect_that_moves_its_pin_by_too_little_to_be_seen_stays_not_observable(tmp_path):
    images = []
    for number, name in ((1, "far.png"), (2, "near.png")):
        picture(tmp_path / "in" / name, 64, 40, seed=number)
        images.append(image(number, name))
    boxes = [{**box(1, 1, 1, 5, 5), "moved_px": 4.0}, {**box(2, 1, 1, 5, 5), "moved_px": 0.2}]
    coco(tmp_path / "in", images, boxes)
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "set") == 0
    found = {row["file"]: row for row in rows_of(tmp_path / "set").values()}
    assert {name: row["observable"] for name, row in found.items()} == {"far.png": True, "near.png": False}
    assert found["near.png"]["objects"]["moved_px"] == [0.2]


def test_a_labeller_s_word_is_the_kind_of_its_object(tmp_path):
    picture(tmp_path / "in/a.png", 64, 40)
    boxes = [box(1, 1, 1, 5, 5), box(1, 40, 1, 9, 9, category=2), box(1, 50, 20, 9, 9, category=3)]
    coco(tmp_path / "in", [image(1, "a.png")], boxes, ("BENDNG", "scratch", "OK"))
    words = ("--format", "coco", "--to", tmp_path / "set", "--classes", "scratch=OTHERNG")
    assert import_(tmp_path / "in", *words) == 0
    (row,) = rows_of(tmp_path / "set").values()
    assert row["objects"]["kinds"] == [None, ["scratch"], []] and row["kinds"] == ["scratch"]
    assert row["objects"]["in_answer"] == [True, True, False] and row["camera_json"] is None


def test_a_stopped_import_goes_on(tmp_path, monkeypatch):
    """Pictures are decoded once to be checked; those that were kept are not decoded again to be written."""
    for number in range(70):
        picture(tmp_path / "in/OK" / f"{number}.png", seed=number)
    decoded = []

    def stopped(*_):
        raise KeyboardInterrupt

    def counted(labelled):
        decoded.append(labelled.name)
        return opened(labelled)

    monkeypatch.setattr(photo_rows, "opened", counted)
    words = (tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "set")
    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(importing, "make_derived_card", stopped)
        import_(*words)
    assert len(decoded) == 140 and not (tmp_path / "set").exists()
    assert import_(*words) == 0
    assert len(decoded) == 210 and len(rows_of(tmp_path / "set")) == 70
    assert import_(*words[:-1], tmp_path / "fresh") == 0
    one, two = ({n: p.read_bytes() for n, p in files(tmp_path / name).items()} for name in ("set", "fresh"))
    assert one == two


@pytest.mark.parametrize("place", ["in", "in/sub", "in/OK/sub"])
def test_a_dataset_among_the_pictures_that_are_imported_is_refused(tmp_path, capsys, place):
    picture(tmp_path / "in/OK/0.png", seed=0)
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / place) == 2
    assert (
        f"expected a folder outside of {tmp_path / 'in'} (SOURCE), got one that lies in it" in capsys.readouterr().err
    )
    assert sorted(files(tmp_path / "in")) == ["OK/0.png"]


def test_unknown_truth_is_null(built, tmp_path):
    assert import_(built / "yolo", "--format", "yolo", "--to", tmp_path / "back", "--known", "camera=top") == 0
    for row in rows_of(tmp_path / "back").values():
        assert row["synthetic"] is False and row["camera"] == "top" and row["grey"] is None
        for name in ("part", "seed", "scene", "housing", "terminal", "defects", "lighting", "marking", "samples"):
            assert row[name] is None
        things = row["objects"]
        for name in ("address", "cavity", "visible", "true_position_mm", "retraction_mm"):
            assert set(things[name]) <= {None}
    folder = tmp_path / "classes"
    for number, name in enumerate(("OK", "BENDNG", "NUKENG", "OK")):
        picture(folder / "train" / name / f"{number}.png", seed=number)
    assert import_(folder, "--format", "imagefolder", "--to", tmp_path / "photos") == 0
    for row in rows_of(tmp_path / "photos").values():
        is_good = CLASSES[row["label"]] == "OK"
        assert row["bbox_str"] == ("" if is_good else None)
        assert row["observable"] == (True if is_good else None)
        assert objects_of(row) is None and row["kinds"] == ([] if is_good else None)


def test_the_stock_image_folder_opens(built, tmp_path):
    data = load_dataset(str(built / "imagefolder"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in data.items()} == {"train": 8, "validation": 2}
    row = data["train"][1]
    assert row["label"] in CLASSES and row["image"].size == (96, 48) and "bbox" in row["objects"]
    assert sorted({p.parent.name for p in (built / "imagefolder/train").rglob("*.png")}) == sorted(
        {CLASSES[r["label"]] for r in rows_of(built / "dataset").values() if r["split"] == "train"}
    )


def coco(folder: Path, images, annotations, names=("BENDNG", "OK")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "images": images,
        "annotations": [{"id": n, "iscrowd": 0, **a} for n, a in enumerate(annotations, 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
    }
    (folder / "instances_train.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def image(number, name, width=64, height=40, **more):
    return {"id": number, "file_name": name, "width": width, "height": height, **more}


def box(image_id, *values, category=1):
    return {"image_id": image_id, "category_id": category, "bbox": list(values)}


def test_every_broken_input_is_named_and_nothing_is_written(tmp_path, capsys):
    folder = tmp_path / "in"
    broken_folder(folder / "images")
    names = ["cut_off.jpg", "empty.png", "text.png", "zero.png", "film.gif", "nothing.png", "gray16.png"]
    images = [image(n, f"OK/{name}", 200, 200) for n, name in enumerate(names)]
    images += [image(20, "OK/ink.jpg", 70, 50), image(21, "OK/phone photo.jpg", 40, 90)]
    images += [image(22, "傷 あり/ピン 1.png", 80, 60)]
    annotations = [
        box(20, 60, 40, 30, 30),
        box(20, 100, 100, 5, 5),
        box(21, 1, 1, 5, 0),
        box(22, 1, 2, 3),
        box(99, 1, 1, 5, 5),
        box(22, 1, 1, 5, 5, category=9),
        box(22, 1, 1, float("nan"), 5),
    ]
    coco(folder, images, annotations)
    assert import_(folder, "--format", "coco", "--to", tmp_path / "out", "--images", folder / "images") == 2
    told = capsys.readouterr().err
    assert not (tmp_path / "out").exists() and "Traceback" not in told
    for name in names:
        assert f"OK/{name}: expected" in told, name
    for message in (
        "OK/nothing.png: expected the picture that the labels name, got no such file",
        "OK/gray16.png: expected 200 x 200 px as in its labels, got 70 x 50",
        "OK/ink.jpg box 2: expected a box of at least 0.1 px inside 70 x 50 px",
        "OK/phone photo.jpg box 1: expected a box [x1, y1, x2, y2] with x1 < x2 and y1 < y2",
        "annotation 4: expected bbox as four numbers",
        "annotation 5: expected an image_id that exactly one entry of images has, got 99",
        "annotation 6: expected a category_id that one entry of categories has, got 9",
        "annotation 7: expected bbox as four numbers",
    ):
        assert message in told, message
    words = (folder, "--format", "coco", "--images", folder / "images")
    # What of its labels can be read is not all: without the rest it would pass for a good part.
    assert import_(*words, "--to", tmp_path / "out", "--skip-broken") == 2
    images.append(image(23, "whole.png"))
    picture(folder / "images/whole.png", 64, 40)
    coco(folder, images, [*annotations, box(23, 1, 1, 5, 5)])
    assert import_(*words, "--to", tmp_path / "out", "--skip-broken") == 0
    assert {r["file"] for r in rows_of(tmp_path / "out").values()} == {"whole.png"}


@pytest.mark.parametrize("over", [True, False], ids=["covered", "beside"])
def test_objects_without_a_pixel_in_the_mask_are_counted(over: bool, tmp_path: Path, capsys):
    folder = tmp_path / "in"
    (folder / "images").mkdir(parents=True)
    picture(folder / "images/a.png", 64, 40)
    # A large object, and two that are half as large: over it, or beside it.
    boxes = [(10, 20), *((x, 10) for x in ((10, 20) if over else (35, 45)))]
    shapes = [[[x, 10, x + width, 10, x + width, 20, x, 20]] for x, width in boxes]
    labelled = [{**box(1, x, 10, width, 10), "segmentation": s} for (x, width), s in zip(boxes, shapes, strict=True)]
    coco(folder, [image(1, "a.png")], labelled)
    words = (folder, "--format", "coco", "--images", folder / "images")
    assert import_(*words, "--to", tmp_path / "out") == 0
    said = (
        "masks: 1 object without a pixel, covered by smaller objects or with an empty segmentation (first: a.png box 1)"
    )
    assert (said in capsys.readouterr().err) is over
    (row,) = rows_of(tmp_path / "out").values()
    assert len(objects_of(row)) == 3  # boxes are kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [image(1, "a.png"), image(1, "b.png")]}, "expected an id for a.png that no other image has, got 1"),
        (
            {"images": [image(1, "a.png"), image(2, "a.png")]},
            "a.png: expected labels of each picture once, got them 2 times",
        ),
        ({"images": [image(1, "a.png", label="OK")]}, "expected no box of a defect in a picture labelled OK"),
        ({"images": [image([1], "a.png")]}, "expected an id for a.png that no other image has, got [1]"),
        ({"annotations": [box({}, 1, 1, 5, 5)]}, "expected an image_id that exactly one entry of images has, got {}"),
        (
            {"annotations": [box(1, 1, 1, 5, 5, category=[1])]},
            "expected a category_id that one entry of categories has, got [1]",
        ),
        ({"annotations": [{**box(1, 1, 1, 5, 5), "segmentation": [[1, 2]]}]}, "expected a COCO segmentation"),
        (
            {"annotations": [box(1, 1, 1, 5, 5), box(1, 1, 1, 0, 5)]},
            "expected a box [x1, y1, x2, y2] with x1 < x2 and y1 < y2",
        ),
        *(
            (
                {"annotations": [{**box(1, 1, 1, 5, 5), "segmentation": given}]},
                f"expected a COCO segmentation, got: {got}",
            )
            for given, got in (
                ({"size": [40, 64], "counts": "zzzzzzzz~~~~"}, "run lengths (counts) with the invalid character 'z'"),
                ({"size": [40, 64], "counts": "oooo"}, "run lengths (counts) that are cut off within a number"),
                ({"size": [40, 64], "counts": "1111"}, "run lengths (counts) whose sum is not 40 x 64 px"),
                ({"size": [40, 64], "counts": [10, 5]}, "run lengths (counts) whose sum is not"),
                ({"size": [40, 64], "counts": [2561, -1]}, "run lengths (counts) whose sum is not"),
                ({"size": [64, 40], "counts": [2560]}, "size [64, 40], not the picture's [height, width] [40, 64]"),
                ({"size": [40, 64]}, "no key 'counts'"),
                ([[1, 1, 5, float("nan"), 5, 5]], "[1, 1, 5, nan, 5, 5], which is no polygon of three"),
            )
        ),
        (
            {"annotations": [{**box(1, 1, 1, 1e9, 4), "segmentation": [[1, 1, 1e9, 1, 5, 5]]}]},
            "expected a COCO segmentation, got: a polygon far outside the picture of 64 x 40 px",
        ),
        (
            {"annotations": [{**box(1, 1, 1, 5, 5), "segmentation": [[30, 20, 40, 20, 40, 30]]}]},
            "expected the box around the segmentation as bbox, got bbox [1, 1, 6, 6] and segmentation in [30, 20, 40, "
            "30] (x1, y1, x2, y2)",
        ),
        *(
            ({"annotations": [{**box(1, 1, 1, 5, 5), name: value}]}, f"annotation 1 {name}: expected a {got}")
            for name, value, got in (
                ("visible", float("nan"), "share from 0 to 1, got nan"),
                ("visible", -0.5, "share from 0 to 1, got -0.5"),
                ("moved_px", -0.5, "length of at least 0, got -0.5"),
                ("true_position_mm", float("inf"), "finite number, got inf"),
                ("retraction_mm", 10**400, "finite number, got 1000"),
            )
        ),
        ({"annotations": [box(1, 1, 1, 10**400, 5)]}, "annotation 1: expected bbox as four numbers"),
    ],
)
def test_a_picture_with_faulty_labels_is_never_taken_for_good(tmp_path, capsys, change, message):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "in" / name, 64, 40)
    given = {"images": [image(1, "a.png")], "annotations": [box(1, 1, 1, 5, 5)], **change}
    coco(tmp_path / "in", [*given["images"], image(3, "c.png")], given["annotations"])
    words = (tmp_path / "in", "--format", "coco", "--to", tmp_path / "out")
    assert import_(*words) == 2
    assert message in capsys.readouterr().err
    assert import_(*words, "--skip-broken") == 0
    files = {row["file"] for row in rows_of(tmp_path / "out").values()}
    # An annotation of no picture leaves none out.
    assert files == ({"a.png", "c.png"} if "image_id" in message else {"c.png"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"objects": {"bbox": [[1, 1, 5]], "categories": ["BENDNG"]}}, "objects 0: expected a box of four numbers"),
        (
            {"objects": {"bbox": [[1, 1, 5, 5]], "categories": []}},
            "expected the lists bbox and categories of equal length",
        ),
        ({"file_name": "/elsewhere/a.png", "label": "OK"}, "expected a file_name inside the folder in, got"),
        ({"file_name": "a.png"}, "expected a class in label, or boxes in objects, got neither"),
        (
            {"label": "OK", "objects": [{"bbox": [1, 1, 20, 20], "category": "BENDNG"}]},
            "metadata.jsonl:1 objects: expected a JSON object with the lists bbox and categories, got [{",
        ),
        (
            {"objects": {"bbox": [[1, 1, 5, 5]], "categories": ["BENDNG"], "visible": [float("nan")]}},
            "metadata.jsonl:1 objects 0 visible: expected a share from 0 to 1, got nan",
        ),
        (
            {"label": "OK", "objects": "BENDNG"},
            "expected a JSON object with the lists bbox and categories, got 'BENDNG'",
        ),
        ({"label": "OK", "objects": {"boxes": []}}, "expected the lists bbox and categories of equal length"),
        (
            {"label": 2, "objects": {"bbox": [], "categories": []}},
            "jsonl:1: expected the name of a class in label, got 2",
        ),
    ],
)
def test_faulty_metadata_is_named_and_its_picture_not_taken_for_good(tmp_path, capsys, line, message):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    lines = [{"file_name": "a.png", **line}, {"file_name": "b.png", "label": "OK"}]
    (tmp_path / "in/metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = (tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out")
    assert import_(*words) == 2
    assert message in capsys.readouterr().err
    assert import_(*words, "--skip-broken") == 0
    assert {row["file"] for row in rows_of(tmp_path / "out").values()} == {"b.png"}


@pytest.mark.parametrize("kind", ["imagefolder", "coco"])
@pytest.mark.parametrize("good", [0, 1])
def test_a_label_ng_without_a_box_of_a_defect_gives_no_answer(tmp_path, kind, good):
    picture(tmp_path / "in/a.png")
    if kind == "coco":
        boxes = [box(1, 2, 2, 9, 9, category=2)] * good
        coco(tmp_path / "in", [image(1, "a.png", 64, 40, label="crooked")], boxes)
    else:
        objects = {"bbox": [[2, 2, 9, 9]] * good, "categories": ["OK"] * good}
        line = {"file_name": "a.png", "label": "crooked", "objects": objects}
        (tmp_path / "in/metadata.jsonl").write_text(json.dumps(line))
    words = ("--classes", "crooked=BENDNG")
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out", *words) == 0
    (row,) = rows_of(tmp_path / "out").values()
    assert CLASSES[row["label"]] == "BENDNG" and row["kinds"] == ["crooked"]
    assert row["bbox_str"] is None and row["objects"] is None and row["observable"] is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_cell_of_metadata_csv_holds_objects_as_json(tmp_path, capsys, delimiter):
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        picture(tmp_path / "in" / name, seed=seed)
    cell = json.dumps({"bbox": [[1, 2, 20, 30]], "category": ["BENDNG"]}, indent=1)
    path = tmp_path / "in/metadata.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(
            [("file_name", "label", "objects"), ("a.png", "", cell), ("b.png", "OK", ""), ("c.png", "NUKENG")]
        )
    words = (tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out")
    assert import_(*words) == 0
    found = {row["file"]: row for row in rows_of(tmp_path / "out").values()}
    assert [CLASSES[found[name]["label"]] for name in sorted(found)] == ["BENDNG", "OK", "NUKENG"]
    assert objects_of(found["a.png"])[0].box == (1, 2, 21, 32) and objects_of(found["c.png"]) is None
    path.write_text(path.read_text().replace("NUKENG", f"NUKENG{delimiter}BENDNG"))
    assert import_(*words) == 2
    assert (
        "metadata.csv:16 objects: expected a JSON object with the lists bbox and categories" in capsys.readouterr().err
    )


def test_odd_pictures_are_taken_as_a_person_sees_them(tmp_path, capsys):
    folder = tmp_path / "in"
    broken_folder(folder / "images")
    images = [
        image(1, "OK/gray16.png", 70, 50),
        image(2, "OK/ink.jpg", 70, 50),
        image(3, "OK/phone photo.jpg", 40, 90),
        image(4, "傷 あり/ピン 1.png", 80, 60),
    ]
    coco(folder, images, [box(1, 60, 40, 30, 30), box(3, 5, 70, 10, 12), box(4, 1, 2, 30.5, 4)])
    assert import_(folder, "--format", "coco", "--to", tmp_path / "out", "--skip-broken") == 0
    assert (
        "OK/gray16.png box 1: [60, 40, 90, 70] reaches beyond the picture of 70 x 50 px and is clipped"
        in capsys.readouterr().err
    )
    found = {r["file"]: r for r in rows_of(tmp_path / "out").values()}
    assert objects_of(found["OK/gray16.png"])[0].box == (60, 40, 70, 50)
    grey = Image.open(io.BytesIO(found["OK/gray16.png"]["image"]["bytes"]))
    assert grey.mode == "L" and np.asarray(grey).max() == 255 and np.asarray(grey).min() == 0
    assert Image.open(io.BytesIO(found["OK/ink.jpg"]["image"]["bytes"])).mode == "RGB"
    phone = found["OK/phone photo.jpg"]
    assert Image.open(io.BytesIO(phone["image"]["bytes"])).size == (40, 90) == (phone["width"], phone["height"])
    assert found["傷 あり/ピン 1.png"]["run"] == "傷_あり_ピン_1"


@pytest.mark.parametrize("mode", ["I;16", "L", "RGBA"])
def test_a_picture_as_stored_has_the_pixels_of_one_that_nobody_turned(tmp_path, mode):
    deep = np.linspace(20000, 49987, 90 * 40).reshape(40, 90).astype(np.uint16)
    given = Image.fromarray(deep if mode == "I;16" else (deep // 257).astype(np.uint8))
    given = given if mode == "I;16" else given.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    given.save(tmp_path / "in/turned.png", exif=exif)
    given.save(tmp_path / "in/plain.png")
    images = [image(n, name, 90, 40) for n, name in enumerate(("turned.png", "plain.png"))]
    coco(tmp_path / "in", images, [box(0, 70, 5, 12, 10), box(1, 70, 5, 12, 10)])
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 0
    turned, same = (Image.open(io.BytesIO(row["image"]["bytes"])) for row in rows_of(tmp_path / "out").values())
    assert turned.mode == same.mode == ("RGB" if mode == "RGBA" else "L")
    assert np.array_equal(np.asarray(turned), np.asarray(same))
    assert 77 <= np.asarray(turned).min() < 79 and 193 < np.asarray(turned).max() <= 195


def test_voc_counts_pixels_from_one(tmp_path):
    picture(tmp_path / "in/JPEGImages/a 1.png")
    picture(tmp_path / "in/JPEGImages/b.png", seed=2)
    (tmp_path / "in/Annotations").mkdir()
    (tmp_path / "in/ImageSets/Main").mkdir(parents=True)
    (tmp_path / "in/ImageSets/Main/val.txt").write_text("b\n")
    edges = "<xmin>1</xmin><ymin>3</ymin><xmax>64</xmax><ymax>40</ymax>"
    thing = f"<object><name>{{}}</name><bndbox>{edges}</bndbox></object>"
    text = "<annotation><filename>{}</filename><size><width>64</width><height>40</height></size>{}</annotation>"
    (tmp_path / "in/Annotations/a 1.xml").write_text(text.format("a 1.png", thing.format("scratch")))
    (tmp_path / "in/Annotations/b.xml").write_text(text.format("b.png", ""))
    words = (tmp_path / "in", "--format", "voc", "--classes", "scratch=OTHERNG")
    assert import_(*words, "--to", tmp_path / "out") == 0
    found = {r["file"]: r for r in rows_of(tmp_path / "out").values()}
    assert objects_of(found["a 1.png"])[0].box == (0, 2, 64, 40)
    assert found["a 1.png"]["kinds"] == ["scratch"] and CLASSES[found["a 1.png"]["label"]] == "OTHERNG"
    assert CLASSES[found["b.png"]["label"]] == "OK" and found["b.png"]["_split"] == "validation"
    assert import_(*words, "--zero-based", "--to", tmp_path / "zero") == 0
    found = {r["file"]: r for r in rows_of(tmp_path / "zero").values()}
    assert objects_of(found["a 1.png"])[0].box == (1, 3, 64, 40)
    (tmp_path / "in/Annotations/a 1.xml").write_text(text.format("a 1.png", "<object><name>scratch</name></object>"))
    assert import_(*words, "--to", tmp_path / "out") == 2
    assert import_(*words, "--to", tmp_path / "out", "--skip-broken") == 0
    assert [r["file"] for r in rows_of(tmp_path / "out").values()] == ["b.png"]


def test_words_that_nobody_explained_are_asked_for(tmp_path, capsys):
    picture(tmp_path / "in/train/scratch/a.png")
    picture(tmp_path / "in/train/good pin/b.png", seed=1)
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert (
        "got 'scratch': state which of these classes each one means, as in --classes 'scratch=CLASS'" in told
        and "good pin" not in told
    )


@pytest.mark.parametrize("words", [("bent, left", "gap=big"), ("pin's", " odd "), ("",)], ids=str)
def test_the_labels_in_the_proposed_option_are_taken(tmp_path, capsys, words):
    picture(tmp_path / "in/a.png")
    coco(tmp_path / "in", [image(1, "a.png")], [box(1, 1, 1, 5, 5, category=n + 1) for n in range(len(words))], words)
    arguments = (tmp_path / "in", "--format", "coco", "--to", tmp_path / "out")
    assert import_(*arguments) == 2
    hint = re.search("each one means, as in (--classes .*)", capsys.readouterr().err)[1].replace("=CLASS", "=OTHERNG")
    assert import_(*arguments, *shlex.split(hint)) == 0
    (row,) = rows_of(tmp_path / "out").values()
    assert row["kinds"] == (sorted(word.strip() for word in words if word) or None)
    assert {CLASSES[number] for number in row["objects"]["category"]} == {"OTHERNG"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2\n", "a.txt:1: expected a class number and 4 numbers, or "),
        ("0 0.25 0.5 0.1 0.2 0.93\n", "or a class number and a polygon (x y of three points or more), got '0 0.25 0.5"),
        ("7 0.5 0.5 0.2 0.2\n", "a.txt:1: expected a class number that has a name in data.yaml, got 7"),
        ("0 1.5 0.5 0.2 0.2\n", "images/train/a.png box 1: expected a box of at least 0.1 px inside 64 x 40 px"),
    ],
)
def test_broken_yolo_labels_are_named(tmp_path, capsys, line, message):
    picture(tmp_path / "in/images/train/a.png")
    (tmp_path / "in/labels/train").mkdir(parents=True)
    (tmp_path / "in/labels/train/a.txt").write_text(line)
    (tmp_path / "in/labels/train/gone.txt").write_text("")
    (tmp_path / "in/data.yaml").write_text("train: images/train\nnames: [BENDNG, NUKENG]\n")
    assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert message in told and "labels/train/gone.txt: expected a picture of the same name in images/train" in told
    picture(tmp_path / "in/images/train/b.png")
    (tmp_path / "in/labels/train/b.txt").write_text("")
    words = (tmp_path / "in", "--format", "yolo", "--to", tmp_path / "out", "--skip-broken")
    assert import_(*words) == 0
    assert {r["file"] for r in rows_of(tmp_path / "out").values()} == {"images/train/b.png"}


def test_a_yolo_picture_without_labels_is_not_taken_for_good(tmp_path, capsys):
    picture(tmp_path / "in/images/train/a.png")
    (tmp_path / "in/data.yaml").write_text("train: images/train\nnames: [BENDNG]\n")
    assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "out") == 2
    assert "images/train/a.png: expected the label file labels/train/a.txt, got none" in capsys.readouterr().err


def test_of_a_pose_the_box_is_taken(tmp_path, capsys):
    picture(tmp_path / "in/images/train/a.png")
    (tmp_path / "in/labels/train").mkdir(parents=True)
    label = tmp_path / "in/labels/train/a.txt"
    label.write_text("0 0.25 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 1\n")
    text = "train: images/train\nnames: [BENDNG]\nkpt_shape: [2, 3]\n"
    (tmp_path / "in/data.yaml").write_text(text)
    assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "out") == 0
    [row] = rows_of(tmp_path / "out").values()
    assert row["objects"]["bbox"] == [[0, 10, 32, 20]]
    for shape in ("x", "[[2, 3]]", "[17, 3.5]", "17"):
        (tmp_path / "in/data.yaml").write_text(text.replace("[2, 3]", shape))
        assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "two") == 2
        assert "data.yaml: expected YOLO's data.yaml with class names, got: kpt_shape " in capsys.readouterr().err
    (tmp_path / "in/data.yaml").write_text(text)
    label.write_text("0 0.25 0.5 0.5 0.5\n")
    assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "two") == 2
    assert "a.txt:1: expected a class number and 10 numbers, got '0 0.25" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
        ("train/_annotations.coco.json", "valid/_annotations.coco.json"),
        ("train/_annotations.coco.json", "test_1/_annotations.coco.json"),
    ],
)
def test_coco_s_usual_names_say_the_split(tmp_path, names):
    for number, name in enumerate(names):
        path = tmp_path / "in" / name
        picture(path.parent / f"{number}.png", seed=number)
        coco(path.parent, [image(1, f"{number}.png")], [box(1, 1, 1, 5, 5)])
        (path.parent / "instances_train.json").rename(path)
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 0
    splits = {row["file"]: row["_split"] for row in rows_of(tmp_path / "out").values()}
    assert splits == {"0.png": "train", "1.png": "test_1" if "test_1" in names[1] else "validation"}


def photos(folder: Path, count=20) -> Path:
    for number in range(count):
        picture(folder / ("OK" if number % 2 else "BENDNG") / f"photo{number:02d}.jpg", 96, 48, number)
    return folder


@pytest.mark.parametrize("share", [0.25, 0.8])
def test_photographs_are_mixed_with_renders_by_share(built, tmp_path, share, capsys):
    words = (photos(tmp_path / "in"), "--format", "imagefolder", "--with", built / "dataset")
    assert import_(*words, "--share", share, "--to", tmp_path / "out", "--splits", "train=0.7,validation=0.3") == 0
    rows = rows_of(tmp_path / "out")
    train = [r for r in rows.values() if r["_split"] == "train"]
    real = sum(not r["synthetic"] for r in train)
    assert real / len(train) == pytest.approx(share, abs=0.1)
    assert {r["synthetic"] for r in train} == {True, False}
    told = f"{14 - real} of 14 photographs" if share < 0.5 else f"{8 - len(train) + real} of 8 rows of --with"
    assert f"train: {told} are left out for --share {share:g}\n" in capsys.readouterr().err
    validation = [r for r in rows.values() if r["_split"] == "validation"]
    assert sum(not r["synthetic"] for r in validation) == 6 and sum(r["synthetic"] for r in validation) == 2
    data = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert data["train"].features["synthetic"].dtype == "bool"


def test_the_views_of_a_part_stay_together(built, tmp_path, capsys):
    for part in range(10):
        for view in ("center", "left"):
            label = "OK" if part % 2 else "BENDNG"
            picture(tmp_path / f"in/{label}/p{part}_{view}.png", 96, 48, part)
    words = (tmp_path / "in", "--format", "imagefolder", "--views", "center,left", "--with", built / "dataset")
    assert import_(*words, "--splits", "validation=0.4,test=0.6", "--to", tmp_path / "out") == 0
    rows = [row for row in rows_of(tmp_path / "out").values() if not row["synthetic"]]
    parts = {}
    for row in rows:
        parts.setdefault(row["part"], []).append((row["camera"], row["_split"], row["label"]))
    assert len(parts) == 10
    assert all([camera for camera, *_ in views] == ["center", "left"] for views in parts.values())
    assert all(first[1:] == second[1:] for first, second in parts.values())
    assert sum(views[0][1] == "test" for views in parts.values()) == 6
    assert not set(parts) & {row["part"] for row in rows_of(built / "dataset").values()}
    (tmp_path / "in/OK/p1_left.png").unlink()
    (tmp_path / "in/OK/p3_left.png").write_bytes(b"\x89PNG")
    picture(tmp_path / "in/OK/nobody.png", 96, 48)
    assert import_(*words, "--to", tmp_path / "two") == 2
    told = capsys.readouterr().err
    assert "OK/p1: expected a picture of every view, got none of left" in told
    assert "OK/nobody.png: expected a name that ends in one of the views (center, left)" in told
    assert import_(*words, "--to", tmp_path / "two", "--skip-broken") == 0
    assert "left out: OK/p3_center.png: expected all views of the part, got one with a fault" in capsys.readouterr().err
    kept = [row["file"] for row in rows_of(tmp_path / "two").values() if not row["synthetic"]]
    assert len(kept) == 16 and not any(name[:5] in ("OK/p1", "OK/p3", "OK/no") for name in kept)


def test_views_of_different_files_are_not_taken_for_one_part(tmp_path, capsys):
    for first, split in enumerate(("train", "valid")):
        for number, view in enumerate(("center", "left")):
            picture(tmp_path / f"in/{split}/p1_{view}.png", seed=2 * first + number)
        images = [image(n, f"p1_{view}.png") for n, view in enumerate(("center", "left"), 1)]
        coco(tmp_path / "in" / split, images, [box(1, 1, 1, 5, 5), box(2, 1, 1, 5, 5)])
        (tmp_path / "in" / split / "instances_train.json").rename(tmp_path / "in" / split / "_annotations.coco.json")
    words = ("--format", "coco", "--views", "center,left")
    assert import_(tmp_path / "in", *words, "--to", tmp_path / "out") == 0
    found = sorted((r["part"], r["camera"], r["_split"]) for r in rows_of(tmp_path / "out").values())
    assert found == [
        (1, "center", "train"),
        (1, "left", "train"),
        (2, "center", "validation"),
        (2, "left", "validation"),
    ]
    for split, view in (("train", "center"), ("val", "left")):
        coco(tmp_path / "two", [image(1, f"p0_{view}.png")], [box(1, 1, 1, 5, 5)])
        (tmp_path / "two/instances_train.json").rename(tmp_path / f"two/instances_{split}2017.json")
        picture(tmp_path / f"two/p0_{view}.png", seed=split == "val")
    assert import_(tmp_path / "two", *words, "--to", tmp_path / "none") == 2
    assert "p0: expected all views of the part in one split, got train, validation" in capsys.readouterr().err


def test_a_part_may_have_a_folder_of_its_own(tmp_path):
    for part, label in (("one", "OK"), ("two", "BENDNG")):
        for number, view in enumerate(("center", "left")):
            picture(tmp_path / f"in/{label}/{part}/{view}.png", seed=2 * (label == "OK") + number)
    words = ("--format", "imagefolder", "--views", "center,left", "--splits", "test=1")
    assert import_(tmp_path / "in", *words, "--to", tmp_path / "out") == 0
    found = sorted((r["file"], r["part"], r["camera"], CLASSES[r["label"]]) for r in rows_of(tmp_path / "out").values())
    assert found == [
        ("BENDNG/two/center.png", 1, "center", "BENDNG"),
        ("BENDNG/two/left.png", 1, "left", "BENDNG"),
        ("OK/one/center.png", 2, "center", "OK"),
        ("OK/one/left.png", 2, "left", "OK"),
    ]


def test_names_that_a_render_has_are_changed(built, tmp_path):
    words = (built / "coco", "--format", "coco", "--with", built / "dataset")
    assert import_(*words, "--to", tmp_path / "out") == 0
    rows = list(read_rows([p for paths in split_files(tmp_path / "out").values() for p in paths], ["run"]))
    assert len(rows) == 20 == len({r["run"] for r in rows})


def test_a_photograph_s_defect_is_not_cut_off_unseen(built, tmp_path, capsys):
    assert import_(photos(tmp_path / "in"), "--format", "imagefolder", "--to", tmp_path / "set") == 0
    plan = tmp_path / "plan.csv"
    main(["augment", "plan", str(tmp_path / "set"), "-o", str(plan)])
    plan.write_text(plan.read_text("utf-8-sig").replace(",no,yes,yes,", ",yes,yes,yes,"), "utf-8")
    assert main(["augment", "apply", str(plan), "--to", str(tmp_path / "out"), "--workers", "1"]) == 0
    told = capsys.readouterr().err
    assert "10 copies not made: cut: the defect's box is not known" in told
    assert "20 copies not made: reverse: it is not known whether the picture has print" in told
    for row in rows_of(tmp_path / "out").values():
        if CLASSES[row["label"]] != "OK" and row["original"]:
            assert row["augmentation"] == "plus90" and row["width"] * row["height"] == 96 * 48


def test_pictures_whose_defects_nobody_placed_are_not_exported_as_good(tmp_path, capsys):
    assert import_(photos(tmp_path / "in"), "--format", "imagefolder", "--to", tmp_path / "set") == 0
    assert export(tmp_path / "set", "--format", "coco", "--to", tmp_path / "out") == 0
    assert "10 NG pictures left out" in capsys.readouterr().err
    assert len(files(tmp_path / "out")) == 11


def test_hidden_objects_are_exported_on_request(tmp_path, capsys):
    source = tmp_path / "renders"
    write_renders(source, made_rows(2))
    for path in (source / "records").glob("t001.json"):
        with edited(path) as record:
            for position in record["positions"]:
                position["visible_fraction"] = 0.05
    build(source, tmp_path / "set", SCENES, Options({}))
    for option, count in (((), 0), (("--hidden",), 1)):
        to = tmp_path / f"out{count}"
        assert export(tmp_path / "set", "--format", "yolo", "--to", to, *option) == 0
        assert sum(len(p.read_text().splitlines()) for p in (to / "labels").rglob("*.txt")) == count
        told = "1 NG pictures left out: their defects are hardly visible (give --hidden to export them)"
        assert (told in capsys.readouterr().err) == (not option)
        assert (to / "labels/train/t001.txt").exists() == bool(option)
        to = tmp_path / f"coco{count}"
        assert export(tmp_path / "set", "--format", "coco", "--to", to, *option) == 0
        content = json.loads((to / "annotations/instances_train.json").read_text())
        names = [one["file_name"] for one in content["images"]]
        assert len(content["annotations"]) == count and names == ["t000.png", "t001.png"][: 1 + count]
        assert (told in capsys.readouterr().err) == (not option)


@pytest.mark.parametrize("option", [(), ("--ok-positions",), ("--hidden",)])
def test_a_defect_without_a_box_does_not_come_back_as_good(tmp_path, capsys, option):
    (good,) = made_rows(1)
    write_renders(tmp_path / "renders", [good, {**good, "run": "t001", "defects": "missing@r1c5"}])
    path = tmp_path / "renders/records/t001.json"
    with edited(path) as record:
        record["positions"][4]["boxes"]["expected"] = [-9, 2, -3, 8]
    build(tmp_path / "renders", tmp_path / "set", SCENES, Options({}))
    before = rows_of(tmp_path / "set")
    for kind in FORMATS:
        assert export(tmp_path / "set", "--format", kind, "--to", tmp_path / kind, *option) == 0
        told = "1 NG pictures left out: all their defects lie outside the picture"
        assert (told in capsys.readouterr().err) == (kind != "imagefolder")
        assert import_(tmp_path / kind, "--format", kind, "--to", tmp_path / f"{kind} back") == 0
        back = {Path(r["file"]).stem: r["label"] for r in rows_of(tmp_path / f"{kind} back").values()}
        assert back == {run: r["label"] for run, r in before.items() if kind == "imagefolder" or run != "t001"}


@pytest.mark.parametrize("kind", FORMATS)
def test_names_longer_than_a_file_s_are_shortened_in_an_export(tmp_path, kind):
    names = ["傷" * 70 + "/" + "有" * 40, "傷" * 70 + "/" + "有" * 40 + "り", "n" * 251, "N" * 251]
    for seed, name in enumerate(names):
        picture(tmp_path / f"in/{name}.png", seed=seed)
    images = [image(n, f"{name}.png") for n, name in enumerate(names)]
    coco(tmp_path / "in", images, [box(n, 1, 1, 5, 5) for n in range(4)])
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "set") == 0
    assert export(tmp_path / "set", "--format", kind, "--to", tmp_path / "out") == 0
    found = [path.stem for path in files(tmp_path / "out").values() if path.suffix == ".png"]
    assert len({stem.lower() for stem in found}) == 4 and max(len(s.encode()) for s in found) <= 251
    assert "n" * 251 in found and sum(stem.startswith("傷" * 70 + "_有") for stem in found) == 2
    assert import_(tmp_path / "out", "--format", kind, "--to", tmp_path / "back") == 0
    assert len(rows_of(tmp_path / "back")) == 4


def test_linked_class_folders_are_read_and_empty_ones_named(tmp_path, capsys):
    picture(tmp_path / "in/OK/a.png")
    picture(tmp_path / "bent/b.png", seed=9)
    (tmp_path / "in/BENDNG").symlink_to(tmp_path / "bent")
    (tmp_path / "in/NUKENG").mkdir()
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "set") == 0
    assert {row["label"] for row in rows_of(tmp_path / "set").values()} == {0, 2}
    assert "in: folders without files: NUKENG\n" in "".join(capsys.readouterr())


def test_an_export_on_a_full_disk_names_the_folder_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    picture(tmp_path / "in/OK/a.png")
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "set") == 0

    def full(path, content):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))  # of an open file, Python states no name

    monkeypatch.setattr(Path, "write_bytes", full)
    assert export(tmp_path / "set", "--format", "imagefolder", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.endswith(f"--to {tmp_path / 'out'}: expected enough space for all files, got: File too large\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "set"]


def test_an_export_without_a_picture_is_refused(tmp_path, capsys):
    picture(tmp_path / "in/BENDNG/a.png")
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "set") == 0
    assert export(tmp_path / "set", "--format", "yolo", "--to", tmp_path / "out") == 2
    assert "set: expected at least one picture to export, got none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(built, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert export(built / "dataset", "--format", "coco", "--to", tmp_path / "out") == 2
    assert import_(built / "coco", "--format", "coco", "--to", tmp_path / "out") == 2
    assert export(tmp_path, "--format", "coco", "--to", tmp_path / "new") == 2
    assert export(built / "dataset", "--format", "coco", "--to", built / "dataset/coco") == 2
    told = capsys.readouterr().err
    assert "expected a new or empty folder" in told and "expected a Pinsight dataset" in told
    assert f"expected a folder outside of {built / 'dataset'}, got one that lies in it" in told
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "place", ["a file/out", "a file", "/proc/none/out", "n" * 300, "n" * 250], ids=lambda p: p[:12]
)
def test_a_place_that_cannot_be_written_is_named_in_one_line(built, tmp_path, capsys, place):
    (tmp_path / "a file").write_text("mine")
    for command, source in ((export, "dataset"), (import_, "coco")):
        assert command(built / source, "--format", "coco", "--to", tmp_path / place) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and told.startswith(f"--to {tmp_path / place}: expected ")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_an_export_goes_where_a_link_leads_but_not_to_the_working_folder(built, tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "gone").symlink_to("nowhere")
    for name, place in (("link", "empty"), ("gone", "nowhere")):
        assert export(built / "dataset", "--format", "coco", "--to", tmp_path / name) == 0
        assert (tmp_path / name).is_symlink() and (tmp_path / place / "annotations").is_dir()
    (tmp_path / "here/below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here/below")
    for place in (".", ".."):
        assert export(built / "dataset", "--format", "coco", "--to", place) == 2
        assert "expected a folder for the export alone, got one that contains the working" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["set", "set/more", "."])
def test_a_dataset_is_not_replaced_by_itself_with_more(built, tmp_path, capsys, to):
    shutil.copytree(built / "dataset", tmp_path / "in/set")
    before = files(tmp_path / "in")
    words = (photos(tmp_path / "photos", 2), "--format", "imagefolder", "--with", tmp_path / "in/set")
    assert import_(*words, "--to", tmp_path / "in" / to) == 2
    assert f"expected a folder apart from {tmp_path / 'in/set'} (--with), got one that " in capsys.readouterr().err
    assert files(tmp_path / "in") == before


def test_damaged_datasets_are_named(built, tmp_path, capsys):
    copy = shutil.copytree(built / "dataset", tmp_path / "set")
    (copy / "nsoart.json").unlink()
    words = (photos(tmp_path / "in"), "--format", "imagefolder", "--with", copy)
    assert import_(*words, "--to", tmp_path / "mixed") == 2
    assert "expected nsoart.json, as in every Pinsight dataset, got no such file" in capsys.readouterr().err
    path = next((copy / "data").glob("train*"))
    path.write_bytes(path.read_bytes()[:-100])
    assert export(copy, "--format", "coco", "--to", tmp_path / "coco") == 2
    assert main(["augment", "plan", str(copy), "-o", str(tmp_path / "plan.csv")]) == 2
    assert capsys.readouterr().err.count(f"{path.name}: expected an undamaged Parquet file") == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nsoart.json", b"{}", "nsoart.json: expected a file that `generator build` wrote, got: no key 'window'"),
        (
            "nsoart.json",
            b'{"window": 16}',
            "nsoart.json: expected a file that `generator build` wrote, got: no key 'stride'",
        ),
        ("nsoart.json", b'{"window": 1e9, "stride": 1}', "got: window 1000000000.0 and stride 1 (valid: 1 to 4096"),
        (
            "nsoart.json",
            b'{"window": 16, "stride": 1, "groups": []}',
            "got: parameters of nsoart.json: expected schema 1, got None",
        ),
        (
            "nsoart.json",
            b"[" * 100_000,
            "nsoart.json: expected a file that `generator build` wrote, got: maximum recursion",
        ),
        ("nsoart.json", b"\xff", "nsoart.json: expected JSON, got: "),
        (
            "README.md",
            b"---\npretty_name: \xff\n---\n",
            "README.md: expected a dataset card (README.md) in UTF-8, got: ",
        ),
    ],
)
def test_damaged_files_of_a_dataset_to_mix_with_are_named(built, tmp_path, capsys, name, content, message):
    copy = shutil.copytree(built / "dataset", tmp_path / "set")
    (copy / name).write_bytes(content)
    words = (photos(tmp_path / "in", 2), "--format", "imagefolder", "--with", copy)
    assert import_(*words, "--to", tmp_path / "mixed") == 2
    told = capsys.readouterr().err
    assert message in told and told.startswith(str(copy / name)) and told.count("\n") == 1
    assert not (tmp_path / "mixed").exists()


def test_statistics_of_a_group_that_no_build_wrote_are_named(built, tmp_path, capsys):
    copy = shutil.copytree(built / "dataset", tmp_path / "set")
    parameters = json.loads((copy / "nsoart.json").read_text())
    words = (photos(tmp_path / "in", 2), "--format", "imagefolder", "--with", copy, "--to", tmp_path / "out")
    for change, message in (({"mean": [1, 2]}, "mean and sd must be three"), ({"scene": None}, "")):
        (copy / "nsoart.json").write_text(json.dumps({**parameters, "groups": [{**parameters["groups"][0], **change}]}))
        assert import_(*words) == (2 if message else 0)
        assert message in capsys.readouterr().err


def test_parts_are_numbered_only_where_a_dataset_leaves_room(tmp_path, capsys):
    for view in ("center", "left"):
        picture(tmp_path / f"in/OK/p1_{view}.png", 96, 48)
    (good,) = made_rows(1, part=2**63 - 1)
    write_renders(tmp_path / "renders", [good])
    build(tmp_path / "renders", tmp_path / "set", SCENES, Options({}))
    words = (tmp_path / "in", "--format", "imagefolder", "--with", tmp_path / "set", "--to", tmp_path / "out")
    assert import_(*words, "--views", "center,left") == 2
    assert "set column part: expected part numbers of at most 9223372036854775805, as" in capsys.readouterr().err


NO_NAMES = {
    ".": "'.'",
    "/": "'/'",
    "a\0b.png": "'a\\x00b.png'",
    "n" * 300 + ".png": "'nnn",
    "/".join(["n" * 200] * 30): "'nnn",
    "\ud800.png": "'\\ud800.png'",
    "../secret.png": "'../secret.png'",
    "images/../../secret.png": "'images/../../secret.png'",
}


def labels_of_two(folder: Path, kind: str, name: str) -> str:
    """Write labels of a picture called `name` and of images/b.png; where the first of them stand."""
    picture(folder / "images/b.png")
    if kind == "coco":
        coco(folder, [image(1, name), image(2, "b.png")], [])
        return "instances_train.json images"
    if kind == "imagefolder":
        lines = [json.dumps({"file_name": given, "label": "OK"}) for given in (name, "b.png")]
        (folder / "images/metadata.jsonl").write_text("\n".join(lines))
        return "images/metadata.jsonl:1"
    if kind == "voc":
        for stem, given in (("a", name), ("b", "b.png")):
            text = f"<annotation><filename>{given}</filename></annotation>"
            (folder / f"{stem}.xml").write_text(text, encoding="utf-8")
        return "a.xml"
    (folder / "labels").mkdir()
    (folder / "labels/b.txt").write_text("")
    (folder / "data.yaml").write_text("train: list.txt\nnames: [BENDNG]\n")
    (folder / "list.txt").write_text(f"{name}\nimages/b.png\n", encoding="utf-8")
    return "list.txt:1"


@pytest.mark.parametrize(
    ("kind", "name"),
    # XML has no NUL, and a text file no half of a surrogate pair.
    [
        (kind, name)
        for kind, without in (("coco", ""), ("imagefolder", ""), ("voc", "\0\ud800"), ("yolo", "\ud800"))
        for name in NO_NAMES
        if not set(name) & set(without)
    ],
    ids=lambda value: ascii(value[:12]),
)
def test_a_name_that_leads_nowhere_or_elsewhere_is_refused(tmp_path, capsys, kind, name):
    picture(tmp_path / "secret.png")
    place = labels_of_two(tmp_path / "in", kind, name)
    words = (tmp_path / "in", "--format", kind, "--to", tmp_path / "out")
    assert import_(*words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{place}: expected ") and NO_NAMES[name] in told and told.count("\n") == 2
    assert import_(*words, "--skip-broken") == 0
    assert [Path(row["file"]).name for row in rows_of(tmp_path / "out").values()] == ["b.png"]


@pytest.mark.parametrize("kind", ["coco", "imagefolder", "voc", "yolo"])
def test_links_in_the_folder_are_followed(tmp_path, kind):
    picture(tmp_path / "elsewhere/a.png")
    (tmp_path / "in/images").mkdir(parents=True)
    (tmp_path / "in/images/a.png").symlink_to(tmp_path / "elsewhere/a.png")
    labels_of_two(tmp_path / "in", kind, "images/a.png" if kind == "yolo" else "a.png")
    if kind == "yolo":
        (tmp_path / "in/labels/a.txt").write_text("")
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out") == 0
    assert len(rows_of(tmp_path / "out")) == 2


def test_an_absolute_name_leads_below_the_folder_or_is_refused(tmp_path, capsys):
    for name in ("secret.png", "pictures/b.png"):
        picture(tmp_path / name)
    coco(tmp_path / "in", [image(1, str(tmp_path / "pictures/b.png"))], [])
    words = (tmp_path / "in", "--format", "coco", "--to", tmp_path / "out")
    assert import_(*words, "--images", tmp_path / "pictures") == 0
    coco(tmp_path / "in", [image(1, str(tmp_path / "secret.png"))], [])
    assert import_(*words, "--images", tmp_path / "pictures") == 2
    assert "expected a file_name inside the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "file", "content", "message"),
    [
        ("coco", "instances_train.json", "[" * 100_000, "expected a COCO file with the lists images, annotations"),
        (
            "imagefolder",
            "metadata.jsonl",
            "[" * 100_000,
            "metadata.jsonl: expected a readable table with one line per picture",
        ),
        ("yolo", "data.yaml", "names: " + "[" * 2000, "expected YOLO's data.yaml with class names"),
        ("yolo", "data.yaml", "names: [a", "expected YOLO's data.yaml with class names, got: while parsing"),
        (
            "yolo",
            "data.yaml",
            "names: {.inf: a}",
            "expected YOLO's data.yaml with class names, got: names with the key '.inf' instead of a class number",
        ),
        (
            "voc",
            "a.xml",
            '<?xml version="1.0" encoding="foo"?><annotation/>',
            "a.xml: expected an XML file of Pascal VOC, got: unk",
        ),
    ],
)
def test_files_that_no_parser_takes_are_named(tmp_path, capsys, kind, file, content, message):
    picture(tmp_path / "in/a.png")
    (tmp_path / "in" / file).write_text(content)
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 2


def test_a_picture_that_cannot_be_read_is_named(tmp_path, capsys):
    (tmp_path / "in/OK").mkdir(parents=True)
    (tmp_path / "in/OK/a.png").symlink_to("/proc/self/mem")
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out") == 2
    assert "OK/a.png: expected a readable file, got: Input/output" in capsys.readouterr().err


@pytest.mark.parametrize("entry", ["n" * 300, '"a\\0b"', "list.txt"])
def test_places_and_lists_of_data_yaml_that_cannot_be_read_are_named(tmp_path, capsys, entry):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/list.txt").write_bytes(b"images/\xff.png\n")
    (tmp_path / "in/data.yaml").write_text(f"train: {entry}\nnames: [BENDNG]\n")
    assert import_(tmp_path / "in", "--format", "yolo", "--to", tmp_path / "out") == 2
    message = (
        "list.txt: expected a text file in UTF-8, got" if "." in entry else "data.yaml: expected the folder of the"
    )
    assert message in capsys.readouterr().err


def test_names_in_other_bytes_than_utf_8_are_named(tmp_path, capsys):
    picture(tmp_path / "in/OK/a.png").rename(os.fsdecode(bytes(tmp_path / "in/OK") + b"/\xff.png"))
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out") == 2
    assert "'OK/\\udcff.png': expected a file name in UTF-8, got other bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--share", "0.5"), "--share: expected a dataset to mix with (--with DATASET)"),
        (("--classes", "scratch=BAD,good=OK"), "--classes: expected one of the classes BENDNG"),
        (("--classes", "bent, left=OK,scratch"), "--classes: expected WORD=CLASS, got 'scratch'"),
        (("--classes", "a=OK, a =OK"), "--classes: expected 'a' once, got it twice"),
        (("--known", "colour=red"), "--known: expected columns among scene"),
        (("--splits", "train=0.7"), "--splits: expected shares above 0 of train, validation, test that sum to 1"),
        (("--views", "center,center"), "--views: expected at least two different cameras"),
        (("--views", "center,left", "--known", "camera=top"), "--views: expected neither --known camera nor"),
        *(
            (("--splits", text), f"that sum to 1, such as train=0.7,validation=0.3, got {text!r}\n")
            for text in ("train=0.5,validation=nan", "train=x", "0", "train=0,test=1", "a=1")
        ),
        (("--splits", ""), "--splits: expected a value, got an empty text"),
        (("--images", "nowhere"), "--images nowhere: expected the folder of the pictures, got no such folder\n"),
    ],
)
def test_wrong_options_are_named(built, tmp_path, capsys, words, message):
    assert import_(built / "coco", "--format", "coco", "--to", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err


def test_a_report_shows_photographs(built, tmp_path):
    for kind in ("coco", "imagefolder"):
        assert import_(built / kind, "--format", kind, "--to", tmp_path / kind) == 0
    words = (photos(tmp_path / "in"), "--format", "imagefolder", "--with", built / "dataset")
    assert import_(*words, "--to", tmp_path / "mixed") == 0
    renders = ("--renders", str(built / "renders"))
    assert main(["report", str(tmp_path / "mixed"), "-o", str(tmp_path / "tilts.html"), *renders]) == 0
    for kind in ("coco", "imagefolder", "mixed"):
        assert main(["report", str(tmp_path / kind), "-o", str(tmp_path / f"{kind}.html")]) == 0
    page = (tmp_path / "mixed.html").read_text("utf-8")
    assert "photograph" in page and "the place of the defect is not known" in page


@pytest.mark.parametrize("orientation", [2, 3, 4, 6])
def test_labels_drawn_on_the_pixels_as_stored_keep_them_so(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(tmp_path / "in/p.jpg", exif=exif, quality=100)
    size = Image.open(tmp_path / "in/p.jpg").size
    coco(tmp_path / "in", [image(1, "p.jpg", *size)], [box(1, 10, 6, 10, 10)])
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 0
    (row,) = rows_of(tmp_path / "out").values()
    stored = Image.open(io.BytesIO(row["image"]["bytes"]))
    assert (row["width"], row["height"]) == stored.size == size
    assert stored.getexif().get(0x0112, 1) == 1
    with Image.open(tmp_path / "in/p.jpg") as raw:
        assert np.array_equal(np.asarray(stored), np.asarray(raw))
