"""Make the study's renders and datasets in the work folder: each once, for all runs that need it.

    WORK/designs/<name>-<digest>/manifest_<n>.csv   the rows that are rendered
    WORK/designs/<name>-<digest>/renders, dataset   output of `generator render` and `generator build`
    WORK/data/<name>-<digest>                       a dataset of rows of one or several designs

The digest is that of the recipe, so different recipes never get the same folder. Rendering and building resume after an
interruption. A finished folder contains a file `done.json`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from generator.augmenting.plan import PROPOSED
from generator.dataset.folder import NSOART, read_features, split_files
from generator.dataset.writer import ShardWriter
from generator.io.csv_text import csv_text
from studies.locks import locked
from studies.run import ROOT, Data, Design, Take, described, design_described, digest, source_text

DONE = "done.json"
# Columns by which rows are ordered, after the kinds of their defects.
FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")
Command = Callable[[Sequence[str], Path], None]
Report = Callable[[str], None]


class PlanError(Exception):
    """A dataset's recipe selects rows or columns that its designs do not have."""


def kinds_of(row: dict[str, str]) -> str:
    """Return the kinds of a manifest row's defects, sorted and joined by "+", such as "bent+missing"; "" for none."""
    return "+".join(sorted({part.partition("@")[0] for part in row.get("defects", "").split(";")}))


