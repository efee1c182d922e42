"""Damaged and changed inputs of `generator import`: a message that names the place, or every picture a row or named."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.dataset.folder import read_rows, split_files
from generator.io.pictures import files_below, is_picture
from tests.mutations import Tree, mutated, write_tree
from tests.soak import rounds

PER_ROUND = 25  # 500 in a soak of 20


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 64, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def coco_tree() -> Tree:
    images = [{"id": n, "file_name": f"{name}.png", "width": 64, "height": 40} for n, name in enumerate("abcd", 1)]
    boxes = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [3, 4, 10, 12.5], "iscrowd": 0, "area": 125},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": [3, 4, 9, 9], "segmentation": [[3, 4, 12, 4, 12, 13]]},
        {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"size": [40, 64], "counts": [90, 20, 2450]}},
        {"id": 4, "image_id": 3, "category_id": 3, "bbox": [30, 4, 9, 9], "visible": 0.5, "kinds": ["bent"]},
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(("BENDNG", "scratch", "OK"), 1)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    pictures = {f"images/{name}.png": png(seed) for seed, name in enumerate("abcd")}
    return {"annotations/instances_val.json": json.dumps(content).encode(), **pictures}


def yolo_tree() -> Tree:
    pictures = {f"images/{split}/{name}.png": png(ord(name)) for split, names in SPLITS.items() for name in names}
    labels = {f"labels/{split}/{name}.txt": b"" for split, names in SPLITS.items() for name in names}
    labels["labels/train/a.txt"] = b"0 0.5 0.5 0.25 0.3\n1 0.2 0.2 0.1 0.1\n"
    labels["labels/val/d.txt"] = b"1 0.1 0.1 0.3 0.1 0.2 0.3\n"
    text = b"path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: BENDNG\n  1: scratch\n"
    return {"data.yaml": text, **labels, **pictures}


SPLITS = {"train": "abc", "val": "de"}


def voc_tree() -> Tree:
    thing = (
        "<object><name>{}</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>18</ymax></bndbox></object>"
    )
    text = (
        "<annotation>\n<folder>x</folder>\n<filename>{}.png</filename>\n"
        "<size><width>64</width><height>40</height></size>\n{}\n</annotation>\n"
    )
    things = {"a": thing.format("BENDNG"), "b": "", "c": thing.format("scratch") + thing.format("BENDNG")}
    xml = {f"Annotations/{name}.xml": text.format(name, given).encode() for name, given in things.items()}
    pictures = {f"JPEGImages/{name}.png": png(ord(name)) for name in things}
    return {**xml, **pictures, "ImageSets/Main/train.txt": b"a\nb\n", "ImageSets/Main/val.txt": b"c\n"}


def class_tree() -> Tree:
    names = ("train/BENDNG/a", "train/OK/b", "train/scratch/c", "val/OK/d", "val/BENDNG/e")
    return {f"{name}.png": png(ord(name[-1])) for name in names}


def metadata_tree() -> Tree:
    boxes = {"bbox": [[1, 2, 30, 20]], "categories": ["BENDNG"]}
    lines = [{"file_name": "a.png", "objects": boxes}, {"file_name": "b.png", "label": "OK"}]
    lines.append({"file_name": "more/c.png", "label": "scratch", "objects": {"bbox": [], "categories": []}})
    pictures = {f"train/{name}.png": png(ord(name[-1])) for name in ("a", "b", "more/c")}
    text = "\n".join(map(json.dumps, lines)).encode()
    table = b'file_name,label,objects\nd.png,OK,\ne.png,,"{""bbox"": [[1,2,9,9]], ""categories"": [""BENDNG""]}"\n'
    tables = {"test/metadata.csv": table, "test/d.png": png(1), "test/e.png": png(2)}
    return {"train/metadata.jsonl": text, **pictures, **tables}


TREES = {
    "coco": [coco_tree()],
    "yolo": [yolo_tree()],
    "voc": [voc_tree()],
    "imagefolder": [class_tree(), metadata_tree()],
}


def check(kind: str, seed: int, folder: Path) -> str:
    """Import a mutated input, also with --skip-broken, and check the outcome; returns `rows` or `refused`."""
    trees = TREES[kind]
    tree, done = mutated(trees[seed % len(trees)], seed)
    source = write_tree(tree, folder / "in")
    pictures = [path for path in files_below(source) if is_picture(path)]
    outcome = ""
    for option in ((), ("--skip-broken",)):
        out = folder / "out"
        words = (str(source), "--format", kind, "--to", str(out), "--classes", "scratch=OTHERNG", "--workers", "1")
        with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
            code = main(["import", *words, *option])
        told = stderr.getvalue()
        assert code in (0, 2), (kind, seed, done, told)
        outcome = outcome or ("rows" if code == 0 else "refused")
        if code == 2:
            is_named = all(": expected " in line or " fault" in line for line in told.splitlines()[-1:])
            assert told and is_named, (kind, seed, done, told)
            continue
        rows = [row["file"] for paths in split_files(out).values() for row in read_rows(paths, ["file"])]
        named = [path for path in pictures if path.relative_to(source).as_posix() in told or path.name in told]
        missing = [path for path in pictures if path not in named and not any(path.name in file for file in rows)]
        assert not missing and len(rows) + len(named) >= len(pictures), (kind, seed, done, missing, told)
        shutil.rmtree(out)
        if not option:
            break
    return outcome


@pytest.mark.parametrize("round_", rounds(1))
@pytest.mark.parametrize("kind", list(TREES))
def test_a_changed_input_is_refused_in_words_or_no_picture_is_lost(tmp_path, kind, round_):
    outcomes = [check(kind, seed, tmp_path / str(seed)) for seed in range(round_ * PER_ROUND, (round_ + 1) * PER_ROUND)]
    assert set(outcomes) == {"rows", "refused"}
