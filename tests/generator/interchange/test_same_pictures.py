"""Pictures that are there more than once, boxes that are shares, metadata of one split, types of an export."""

import json
import shutil

import pytest
from datasets import load_dataset
from PIL import Image

from tests.generator.augmenting.test_augment import picture, rows_of
from tests.generator.interchange.test_import_export import box, coco, export, image, import_, photos


def test_the_same_pixels_in_two_splits_are_named_and_with_other_labels_a_fault(tmp_path, capsys):
    folder = tmp_path / "in"
    picture(folder / "train/OK/a.png", seed=1)
    picture(folder / "train/OK/a again.bmp", seed=1)
    picture(folder / "train/BENDNG/b.png", seed=2)
    picture(folder / "train/OK/c.png", seed=3)
    picture(folder / "test/OK/a copy.png", seed=1, compress_level=1)
    picture(folder / "test/BENDNG/b.png", seed=2)
    picture(folder / "test/BENDNG/c2.png", seed=3)
    picture(folder / "test/OK/d.png", seed=4)
    words = (folder, "--format", "imagefolder", "--to", tmp_path / "out")
    assert import_(*words) == 2
    told = capsys.readouterr().err
    for message in (
        "test/OK/a copy.png: expected a picture that is in split test only, got the pixels of train/OK/a again.bmp ",
        "test/BENDNG/b.png: expected a picture that is in split test only, got the pixels of train/BENDNG/b.png",
        "test/BENDNG/c2.png: expected the labels of train/OK/c.png, which has the same pixels, got BENDNG instead of "
        "OK",
        "train/OK/a.png: has the same pixels as train/OK/a again.bmp\n",
        "1 fault",
    ):
        assert message in told, message
    assert import_(*words, "--skip-broken") == 0
    kept = {row["file"] for row in rows_of(tmp_path / "out").values()}
    copies = {"train/OK/a.png", "train/OK/a again.bmp", "test/OK/a copy.png", "train/BENDNG/b.png", "test/BENDNG/b.png"}
    assert kept == {*copies, "test/OK/d.png"}


def test_boxes_that_differ_between_copies_contradict_each_other(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    coco(
        tmp_path / "in",
        [image(1, "a.png"), image(2, "b.png")],
        [box(1, 1, 1, 5, 5), box(1, 9, 9, 5, 5), box(2, 1, 1, 5, 5)],
    )
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 2
    expected = "b.png: expected the labels of a.png, which has the same pixels, got "
    assert f"{expected}boxes of the classes BENDNG instead of BENDNG, BENDNG\n" in capsys.readouterr().err


def test_copies_of_a_file_are_drawn_into_one_split(tmp_path):
    photos(tmp_path / "in")
    for path in sorted((tmp_path / "in").rglob("*.jpg")):
        shutil.copy(path, path.with_name(f"{path.stem} copy.jpg"))
    words = ("--format", "imagefolder", "--splits", "train=0.5,validation=0.5", "--to", tmp_path / "out")
    assert import_(tmp_path / "in", *words) == 0
    splits = {}
    for row in rows_of(tmp_path / "out").values():
        splits.setdefault(row["file"].replace(" copy", ""), set()).add(row["_split"])
    assert len(splits) == 20 and all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "validation"}


def test_pictures_of_the_dataset_that_is_mixed_in_are_not_taken_into_another_split(tmp_path, capsys):
    words = ("--format", "imagefolder", "--to")
    assert import_(photos(tmp_path / "in", 4), *words, tmp_path / "set") == 0
    again = (tmp_path / "in", *words, tmp_path / "out", "--with", tmp_path / "set")
    assert import_(*again, "--splits", "test=1") == 2
    assert "01.jpg: expected a picture that is in split test only, got the pixels of OK_photo01 in split train" in (
        capsys.readouterr().err
    )
    assert import_(*again) == 0
    assert "photo01.jpg: has the same pixels as OK_photo01" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["coco", "voc", "imagefolder"])
