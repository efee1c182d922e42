"""The classes of the study: `Design`, `Data` and `Run`, and the key of a run.

A `Design` is rendered and built once. A `Data` is a dataset; each of its splits takes rows of designs. A `Run` trains
on one `Data` and is measured on its splits. `studies.plan` lists the runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from benchmarks.soart_plan import manifest_text

ROOT = Path(__file__).resolve().parents[1]
VERSION = 2
# SPECs and number of random connectors of `make base`.
BASE_SPECS, BASE_CONNECTORS = ("manifests/base_gauge.toml", "manifests/base_defects.toml"), 48
# The module that draws random connectors, on which their pictures depend.
RANDOM_CONNECTORS = "generator/doe/random_connectors.py"


@dataclass(frozen=True)
class Design:
    """Manifests to render, or SPECs that make manifests.

    Args:
        name: Name of the design's folder.
        sources: Manifests (.csv) or SPECs (.toml), relative to the repository.
        rows: Pairs of a split and its largest number of rows to render; any other split is rendered whole.
        build: Options of `generator build`.
        random_connectors: Number of random connectors that join those in scenes/.
    """

    name: str
    sources: tuple[str, ...]
    rows: tuple[tuple[str, int], ...] = ()
    build: tuple[str, ...] = ()
    random_connectors: int = 0


@dataclass(frozen=True)
class Take:
    """A selection of a design's rows, as balanced as the design: every n-th row, sorted by kinds of defect and factors.

    Args:
        design: The design.
        split: The split of the rows.
        count: Largest number of rows; 0: all.
        fold: Number, from 0, of the fold from which the rows are taken.
        folds: Number of folds into which the split's rows are divided; no row is in two folds.
        camera: Camera of the rows; empty: all cameras.
        without: A scene whose rows are left out; empty: none.
    """

    design: Design
    split: str
    count: int = 0
    fold: int = 0
    folds: int = 1
    camera: str = ""
    without: str = ""


@dataclass(frozen=True)
class Data:
    """A dataset that is put together from rows of designs.

    Args:
        name: The dataset's name.
        splits: Pairs of a split's name and the selections of rows that form the split.
        improve: Whether changed copies of the training pictures are added.
    """

    name: str
    splits: tuple[tuple[str, tuple[Take, ...]], ...]
    improve: bool = False

    @property
    def designs(self) -> tuple[Design, ...]:
        """The designs from which the dataset takes rows, each once."""
        return tuple(dict.fromkeys(take.design for _, takes in self.splits for take in takes))

    def rows(self, split: str) -> int:
        """Return the number of rows of a split; 0 (unknown) if one of its selections takes all rows (`count` 0)."""
        counts = [take.count for name, takes in self.splits if name == split for take in takes]
        return 0 if 0 in counts else sum(counts)


@dataclass(frozen=True)
class Run:
    """One training and its measurements.

    Args:
        question: 1 to 8.
        variant: Name of the variant within the question.
        seed: Seed of the training.
        data: Dataset for training and measurement.
        trainer: `vit`, `florence2` or `soart` (no training).
        options: Options of the trainer, except folders, seed, threads and device.
        init: The run whose weights the training starts from; None: random weights.
        attention: Splits on which attention is scored at the epochs of `Size.stages`.
        parts: Whether whole parts are also judged, by several views.
        cells: Whether the result also keeps the scores of OK pictures and of each cell (a defect at a size).
        originals: Dataset whose training pictures are also measured, to show overfitting.
        rows: Value of the option `--rows` of `trainer.evaluate`.
        seconds: Estimated time on one idle core.
    """

    question: int
    variant: str
    seed: int
    data: Data
    trainer: str
    options: tuple[str, ...] = ()
    init: Run | None = None
    attention: tuple[str, ...] = ()
    parts: bool = False
    cells: bool = False
    originals: Data | None = None
    rows: str = "observable"
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Name of the run for people: topic, variant and seed."""
        return f"{TOPICS[self.question]} · {self.variant} · seed {self.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """The settings on which the run's result depends; names and estimated time are left out."""
        found = asdict(replace(self, init=None, originals=None, question=0, variant="", seconds=0.0))
        for label in ("question", "variant", "seconds", "originals"):
            found.pop(label)
        if self.originals:
            found["originals"] = described(self.originals)
        found["init"] = self.init.key if self.init else None
        found["data"] = described(self.data)
        found["version"] = VERSION
        return found

    @cached_property
    def key(self) -> str:
        """Hash of `config`, 16 hex digits: runs with the same key are the same run."""
        text = json.dumps(self.config, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(data: Data) -> dict[str, Any]:
    """Return what a dataset's content depends on, for hashing: selections of rows, and each design's description."""
    return {
        "splits": {split: [_take_described(take) for take in takes] for split, takes in data.splits},
        "improve": data.improve,
    }


def _take_described(take: Take) -> dict[str, Any]:
    found = {**asdict(take), "design": design_described(take.design)}
    if not take.without:
        found.pop("without")  # the study's first selections did not have it, and their hashes stay
    return found


def design_described(design: Design) -> dict[str, Any]:
    """Return, for hashing, what a design's content depends on: its fields, and hashes of its source files."""
    sources = {Path(name).name: _source_hash(ROOT / name) for name in design.sources}
    rows = [list(pair) for pair in design.rows]
    found: dict[str, Any] = {"sources": sources, "rows": rows, "build": list(design.build)}
    if design.random_connectors:
        found["random_connectors"] = [design.random_connectors, _source_hash(ROOT / RANDOM_CONNECTORS)]
    return found


def source_text(name: str) -> str:
    """Return the text of the SPEC or manifest at path `name`; without this file, that which `manifest_text` makes."""
    path = ROOT / name
    return path.read_text("utf-8-sig") if path.is_file() else manifest_text(Path(name).stem)


@cache
def _source_hash(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else manifest_text(path.stem).encode()
    return hashlib.sha256(content).hexdigest()


def digest(recipe: Any) -> str:
    """Return a hash (10 hex digits) of what `described` or `design_described` returns, for the name of a folder."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:10]


TOPICS = {
    1: "ladder",
    2: "supervision",
    3: "improvement",
    4: "views",
    5: "pretraining",
    6: "attention",
    7: "florence2",
    8: "soart",
}
