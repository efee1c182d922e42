"""The results of all finished runs: a Parquet table in the repository, and one JSON file for each run not yet in it.

A process that finishes a run writes WORK/results/<key>.json atomically, so any number of processes may share the
work. `Results.fold` adds these files to the table under a lock. It never changes results in the table.

    pandas.read_parquet("studies/results.parquet")      one row per run; entries of type dict in COLUMNS are JSON
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from studies.locks import locked
from trainer.core.errors import InputError

TABLE = Path(__file__).resolve().parent / "results.parquet"
# The entries of a result in order; those of type dict are stored as JSON.
COLUMNS: dict[str, type] = {
    "schema": int,
    "key": str,
    "run": str,
    "seed": int,
    "config": dict,
    "data": dict,
    "versions": dict,
    "device": str,
    "processor": str,
    "threads": int,
    "seconds": dict,
    "result": dict,
}
Document = dict[str, Any]


class ResultError(InputError, ValueError):
    """A result file or table does not have the study's form, or a page lacks the study's markers."""


def checked(document: Any, key: str, place: str) -> Document:
    """Check that a document is the result of the run `key`, and return it.

    Args:
        document: The parsed JSON.
        key: The run's key.
        place: File or row of the document, for messages.

    Raises:
        ResultError: The document is not a result of this run.
    """
    if not isinstance(document, dict) or list(document) != list(COLUMNS) or document["key"] != key:
        got = f"the entries {', '.join(map(str, document))}" if isinstance(document, dict) else repr(document)
        raise ResultError(f"{place}: expected the result of run {key}, got {got:.200}")
    for name, kind in COLUMNS.items():
        if type(document[name]) is not kind:
            raise ResultError(f"{place}, {name}: expected {kind.__name__}, got {type(document[name]).__name__}")
    return document


def read_table(table: Path) -> dict[str, Document]:
    """Read a table's results by key; an empty dict if the file does not exist.

    Raises:
        ResultError: The file is not a table of results.
    """
    if not table.exists():
        return {}
    try:
        # Read at once: pyarrow opens a path twice, and the file may be replaced in between. In this thread alone: of
        # 264 short processes that read with pyarrow's threads, one was aborted when it ended.
        rows = pq.read_table(pa.BufferReader(table.read_bytes()), use_threads=False, pre_buffer=False).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultError(f"{table}: expected a Parquet table of results, got {error}") from error
    found: dict[str, Document] = {}
    for number, row in enumerate(rows):
        place = f"{table}, row {number}"
        try:
            document = {name: json.loads(v) if COLUMNS.get(name) is dict else v for name, v in row.items()}
        except (ValueError, TypeError) as error:
            raise ResultError(f"{place}: expected JSON, got {error}") from error
        found[row.get("key", "")] = checked(document, row.get("key", ""), place)
    return found


def write_table(table: Path, documents: Iterable[Document]) -> None:
    """Write results as a table, sorted by key; the same results give the same bytes."""
    rows = sorted(documents, key=lambda document: document["key"])
    columns = {
        name: pa.array(
            [json.dumps(row[name], ensure_ascii=False) if kind is dict else row[name] for row in rows],
            pa.int64() if kind is int else pa.string(),
        )
        for name, kind in COLUMNS.items()
    }
    half = table.with_suffix(".tmp")
    pq.write_table(pa.table(columns), half, compression="zstd", compression_level=19, use_dictionary=False)
    half.replace(table)


class Results:
    """The results of finished runs: those in the table, and new results not yet added to it.

    Args:
        table: The Parquet file.
        waiting: Folder of the JSON files of new results.
    """

    def __init__(self, table: Path, waiting: Path) -> None:
        self.table, self.waiting = table, waiting
        self._in_table = read_table(table)

    def holds(self, key: str) -> bool:
        """Return whether the run `key` has a result, from this or another process."""
        return key in self._in_table or self.path(key).is_file()

    def path(self, key: str) -> Path:
        """Return the path of the JSON file for a new result of the run `key`."""
        return self.waiting / f"{key}.json"

    def add(self, document: Document) -> None:
        """Check a finished run's result and write it as a JSON file; raises ResultError if its form is wrong."""
        path, text = self.path(document["key"]), json.dumps(document, indent=1, ensure_ascii=False)
        checked(json.loads(text), path.stem, str(path))
        self.waiting.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".tmp")
        half.write_text(text + "\n", "utf-8")
        half.replace(path)

    def documents(self) -> dict[str, Document]:
        """Return all results by key, those in the table and the new ones.

        Raises:
            ResultError: A JSON file is not the result of a run.
        """
        found: dict[str, Document] = {}
        for path in sorted(self.waiting.glob("*.json")):
            try:
                document = json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise ResultError(f"{path}: expected the result of a run, got {error}") from error
            found[path.stem] = checked(document, path.stem, str(path))
        return {**found, **self._in_table}

    def fold(self) -> list[str]:
        """Add the JSON files' results to the table, after a wait for other processes; returns the added keys.

        The files are kept: a process that has read the table earlier finds the added results only in them.
        """
        with locked(self.table.with_suffix(".lock")):
            before = read_table(self.table)
            self._in_table = before
            documents = self.documents()
            new = [key for key in documents if key not in before]
            if new:
                write_table(self.table, documents.values())
            self._in_table = documents
        return new
