"""The folder of a run: where a training may write."""

import pytest

from trainer.core.errors import InputError
from trainer.core.run_folder import check_folder, take_folder


def test_a_training_that_was_killed_while_it_wrote_its_first_file_can_be_repeated(tmp_path):
    (tmp_path / ".config.json.17795.tmp").write_text("{")
    check_folder(tmp_path, resume=False, overwrite=False, run_format="any")
    take_folder(tmp_path, overwrite=False, files=["config.json"], folders=[])
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_is_refused(tmp_path):
    (tmp_path / ".config.json.17795.tmp").write_text("{")
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="expected a new or empty folder, got one with files"):
        check_folder(tmp_path, resume=False, overwrite=False, run_format="any")
