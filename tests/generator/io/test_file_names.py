"""Names of datasets, as pages and cards show them."""

from pathlib import Path

import pytest

from generator.io.file_names import dataset_name


@pytest.mark.parametrize(
    ("place", "given", "shown"),
    [
        ("demo/dataset", "demo/dataset", "demo/dataset"),
        ("demo/dataset", ".", "demo/dataset"),
        ("demo/Dataset", "demo/Dataset/data/..", "demo/Dataset"),
        ("demo/ladder", "demo/ladder", "ladder"),
        ("demo/ladder", ".", "ladder"),
    ],
)
def test_a_folder_named_dataset_is_shown_with_the_folder_above(
    place: str, given: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / place if given == "." else tmp_path)
    assert dataset_name(Path(given)) == shown


def test_the_root_of_the_file_system_has_no_name() -> None:
    assert dataset_name(Path("/dataset")) == "dataset"
