"""The drawn pins of docs/explanation/florence2.md."""

from benchmarks.florence2_drawn import write_dataset
from trainer.core.data import load_data


def test_the_drawn_dataset_is_one_that_trainers_read(tmp_path):
    write_dataset(tmp_path / "dataset")
    data = load_data(tmp_path / "dataset")
    assert set(data.splits) >= {"train", "validation"} and len(data.splits["train"]) == 600
    assert data.size == (64, 32) and bool(data.splits["train"].boxes_known.all())
