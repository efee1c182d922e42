"""A tiny dataset with the columns of a built one: 2 x 4 drawn pins at 64 x 32 px, one bent, missing or none."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

# Before torch starts its threads: the machine is shared and results must repeat.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CLASSES = ["BENDNG", "NUKENG", "OK"]
MANIFEST_COLUMNS = (
    *("run", "split", "part", "seed", "scene", "housing", "terminal"),
    *("defects", "camera", "lighting", "marking", "samples"),
)


def draw_pins(
    rng: np.random.Generator, kind: str, target: int
) -> tuple[np.ndarray, list[list[float]], list[int]]:
    """A picture (32, 64, 3) uint8, the pins' boxes (COCO xywh px) and their classes."""
    picture = np.full((32, 64), 30.0)
    y, x = np.mgrid[0:32, 0:64] + 0.5
    boxes, categories = [], []
    for index in range(8):
        cx, cy = 8 + 16 * (index % 4), 8 + 16 * (index // 4)
        category, value = 2, 200 + rng.normal(0, 4)
        tip = np.array([cx, cy], dtype=float)
        if index == target and kind == "bent":
            category = 0
            tip += rng.choice([-4, 4], size=2)
        if index == target and kind == "missing":
            category, value = 1, 5.0
        picture[np.hypot(x - tip[0], y - tip[1]) < 3] = value
        boxes.append([float(tip[0] - 3), float(tip[1] - 3), 6.0, 6.0])
        categories.append(category)
    picture += rng.normal(0, 2, picture.shape)
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=2), boxes, categories


def png_bytes(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def tiny_rows(split: str, count: int, seed: int, objects: bool = True) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        kind = ("bent", "missing", "ok")[index % 3]
        picture, boxes, categories = draw_pins(rng, kind, index % 8)
        label = min(categories) if kind != "ok" else 2
        row = {
            "image": {"bytes": png_bytes(picture), "path": None},
            "nsoart": {"bytes": png_bytes(255 - picture), "path": None},
            "label": label,
            "verdict": int(label != 2),
            "kinds": [] if kind == "ok" else [kind],
            "observable": True,
            "grey": False,
            "bbox_str": "",
            "objects": {
                "id": list(range(1, 9)),
                "bbox": boxes,
                "category": categories,
                "area": [box[2] * box[3] for box in boxes],
                "address": [f"r{i // 4 + 1}c{i % 4 + 1}" for i in range(8)],
                "cavity": [str(i + 1) for i in range(8)],
                "visible": [1.0] * 8,
                "true_position_mm": [None if c == 1 else 0.1 for c in categories],
                "retraction_mm": [None if c == 1 else 0.0 for c in categories],
            }
            if objects
            else None,
            "width": 64,
            "height": 32,
            **dict.fromkeys(MANIFEST_COLUMNS, ""),
            "run": f"{split}{index:03d}",
            "split": split,
            "part": str(index),
            "camera": "center",
            "marking": "none",
        }
        rows.append(row)
    return rows


def write_dataset(folder: Path, splits: dict[str, list[dict]], classes: list[str] = CLASSES) -> Path:
    from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value

    features = Features(
        {
            "image": Image(),
            "nsoart": Image(),
            "label": ClassLabel(names=classes),
            "verdict": ClassLabel(names=["OK", "NG"]),
            "kinds": Sequence(Value("string")),
            "observable": Value("bool"),
            "grey": Value("bool"),
            "bbox_str": Value("string"),
            "objects": Sequence(
                {
                    "id": Value("int64"),
                    "bbox": Sequence(Value("float32"), length=4),
                    "category": ClassLabel(names=classes),
                    "area": Value("float32"),
                    "address": Value("string"),
                    "cavity": Value("string"),
                    "visible": Value("float32"),
                    "true_position_mm": Value("float32"),
                    "retraction_mm": Value("float32"),
                }
            ),
            "width": Value("int32"),
            "height": Value("int32"),
            **{name: Value("string") for name in MANIFEST_COLUMNS},
        }
    )
    (folder / "data").mkdir(parents=True)
    for name, rows in splits.items():
        kept = Features({k: v for k, v in features.items() if not rows or k in rows[0]})
        Dataset.from_list(rows, features=kept).to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="session", autouse=True)
def quiet_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep the Arrow cache of these throw-away datasets out of the user's."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("hf_datasets")
    datasets.disable_progress_bars()
    yield
    datasets.config.HF_DATASETS_CACHE = before
    datasets.enable_progress_bars()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_dataset():
    """(folder, {split: rows}) -> the folder as a dataset; rows lacking a column leave it out."""
    return write_dataset


@pytest.fixture(scope="session")
def make_rows():
    """(split, count, seed, objects=True) -> rows of a tiny dataset."""
    return tiny_rows


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": tiny_rows("train", 12, 0), "validation": tiny_rows("validation", 6, 1)}
    return write_dataset(tmp_path_factory.mktemp("tiny") / "dataset", splits)


SMALL = (
    *("--dim", "32", "--depth", "1", "--heads", "2", "--batch-size", "6", "--lr", "3e-3"),
    *("--seed", "1", "--threads", "1", "--device", "cpu"),
)


@pytest.fixture(scope="session")
def small_options() -> list[str]:
    """Options of a network that trains in seconds."""
    return list(SMALL)


@pytest.fixture(scope="session")
def trained_run(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned the tiny dataset by heart."""
    from trainer.vit.command import main

    run = tmp_path_factory.mktemp("trained") / "run"
    code = main(
        [
            "--data",
            str(tiny_dataset),
            "--out",
            str(run),
            "--epochs",
            "40",
            "--close-ups",
            "0.3",
            "--no-augment",
            *SMALL,
        ]
    )
    assert code == 0
    return run


@contextmanager
def dying_in_epoch(number: int) -> Iterator[None]:
    """A training, of whatever kind, that begins its epoch `number` is interrupted there."""
    from trainer.core import loop

    real, calls = loop.train_epoch, []

    def train_epoch(*args, **kwargs):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_epoch", train_epoch)
        yield
