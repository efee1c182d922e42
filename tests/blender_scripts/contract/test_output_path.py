"""Output paths: one missing parent is created, a longer missing path is a mistake or a disk that is not mounted."""

from pathlib import Path

import pytest

from blender_scripts.contract import output_path
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.output_path import check_parents, check_writable


def refused(folder: Path, most: int = 1) -> str | None:
    try:
        check_parents(folder, "--out", most)
    except InputError as error:
        (problem,) = error.problems
        return problem
    return None


def test_only_one_parent_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "none" / ".." / "a" / "b"):
        assert refused(path) is None
    assert refused(tmp_path / "disk" / "a" / "b") == (
        f"--out {tmp_path}/disk/a/b: expected that the folder {tmp_path}/disk exists, got no folder {tmp_path}/disk: "
        f"create {tmp_path}/disk, or mount its disk"
    )
    assert f"create {tmp_path}/x/y, " in (refused(tmp_path / "x" / "y" / "z", most=0) or "")
    monkeypatch.chdir(tmp_path)
    assert refused(Path("renders/mine")) is None and refused(Path("a/b/c")) is not None
    assert not any(tmp_path.iterdir())


def test_no_mount_point_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_path, "_MOUNTS", (str(tmp_path),))
    assert "or mount its disk" in (refused(tmp_path / "disk" / "renders") or "")
    (tmp_path / "disk").mkdir()
    assert refused(tmp_path / "disk" / "renders") is None


def test_a_place_that_takes_no_files_is_refused_and_none_is_left(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", "--out b")
    assert not list(tmp_path.iterdir())
    for folder in ("/proc", "/proc/x/y"):
        with pytest.raises(InputError, match=rf"^--out {folder}: expected a folder that can be written, got an error"):
            check_writable(Path(folder), f"--out {folder}")