def every_nth(rows: Sequence[dict[str, str]], count: int) -> list[dict[str, str]]:
    """Sort manifest rows by kinds of defect, then factor levels; return `count` evenly spaced rows (0: all rows)."""
    ordered = sorted(rows, key=lambda row: (kinds_of(row), *(row.get(f, "") for f in FACTORS), row["run"]))
    if not 0 < count < len(ordered):
        return ordered
    return [ordered[(2 * n + 1) * len(ordered) // (2 * count)] for n in range(count)]


def read_rows_of(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Read the rows of several manifests into one list, each row as text by column."""
    rows: list[dict[str, str]] = []
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows += csv.DictReader(file)
    return rows


def taken(rows: Sequence[dict[str, str]], take: Take) -> list[dict[str, str]]:
    """Choose the manifest rows that a `Take` selects.

    Raises:
        PlanError: The `Take` selects no row.
    """
    found = [row for row in rows if row["split"] == take.split and take.camera in ("", row["camera"])]
    found = [row for row in found if not take.without or row["scene"] != take.without]
    found = every_nth(every_nth(found, 0)[take.fold :: take.folds], take.count)
    if not found:
        camera = f" and camera {take.camera}" if take.camera else ""
        raise PlanError(f"design {take.design.name}: expected rows of split {take.split}{camera}, got none")
    return found


def random_scenes(folder: Path, count: int, command: Command, log: Path) -> tuple[str, str]:
    """Return the option --scenes for a folder with the scenes of scenes/ and random connectors, written if missing.

    Args:
        folder, count: The folder, and the number of random connectors.
        command, log: As for `Workshop`.
    """
    if not folder.is_dir():
        new = folder.with_name(f".{folder.name}")
        shutil.copytree(ROOT / "scenes", new, dirs_exist_ok=True)
        command(["-m", "generator", "connectors", "-o", str(new), "--count", str(count)], log)
        new.rename(folder)
    return "--scenes", str(folder)


class Workshop:
    """Renders designs and makes datasets in a work folder.

    Args:
        work: The work folder.
        command: Called with the arguments of a Python command and a log file. Runs the command, appends its output to
            the log, and raises an exception if the command fails.
        workers: Number of processes for rendering and building; 0: the commands' default.
        report: Called with a line of text before each step that takes minutes.
    """

    def __init__(self, work: Path, command: Command, workers: int = 0, report: Report = print) -> None:
        self.work = work.resolve()
        self.command, self.report = command, report
        self.workers = ("--workers", str(workers)) if workers else ()

    def design_folder(self, design: Design) -> Path:
        """Return the folder of a design's manifests, renders and dataset."""
        return self.work / "designs" / f"{design.name}-{digest(design_described(design))}"

    def data_folder(self, data: Data) -> Path:
        """Return the folder of a dataset."""
        return self.work / "data" / f"{data.name}-{digest(described(data))}"

    def alone(self, folder: Path, name: str) -> AbstractContextManager[None]:
        """Return a context manager that holds the lock of `folder`; if it must wait, it reports a wait for `name`."""
        return locked(
            folder.with_suffix(".lock"), waiting=lambda: self.report(f"  waiting until another process has made {name}")
        )

    def is_built(self, design: Design) -> bool:
        """Return whether a design's pictures are rendered and its dataset is built."""
        return (self.design_folder(design) / DONE).is_file()

    def manifests(self, design: Design) -> list[Path]:
        """Return the paths of the design's manifests (rows to render), one per source; missing ones are written."""
        folder = self.design_folder(design)
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for number, source in enumerate(design.sources):
            path, log = folder / f"manifest_{number}.csv", folder / "log.txt"
            if not path.is_file():
                whole = folder / f".source_{number}.csv"
                if source.endswith(".toml"):
                    words = ["-m", "generator", "design", str(ROOT / source), "-o", str(whole)]
                    self.command([*words, *self._scenes(design, log)], log)
                else:
                    whole.write_text(source_text(source), encoding="utf-8", newline="")
                rows = read_rows_of([whole])
                kept = []
                for split in dict.fromkeys(row["split"] for row in rows):
                    some = [row for row in rows if row["split"] == split]
                    kept += every_nth(some, dict(design.rows).get(split, 0))
                text = csv_text(list(rows[0]), sorted(kept, key=lambda row: row["run"]), "\n")
                path.with_suffix(".tmp").write_text(text, "utf-8", newline="")
                path.with_suffix(".tmp").replace(path)
            found.append(path)
        return found

    def _scenes(self, design: Design, log: Path) -> tuple[str, ...]:
        """Return the option --scenes of a design with random connectors."""
        if not design.random_connectors:
            return ()
        return random_scenes(self.design_folder(design) / "scenes", design.random_connectors, self.command, log)

    def renders(self, design: Design) -> Path:
        """Return a design's render folder; missing pictures are rendered, and a missing dataset is built."""
        self.design(design)
        return self.design_folder(design) / "renders"

    def design(self, design: Design) -> Path:
        """Return a design's dataset folder; missing pictures are rendered, and a missing dataset is built."""
        folder = self.design_folder(design)
        with self.alone(folder, design.name):
            if not self.is_built(design):
                log = folder / "log.txt"
                manifests = self.manifests(design)
                count = len(read_rows_of(manifests))
                self.report(f"  rendering {design.name}: {count} pictures (log: {log})")
                for manifest in manifests:
                    words = ["-m", "generator", "render", str(manifest), "--out", str(folder / "renders")]
                    self.command([*words, *self._scenes(design, log), *self.workers], log)
                words = ["-m", "generator", "build", str(folder / "renders"), "--to", str(folder / "dataset")]
                self.command([*words, *design.build, *self.workers], log)
                _mark(folder, {"design": design_described(design)})
        return folder / "dataset"

    def data(self, data: Data) -> Path:
        """Return the folder of a dataset; the dataset and its designs are made if missing."""
        folder = self.data_folder(data)
        built = {design: self.design(design) for design in data.designs}
        with self.alone(folder, data.name):
            if not (folder / DONE).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                half = folder.with_name(f".{folder.name}.half")
                shutil.rmtree(half, ignore_errors=True)
                self._select(data, built, half)
                if data.improve:
                    half = self._improved(half)
                _mark(half, {"hash": data_hash(half), "rows": rows_by_split(half)})
                half.rename(folder)
        return folder

    def facts(self, data: Data) -> dict[str, Any]:
        """Read `hash` (of the Parquet files) and `rows` (number by split) of a finished dataset."""
        return json.loads((self.data_folder(data) / DONE).read_text("utf-8"))  # type: ignore[no-any-return]

    def _select(self, data: Data, built: dict[Design, Path], to: Path) -> None:
        manifests = {design: read_rows_of(self.manifests(design)) for design in built}
        features = merged_features([read_features(folder) for folder in built.values()])
        (to / "data").mkdir(parents=True)
        for split, takes in data.splits:
            writer = ShardWriter(to / "data", split, features)
            for take in takes:
                runs = [row["run"] for row in taken(manifests[take.design], take)]
                for table in tables_of(built[take.design], take.split, runs, features):
                    writer.add(table.set_column(*_column(table, "split", split)))
            writer.finish()
        # Trainers need the NSOART parameters; the first design's are used.
        shutil.copyfile(next(iter(built.values())) / NSOART, to / NSOART)

    def _improved(self, plain: Path) -> Path:
        """Add the copies of `generator augment` to a dataset: each training picture cropped, flipped and rotated."""
        plan, to, log = plain.with_suffix(".csv"), plain.with_suffix(".more"), plain.with_suffix(".txt")
        shutil.rmtree(to, ignore_errors=True)
        self.command(["-m", "generator", "augment", "plan", str(plain), "-o", str(plan), *self.workers], log)
        with plan.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        # The source's rule crops pictures above 600 px; for these small renders the plan is edited to crop them too.
        # `augment plan` proposes operations for training rows only; validation and test stay unchanged.
        edited = [row | dict.fromkeys(PROPOSED, "yes") if proposed(row) else row for row in rows]
        plan.write_text(csv_text(list(rows[0]), edited, "\n"), "utf-8", newline="")
        words = ["-m", "generator", "augment", "apply", str(plan), "--to", str(to), "--mirror-text"]
        self.command([*words, *self.workers], log)
        for left in (plan, log):
            left.unlink(missing_ok=True)
        plain.with_suffix(".more_before_after.jpg").unlink(missing_ok=True)
        shutil.rmtree(plain)
        return to


def proposed(row: dict[str, str]) -> bool:
    """Return whether a row of the plan of `generator augment` asks for a changed copy of its picture."""
    return any(row[name] == "yes" for name in PROPOSED)


def _column(table: pa.Table, name: str, value: str) -> tuple[int, pa.Field, pa.Array]:
    at = table.schema.get_field_index(name)
    return at, table.schema.field(at), pa.array([value] * len(table), table.schema.field(at).type)


def _mark(folder: Path, facts: dict[str, Any]) -> None:
    (folder / f".{DONE}.tmp").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    (folder / f".{DONE}.tmp").replace(folder / DONE)


def merged_features(all_features: Sequence[Features]) -> Features:
    """Merge the columns of several datasets.

    If the class lists of a column differ, the longer list is kept; it must begin with the shorter one.

    Raises:
        PlanError: A column has different types, or its class lists have different orders.
    """
    merged: dict[str, Any] = {}
    for features in all_features:
        for name, kind in features.items():
            held = merged.setdefault(name, kind)
            if isinstance(kind, ClassLabel) and isinstance(held, ClassLabel):
                short, long = sorted((kind, held), key=lambda one: len(one.names))
                if long.names[: len(short.names)] != short.names:
                    raise PlanError(f"column {name}: expected one class order in all designs, got {held} and {kind}")
                merged[name] = long
            elif name == "objects":
                merged[name] = max(kind, held, key=lambda one: len(str(one)))  # it has the longer class list
            elif held != kind:
                raise PlanError(f"column {name}: expected the same type in all designs, got {held} and {kind}")
    return Features(merged)


def tables_of(dataset: Path, split: str, runs: Sequence[str], features: Features) -> Iterator[pa.Table]:
    """Read some rows of a built dataset, as tables with the columns of `features`; a missing column is null.

    Args:
        dataset: The dataset's folder.
        split: The split of the rows.
        runs: Values of the rows' column `run`.
        features: The columns.

    Raises:
        PlanError: The split lacks one of the rows.
    """
    wanted, found = set(runs), 0
    schema = features.arrow_schema
    for path in split_files(dataset).get(split, []):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                keep = [run in wanted for run in table.column("run").to_pylist()]
                if not any(keep):
                    continue
                table = table.filter(pa.array(keep))
                found += len(table)
                for column in schema:
                    if column.name not in table.schema.names:
                        table = table.append_column(column, pa.nulls(len(table), column.type))
                yield table.select(schema.names).cast(schema)
    if found != len(wanted):
        raise PlanError(f"{dataset}: expected {len(wanted)} rows of split {split}, got {found}")


def data_hash(dataset: Path) -> str:
    """Compute the SHA-256 over the names and bytes of a dataset's Parquet files."""
    found = hashlib.sha256()
    for path in sorted((dataset / "data").glob("*.parquet")):
        found.update(path.name.encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def rows_by_split(dataset: Path) -> dict[str, int]:
    """Count the rows of each split of a dataset, given its folder."""
    return {
        split: sum(pq.read_metadata(path).num_rows for path in paths) for split, paths in split_files(dataset).items()
    }
