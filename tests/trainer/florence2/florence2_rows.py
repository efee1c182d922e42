"""Rows of the tiny dataset with `<OD>` answers made from their objects; and the splits that are read from them."""

from pathlib import Path

from generator.bbox_str import encode
from trainer.core.data import read_dataset
from trainer.florence2.data import DetectionData, detection_data

CLASSES = ("BENDNG", "NUKENG", "OK")


def with_answers(rows: list[dict]) -> list[dict]:
    """Rows with `bbox_str` of their defective objects, and a marking on every second one."""
    for index, row in enumerate(rows):
        objects = row["objects"]
        defective = [i for i, c in enumerate(objects["category"]) if c != 2]
        boxes = [objects["bbox"][i] for i in defective]
        row["bbox_str"] = encode(
            [[x, y, x + w, y + h] for x, y, w, h in boxes], [CLASSES[objects["category"][i]] for i in defective], 64, 32
        )
        row["marking"] = "numbers" if index % 2 else "none"
        for i, category in enumerate(objects["category"]):
            objects["in_answer"][i] = category != 2
    return rows


def answered_dataset(make_rows, make_dataset, folder: Path, train: int, validation: int) -> Path:
    """Write a tiny dataset with answers; `train` and `validation`: numbers of rows of its splits."""
    splits = {
        "train": with_answers(make_rows("train", train, 0)),
        "validation": with_answers(make_rows("validation", validation, 1)),
    }
    return make_dataset(folder, splits)


def detection_of(folder: Path, size: tuple[int, int] = (64, 32)) -> DetectionData:
    """Read a dataset's pictures, scaled to `size` (W, H) px, and their true boxes."""
    dataset, classes = read_dataset(folder, "image")
    return detection_data(dataset, classes, folder, "image", size)
