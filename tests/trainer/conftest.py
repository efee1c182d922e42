"""A tiny dataset with the columns of a built one: 2 x 4 drawn pins at 64 x 32 px, one bent, missing or none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

# Before torch starts its threads: the machine is shared and results must repeat.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CLASSES = ["BENDNG", "NUKENG", "OK"]


def tiny_rows(split: str, count: int, seed: int, objects: bool = True) -> list[dict]:
    from benchmarks.florence2_drawn import row

    rng = np.random.default_rng(seed)
    rows = [
        row(f"{split}{index:03d}", split, index, ("bent", "missing", "ok")[index % 3], index % 8, rng)
        for index in range(count)
    ]
    return [{**each, "bbox_str": "", **({} if objects else {"objects": None})} for each in rows]


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


@pytest.fixture(scope="module")
def tiny(tiny_dataset: Path):
    """The tiny dataset, loaded."""
    from trainer.core.data import load_data

    return load_data(tiny_dataset)


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


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, which a test may change."""
    return shutil.copytree(trained_run, tmp_path / "run")


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