def test_boxes_that_are_shares_of_the_picture_are_not_read_as_px(tmp_path, capsys, kind):
    picture(tmp_path / "in/a.png")
    if kind == "coco":
        coco(tmp_path / "in", [image(1, "a.png")], [box(1, 0.4, 0.4, 0.2, 0.1)])
    elif kind == "voc":
        edges = "<xmin>0.4</xmin><ymin>0.4</ymin><xmax>0.6</xmax><ymax>0.5</ymax>"
        thing = f"<object><name>BENDNG</name><bndbox>{edges}</bndbox></object>"
        (tmp_path / "in/a.xml").write_text(f"<annotation><filename>a.png</filename>{thing}</annotation>")
    else:
        line = {"file_name": "a.png", "objects": {"bbox": [[0.4, 0.4, 0.2, 0.1]], "categories": ["BENDNG"]}}
        (tmp_path / "in/metadata.jsonl").write_text(json.dumps(line))
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "a.png box 1: expected a box in px, got [" in told
    assert ", 0.6, 0.5]: multiply fractions by width and height\n" in told


def test_metadata_of_one_split_leaves_the_class_folders_of_another(tmp_path, capsys):
    folder = tmp_path / "in"
    for seed, name in enumerate(("train/a.png", "test/OK/b.png", "test/BENDNG/c.png")):
        picture(folder / name, seed=seed)
    (folder / "train/metadata.jsonl").write_text('{"file_name": "a.png", "label": "OK"}\n')
    words = (folder, "--format", "imagefolder", "--to", tmp_path / "out")
    assert import_(*words) == 0
    assert sorted(row["_split"] for row in rows_of(tmp_path / "out").values()) == ["test", "test", "train"]
    picture(folder / "train/OK/d.png", seed=9)
    assert import_(*words) == 2
    assert "train/OK/d.png: expected labels in train/metadata.jsonl, got none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            "file_name,label,label\na.png,OK,BENDNG\n",
            "metadata.csv:1 header: expected each column once, got 'label' twice",
        ),
        ("file_name,label\na.png,OK,BENDNG\n", "metadata.csv:2 row: expected 2 values as in the header, got 3"),
    ],
)
def test_columns_and_cells_are_one_to_one(tmp_path, capsys, cells, message):
    picture(tmp_path / "in/a.png")
    (tmp_path / "in/metadata.csv").write_text(cells)
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_an_exported_image_folder_loads_also_where_a_split_has_no_box(tmp_path):
    splits = {"train": [(1, 1, 9, 9)], "validation": [], "test": None}
    for seed, (split, boxes) in enumerate(splits.items()):
        picture(tmp_path / f"in/{split}/{split}.png", seed=seed)
        objects = {"bbox": boxes, "categories": ["BENDNG"] * len(boxes or ())}
        line = {"file_name": f"{split}.png", **({"label": "OK"} if boxes is None else {"objects": objects})}
        (tmp_path / f"in/{split}/metadata.jsonl").write_text(json.dumps(line))
    assert import_(tmp_path / "in", "--format", "imagefolder", "--to", tmp_path / "set") == 0
    assert export(tmp_path / "set", "--format", "imagefolder", "--to", tmp_path / "out") == 0
    data = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in data.items()} == dict.fromkeys(splits, 1)
    assert data["train"][0]["objects"] == {"bbox": [[1, 1, 9, 9]], "categories": ["BENDNG"]}
    assert data["test"][0]["objects"] is None and data["train"][0]["image"].size == (64, 40)
    assert import_(tmp_path / "out", "--format", "imagefolder", "--to", tmp_path / "back") == 0
    before, after = (
        {row["_split"]: (row["label"], row["bbox_str"], row["objects"]) for row in rows_of(tmp_path / name).values()}
        for name in ("set", "back")
    )
    assert {split: row[:2] for split, row in before.items()} == {split: row[:2] for split, row in after.items()}
    assert Image.open(next((tmp_path / "out").rglob("*.png"))).size == (64, 40)
