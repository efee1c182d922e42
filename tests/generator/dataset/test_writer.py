"""The writer: chunks that are reused, splits, counts, and a dataset that appears only when it is complete."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.dataset.connectors import nominal_connector, read_connectors
from generator.dataset.folder import read_rows, split_files
from generator.dataset.labels import CLASSES
from generator.dataset.rows import features
from generator.dataset.writer import DatasetWriter, Kept, Spool, encoded_png
from generator.io.pictures import open_upright
from tests.generator.made_renders import SCENES, row

COLUMNS = features(False)
SCHEMA = features(True).arrow_schema.remove_metadata()
PARAMETERS = {"made_by": "pinsight"}


def rows(*runs: str, **columns: object) -> pa.Table:
    from PIL import Image

    picture = {"bytes": encoded_png(Image.new("L", (20, 10), 90)), "path": "x.png"}
    known = {"label": CLASSES.index("OK"), "synthetic": True, "original": None, **columns}
    return pa.Table.from_pylist([{**row(run), "image": picture, **known} for run in runs], schema=SCHEMA)


def test_a_chunk_is_found_again_by_its_key(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.find("train-0", "a") is None
    kept = spool.keep("train-0", "a", {"many": 2}, rows("r1", "r2"))
    assert spool.find("train-0", "a") == kept == Kept({"many": 2}, kept.sha256)
    assert spool.table("train-0").column("run").to_pylist() == ["r1", "r2"]
    assert spool.find("train-0", "b") is None
    assert spool.keep("train-0", "b", {}, rows("r1", "r2")).sha256 == kept.sha256
    assert spool.keep("noted", "a", {"only": "this"}) == spool.find("noted", "a") == Kept({"only": "this"}, "")
    for damage in (b"", b"[]", b'{"key": "b"}', b'{"key": "b", "sha256": "1", "note": 3}'):
        (tmp_path / "train-0.json").write_bytes(damage)
        assert spool.find("train-0", "b") is None
    spool.keep("train-0", "b", {}, rows("r1"))
    (tmp_path / "train-0.arrow").unlink()
    assert spool.find("train-0", "b") is None


def test_splits_counts_origins_and_files(tmp_path: Path) -> None:
    connector = nominal_connector(read_connector(SCENES / "header_2x8.toml"), "plain", "square")
    with DatasetWriter(tmp_path / "set", tmp_path / "source") as writer:
        assert writer.spool.folder.is_dir()
        writer.begin(COLUMNS)
        writer.add("train", rows("r1", "r2"))
        writer.add("train", rows("r3", original="r1", label=CLASSES.index("BENDNG")))
        writer.add("test", rows("r4", synthetic=False))
        assert not (tmp_path / "set").exists()
        writer.finish("the card", PARAMETERS, [connector])
    assert writer.counts == {"train": {"OK": 2, "BENDNG": 1}, "test": {"OK": 1}}
    assert writer.origins == {"train": {"renders": 2, "copies": 1}, "test": {"photographs": 1}}
    assert writer.classes == ("BENDNG", "NUKENG", "OK")
    found = {split: [r["run"] for r in read_rows(paths)] for split, paths in split_files(writer.path).items()}
    assert found == {"train": ["r1", "r2", "r3"], "test": ["r4"]}
    names = ["README.md", "connectors.json", "contact_sheet.jpg", "data", "nsoart.json"]
    assert sorted(path.name for path in writer.path.iterdir()) == names
    assert read_connectors(writer.path) == (connector,)
    assert (writer.path / "README.md").read_text() == "the card"
    assert open_upright((writer.path / "contact_sheet.jpg").read_bytes(), "sheet").width > 20
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    DatasetWriter(tmp_path / "set", tmp_path / "source")  # one of ours may be replaced


def content_of(to: Path, *tables: pa.Table) -> str:
    with DatasetWriter(to, to.parent / "source") as writer:
        writer.begin(COLUMNS)
        for table in tables:
            writer.add("train", table)
        writer.finish("", PARAMETERS, None)
    return writer.content_sha256


def test_the_hash_of_the_content_changes_with_a_value(tmp_path: Path) -> None:
    first = content_of(tmp_path / "a", rows("r1"), rows("r2"))
    assert content_of(tmp_path / "b", rows("r1"), rows("r2")) == first
    assert content_of(tmp_path / "c", rows("r1"), rows("r2", grey=True)) != first


def test_after_an_error_nothing_is_left_and_after_an_interrupt_the_chunks(tmp_path: Path) -> None:
    to, source = tmp_path / "set", tmp_path / "source"
    with pytest.raises(KeyError), DatasetWriter(to, source) as writer:
        writer.begin(COLUMNS)
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), DatasetWriter(to, source) as writer:
        writer.spool.keep("train-0", "a", {})
        writer.begin(COLUMNS)
        raise KeyboardInterrupt
    assert not to.exists()
    with DatasetWriter(to, source) as writer:
        assert writer.spool.find("train-0", "a") is not None
        assert [path.name for path in writer.building.iterdir()] == ["rows"]
        writer.begin(COLUMNS)
        writer.add("train", rows("r1"))
        writer.finish("", PARAMETERS, None)
    assert list(tmp_path.iterdir()) == [to]


def test_what_a_command_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    to = tmp_path / "set"
    content_of(to, rows("r1"))
    (to / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"--to .*got one with other files in it \(notes\.txt\)"):
        DatasetWriter(to, tmp_path / "source")
    DatasetWriter(to, tmp_path / "source", overwrite=True)
    with pytest.raises(InputError, match="got one that contains the input"):
        DatasetWriter(tmp_path, to)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder, got a file"):
        DatasetWriter(tmp_path / "file", to)


@pytest.mark.parametrize("is_full", [True, False])
def test_a_full_disk_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    """As Python reports it: an error of writing into an open file names no file."""
    number, to = errno.ENOSPC if is_full else errno.EIO, tmp_path / "set"

    def fail(path: Path, content: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    expected = pytest.raises(InputError, match=f"--to {to}: expected enough space for all files, got: No space left")
    with expected if is_full else pytest.raises(OSError), DatasetWriter(to, tmp_path / "source") as writer:
        writer.spool.keep("train-0", "a", {})
    assert list(tmp_path.iterdir()) == []


def written(writer: DatasetWriter, *runs: str) -> None:
    writer.begin(COLUMNS)
    writer.add("train", rows(*runs))
    writer.finish("", PARAMETERS, None)


def test_two_commands_do_not_write_one_dataset(tmp_path: Path) -> None:
    to, source = tmp_path / "set", tmp_path / "source"
    with DatasetWriter(to, source) as first:
        first.begin(COLUMNS)
        with pytest.raises(InputError, match="expected a folder that no other command is writing to, got one in use"):
            DatasetWriter(to, source).__enter__()
        first.add("train", rows("r1"))
        first.finish("", PARAMETERS, None)
    assert runs_of(to) == ["r1"]
    with DatasetWriter(to, source) as second:
        written(second, "r2")
    assert runs_of(to) == ["r2"] and list(tmp_path.iterdir()) == [to]


def runs_of(dataset: Path) -> list[str]:
    return [r["run"] for paths in split_files(dataset).values() for r in read_rows(paths, ["run"])]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("was_there", [False, True])
def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path, was_there: bool, overwrite: bool) -> None:
    to, source = tmp_path / "set", tmp_path / "source"
    if was_there:
        content_of(to, rows("r1"))
    with (
        pytest.raises(InputError, match=r"\(notes\.txt\).* the new dataset is in .*\.set\.building"),
        DatasetWriter(to, source, overwrite) as writer,
    ):
        written(writer, "r2")
        to.mkdir(exist_ok=True)
        (to / "notes.txt").write_text("mine")
    assert (to / "notes.txt").read_text() == "mine"
    assert runs_of(to) == (["r1"] if was_there else []) and runs_of(tmp_path / ".set.building") == ["r2"]
    (to / "notes.txt").unlink()
    with DatasetWriter(to, source) as writer:
        written(writer, "r3")
    assert runs_of(to) == ["r3"] and list(tmp_path.iterdir()) == [to]


def test_a_dataset_that_appears_meanwhile_is_replaced_only_where_that_is_asked(tmp_path: Path) -> None:
    to, source = tmp_path / "set", tmp_path / "source"
    with (
        pytest.raises(InputError, match="expected a new or empty folder, got one with files in it"),
        DatasetWriter(to, source, replace=False) as writer,
    ):
        written(writer, "r2")
        content_of(tmp_path / "other", rows("r1"))
        (tmp_path / "other").rename(to)
    assert runs_of(to) == ["r1"]
    with pytest.raises(InputError, match="expected a new or empty folder"):
        DatasetWriter(to, source, replace=False)


def test_what_was_moved_away_comes_back(tmp_path: Path) -> None:
    to, source = tmp_path / "set", tmp_path / "source"
    content_of(to, rows("r1"))
    to.rename(tmp_path / ".set.replaced")  # as after a kill between the two renames
    with pytest.raises(KeyError), DatasetWriter(to, source):
        raise KeyError
    assert runs_of(to) == ["r1"] and list(tmp_path.iterdir()) == [to]


def test_no_note_is_left_beside_rows_of_another_key(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep("train-0", "a", {}, rows("r1"))
    (tmp_path / ".train-0.json").mkdir()  # the command ends between the two files
    with pytest.raises(OSError):
        spool.keep("train-0", "b", {}, rows("r2"))
    assert spool.table("train-0").column("run").to_pylist() == ["r2"]
    assert spool.find("train-0", "a") is None
