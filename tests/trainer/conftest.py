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


def draw_pins(rng: np.random.Generator, kind: str, target: int) -> tuple[np.ndarray, list[list[float]], list[int]]:
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


def tiny_objects(boxes: list[list[float]], categories: list[int], kind: str) -> tuple:
    """The pins of a drawn picture as `ObjectRow`; `kind` is that of the defective one."""
    from generator.dataset.rows import ObjectRow

    return tuple(
        ObjectRow(
            id=index + 1,
            box=(x, y, x + width, y + height),
            category=CLASSES[category],
            kinds=() if category == 2 else (kind,),
            in_answer=category != 2,
            address=f"r{index // 4 + 1}c{index % 4 + 1}",
            cavity=str(index + 1),
            visible=1.0,
            true_position_mm=None if category == 1 else 0.1,
            retraction_mm=None if category == 1 else 0.0,
            # 10 px are 1 mm.
            dx_mm=None if category == 1 else (x + 3 - foot[0]) / 10,
            dy_mm=None if category == 1 else (foot[1] - y - 3) / 10,
            tip_px=None if category == 1 else (x + 3, y + 3),
            base_px=foot,
        )
        for index, ((x, y, width, height), category) in enumerate(zip(boxes, categories, strict=True))
        for foot in [(8.0 + 16 * (index % 4), 8.0 + 16 * (index // 4))]
    )


def tiny_rows(split: str, count: int, seed: int, objects: bool = True) -> list[dict]:
    from generator.dataset.rows import MANIFEST_COLUMNS, PictureRow, columns_of

    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        kind = ("bent", "missing", "ok")[index % 3]
        picture, boxes, categories = draw_pins(rng, kind, index % 8)
        manifest = {name: "" if of == "string" else None for name, of in MANIFEST_COLUMNS.items()}
        manifest |= {"run": f"{split}{index:03d}", "split": split, "part": index}
        manifest |= {"camera": "center", "marking": "none"}
        row = PictureRow(
            label=CLASSES[min(categories) if kind != "ok" else 2],
            kinds=() if kind == "ok" else (kind,),
            observable=True,
            grey=False,
            bbox_str="",
            objects=tiny_objects(boxes, categories, kind) if objects else None,
            camera=None,
            tolerance=None,
            housing_box=None,
            synthetic=True,
            original=None,
            augmentation=None,
            width=64,
            height=32,
            manifest=manifest,
        )
        pictures = {"image": picture, "nsoart": 255 - picture}
        columns = {name: {"bytes": png_bytes(each), "path": None} for name, each in pictures.items()}
        rows.append({**columns, **columns_of(row)})
    return rows


def write_dataset(folder: Path, splits: dict[str, list[dict]], classes: list[str] = CLASSES) -> Path:
    """The rows as Parquet files with the columns of a built dataset, its classes called and numbered as given."""
    from datasets import ClassLabel, Dataset, Features, List

    from generator.dataset.rows import features

    label = ClassLabel(names=classes)
    columns = features(other=False)
    columns["label"] = label
    columns["objects"] = {**columns["objects"], "category": List(label)}
    (folder / "data").mkdir(parents=True)
    for name, rows in splits.items():
        kept = Features({k: v for k, v in columns.items() if not rows or k in rows[0]})
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
    *("--seed", "1", "--threads", "1", "--device", "cpu", "--measure-weight", "0"),
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
        ["--data", str(tiny_dataset), "--out", str(run), "--epochs", "40", "--close-ups", "0.3", "--no-augment", *SMALL]
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
