"""Files are written whole, together, and an error names the file."""

import errno
import os
from pathlib import Path

import pytest

from generator.io.output_file import write_error, write_together


def test_files_that_belong_together_replace_earlier_ones(tmp_path):
    names = {tmp_path / name: name.encode() for name in ("a.toml", "a.json", "new/a.html")}
    (tmp_path / "a.json").write_text("old")
    write_together(names)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == names


def test_a_kill_between_two_files_leaves_no_old_one_beside_a_new_one(tmp_path, monkeypatch):
    first, second = tmp_path / "a.toml", tmp_path / "a.json"
    for path in (first, second):
        path.write_text("old")
    real = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if target == second:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_together({first: b"new", second: b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"] and first.read_bytes() == b"new"


def test_a_full_disk_names_the_file_and_leaves_all_as_before(tmp_path, monkeypatch):
    first, second = tmp_path / "a.toml", tmp_path / "a.json"
    first.write_text("old")
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "json" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError) as raised:
        write_together({first: b"new", second: b"new"})
    assert raised.value.filename == str(second)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EFBIG, "enough space for all files"), (errno.EROFS, "a folder that can be written")]
)
def test_a_full_disk_is_told_from_a_folder_that_cannot_be_written(number, expected):
    said = str(write_error("--to x", OSError(number, os.strerror(number))))
    assert said == f"--to x: expected {expected}, got: {os.strerror(number)}"
