"""Write a dataset for build, import and augment: chunks of rows stored on disk, then Parquet files, then the new name.

    with DatasetWriter(to, source) as writer:
        writer.begin(features(other, extras, masks))
        for split, name, key in chunks:
            kept = writer.spool.find(name, key)                    # any process may do this
            if kept is None:
                kept = writer.spool.keep(name, key, note, table)
            writer.add(split, writer.spool.table(name), kept.sha256)
        writer.finish(card, parameters, connectors)

The dataset is written in a hidden folder beside its target, which is renamed at the end of `with`. If the command is
interrupted or killed, the next one reuses the finished chunks; after an error they are deleted.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.connectors import CONNECTORS, NominalConnector, connectors_json
from generator.dataset.contact_sheet import SheetRows, write_sheet
from generator.dataset.folder import CARD, DATA, NSOART, shard_name
from generator.dataset.labels import CLASSES
from generator.dataset.place import DatasetPlace
from generator.io.output_file import FULL, check_folder
from generator.soart.nsoart import GROUP_BY, group_of

# Size of one Parquet file that the Hub recommends.
SHARD_BYTES = 500_000_000
# Row groups per file: the writer holds the metadata of each (some 40 kB) in memory until the file is closed.
SHARD_GROUPS = 200
# Where a picture can come from, in the order of the card's table.
ORIGINS = ("renders", "photographs", "copies")
_SPOOL = "rows"


class Kept(NamedTuple):
    """A chunk (some rows of one split) in the spool.

    Attributes:
        note: results other than rows, as JSON values.
        sha256: SHA-256 of the file with its rows; "" if it has no rows.
    """

    note: dict[str, Any]
    sha256: str


class Spool(NamedTuple):
    """A store on disk for chunks of rows, used by several processes at once; it never shows an incomplete chunk.

    Attributes:
        folder: the folder of the chunks, which has no other files.
        source: folder of finished chunks, only read, in which `find` and `table` look for a chunk that `folder` lacks;
            None: no such folder.
    """

    folder: Path
    source: Path | None = None

    def find(self, name: str, key: str) -> Kept | None:
        """Return the chunk `name` if it was stored with the same `key` (hash of all that it depends on), else None."""
        found = self._find(self.folder, name, key)
        return self._find(self.source, name, key) if found is None and self.source is not None else found

    def _find(self, folder: Path, name: str, key: str) -> Kept | None:
        try:
            stored = json.loads((folder / f"{name}.json").read_bytes())
            kept = Kept(dict(stored["note"]), str(stored["sha256"]))
            is_whole = not kept.sha256 or (folder / f"{name}.arrow").is_file()
            return kept if is_whole and stored["key"] == key else None
        except (OSError, ValueError, LookupError, TypeError):
            return None  # missing, or written by another version

    def keep(self, name: str, key: str, note: Mapping[str, Any], table: pa.Table | None = None) -> Kept:
        """Store a finished chunk, and return it as a later build finds it (`Kept`).

        Args:
            name: name of the chunk, a file name without suffix.
            key: hash of all that the chunk depends on: its rows, the settings, `code_sha256`.
            note: further results of the chunk, as JSON values.
            table: the chunk's rows; None: it has no rows.
        """
        sha256 = ""
        # Removed first, so that a stopped command never leaves the old note and key beside the new rows.
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        if table is not None:
            sink = io.BytesIO()
            with pa.ipc.new_file(sink, table.schema) as file:
                file.write_table(table.combine_chunks())
            sha256 = self._write(f"{name}.arrow", sink.getvalue())
        self._write(f"{name}.json", json.dumps({"key": key, "sha256": sha256, "note": dict(note)}).encode())
        return Kept(dict(note), sha256)

    def table(self, name: str) -> pa.Table:
        """Return the rows of the stored chunk `name`, memory-mapped; for a chunk without rows there is no file."""
        path = self.folder / f"{name}.arrow"
        if self.source is not None and not path.is_file():
            path = self.source / path.name
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()

    def _write(self, name: str, content: bytes) -> str:
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(content)
        unfinished.replace(self.folder / name)
        return hashlib.sha256(content).hexdigest()


class DatasetWriter:
    """Writer of one dataset; the module's docstring shows its use.

    Attributes:
        path, building: the dataset folder, and the hidden folder in which it is written until the end of `with`.
        spool: store on disk for finished chunks; exists from the start of `with` to `finish`.
        counts: number of pictures added, by split and class.
        origins: number of pictures added, by split and origin: `renders`, `photographs` or `copies`.

    Args:
        to: the dataset folder; only one command at a time can write it.
        source: input folder, which must not lie in `to`.
        overwrite: also replace a folder that is not a Pinsight dataset.
        option: command-line option that gives `to`, for messages.
        replace: replace a Pinsight dataset; False: accept only a new or empty folder.

    Raises:
        InputError: `to` may not be replaced or cannot be written; from `with` also: another command is writing it, or
            the disk became full.
    """

    def __init__(
        self, to: Path, source: Path, overwrite: bool = False, option: str = "--to", replace: bool = True
    ) -> None:
        self._place = DatasetPlace(to, option, overwrite, replace)
        self.path = self._place.path
        self.building = self._place.building
        self.spool = Spool(self.building / _SPOOL)
        # Whether the spool stays after a user's mistake, too, for the command that follows its correction.
        self.keeps_spool = False
        self.counts: dict[str, Counter[str]] = {}
        self.origins: dict[str, Counter[str]] = {}
        self._sheet = SheetRows()
        self._digest = hashlib.sha256()
        self._shards: ShardWriter | None = None
        self._columns = Features()
        self._is_complete = False
        try:
            self._check_apart(source)
            self._place.check()
        except OSError as error:
            raise self._place.write_error(error) from None
        check_folder(to, option)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the dataset's column `label`."""
        return tuple(self._columns["label"].names)

    @property
    def content_sha256(self) -> str:
        """SHA-256 of the columns and of all rows added so far, with their pictures."""
        return self._digest.hexdigest()

    def _check_apart(self, source: Path) -> None:
        for folder, name in ((source, f"the input {source}"), (Path.cwd(), "the working directory")):
            if folder.resolve().is_relative_to(self.path):
                raise InputError(
                    f"{self._place.option}: expected a folder for the dataset alone, got one that contains {name}"
                )

    def __enter__(self) -> Self:
        self._place.hold()
        try:
            self.spool.folder.mkdir(exist_ok=True)
            # Only the spool of a stopped command is reused; its other files are removed.
            for leftover in self.building.iterdir():
                if leftover.name != _SPOOL:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        except OSError as error:
            self._place.release()
            raise self._place.write_error(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        try:
            if kind is None:
                assert self._is_complete, "finish was not called"
                self._place.move_in()
            elif kind is not KeyboardInterrupt and not (self.keeps_spool and isinstance(error, InputError)):
                shutil.rmtree(self.building, ignore_errors=True)
        finally:
            self._place.release()
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            raise self._place.write_error(error) from None

    def begin(self, columns: Features) -> None:
        """Set the dataset's columns and their types; called once, before the first `add`."""
        self._columns = columns
        self._digest.update(str(columns).encode())
        (self.building / DATA).mkdir()

    def add(self, split: str, table: pa.Table, sha256: str = "") -> None:
        """Write rows to the dataset; all rows of a split have to be added before those of the next split.

        Args:
            split: split of the rows.
            table: rows with the columns given to `begin`, in their order; classes as indices in CLASSES.
            sha256: SHA-256 of the rows' content; "": computed here.
        """
        if self._shards is None or self._shards.split != split:
            self._close_split()
            self._shards = ShardWriter(self.building / DATA, split, self._columns)
        self._shards.add(table)
        self._digest.update((sha256 or _content_sha256(table)).encode())
        counts = self.counts.setdefault(split, Counter())
        origins = self.origins.setdefault(split, Counter())
        light = table.select(["label", "synthetic", "original", *GROUP_BY])
        for number, row in enumerate(light.to_pylist(), sum(counts.values())):
            label = CLASSES[row["label"]]
            counts[label] += 1
            origin = "renders" if row["synthetic"] else "photographs"
            origins["copies" if row["original"] is not None else origin] += 1
            self._sheet.offer(split, number, label, group_of(row))

    def finish(
        self, card: str, parameters: Mapping[str, Any] | None, connectors: Sequence[NominalConnector] | None
    ) -> None:
        """Write the dataset's files other than the rows; the folder gets its final name at the end of `with`.

        Args:
            card: contents of README.md.
            parameters: contents of nsoart.json; None: no such file.
            connectors: nominal positions of the connectors in the pictures; None or empty: no connectors.json.
        """
        self._close_split()
        shutil.rmtree(self.spool.folder)
        if parameters:
            with (self.building / NSOART).open("w", encoding="utf-8") as file:
                json.dump(parameters, file, indent=1)
                file.write("\n")
        if connectors:
            (self.building / CONNECTORS).write_text(connectors_json(connectors), encoding="utf-8")
        write_sheet(self.building, self._sheet, self.classes)
        (self.building / CARD).write_text(card, encoding="utf-8")
        self._is_complete = True

    def _close_split(self) -> None:
        if self._shards is not None:
            self._shards.finish()
        self._shards = None


class ShardWriter:
    """Writer of the Parquet files (shards) of one split; the library `datasets` can open them.

    Args:
        folder: folder of the files.
        split: name of the split.
        columns: names and types of the columns.
    """

    def __init__(self, folder: Path, split: str, columns: Features) -> None:
        self.folder = folder
        self.split = split
        self.schema = columns.arrow_schema
        self.paths: list[Path] = []
        self.writer: pq.ParquetWriter | None = None
        self.bytes = self.groups = 0

    def add(self, table: pa.Table) -> None:
        """Write rows as one Parquet row group; `table` has the columns of the features, in their order."""
        if self.writer is None:
            self.paths.append(self.folder / f"{self.split}.{len(self.paths)}")
            # With content-defined chunks, the Hub stores only what changed between two builds.
            self.writer = pq.ParquetWriter(
                self.paths[-1], self.schema, use_content_defined_chunking=True, write_page_index=True
            )
        self.writer.write_table(table.cast(self.schema))
        self.bytes += table.nbytes
        self.groups += 1
        if self.bytes >= SHARD_BYTES or self.groups >= SHARD_GROUPS:
            self._close()

    def finish(self) -> None:
        """Close the last file and give all files their final names, as in train-00000-of-00002.parquet."""
        self._close()
        for number, path in enumerate(self.paths):
            path.rename(self.folder / shard_name(self.split, number, len(self.paths)))

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None
        self.bytes = self.groups = 0


def encoded_png(picture: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file, as a dataset stores them."""
    buffer = io.BytesIO()
    # Pillow's type 3 (run lengths of filtered lines) takes a quarter of the default's time for files of the same size.
    picture.save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def _content_sha256(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
