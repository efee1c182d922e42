"""What a run of the study is: designs that are rendered, data that take rows of them, a training, and its key.

A `Design` is rendered and built once. A `Data` takes rows of designs into the splits of a dataset. A `Run` trains on
one `Data`, and is measured on its splits. The runs themselves are listed in `studies.plan`.
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


@dataclass(frozen=True)
class Design:
    """Manifests, or SPECs that make them, and how many rows at most of each split are rendered (all where not said)."""

    name: str
    sources: tuple[str, ...]
    rows: tuple[tuple[str, int], ...] = ()
    build: tuple[str, ...] = ()


@dataclass(frozen=True)
class Take:
    """Some rows of a design's split: at most `count` (0: all) of fold `fold` of `folds`, of one camera if said.

    A design's rows are put in the order of their classes and factor levels, and every n-th is taken: so a part has
    the whole's balance, and different folds share no row.
    """

    design: Design
    split: str
    count: int = 0
    fold: int = 0
    folds: int = 1
    camera: str = ""


@dataclass(frozen=True)
class Data:
    """A dataset: by split the rows that it takes; `improve` adds the copies of `generator augment` to training."""

    name: str
    splits: tuple[tuple[str, tuple[Take, ...]], ...]
    improve: bool = False

    @property
    def designs(self) -> tuple[Design, ...]:
        """The designs that it needs, each once."""
        return tuple(dict.fromkeys(take.design for _, takes in self.splits for take in takes))

    def rows(self, split: str) -> int:
        """How many rows a split has where its takes say it; 0 where one of them takes all."""
        counts = [take.count for name, takes in self.splits if name == split for take in takes]
        return 0 if 0 in counts else sum(counts)


@dataclass(frozen=True)
class Run:
    """One training with what is measured afterwards.

    Args:
        question: 1 to 8.
        variant: What differs from the question's other runs.
        seed: Of the training.
        data: What it trains on and is measured on.
        trainer: `vit`, `florence2` or `soart` (no training).
        options: The trainer's, without folders, seed, threads and device.
        init: A run whose weights it begins with.
        attention: Splits on which attention is scored at each stage.
        parts: Also judge whole parts by all their views.
        cells: Also keep the scores of each defect's pictures and of the good ones.
        originals: Data whose training pictures it is also measured on: how well it knows what it has learned from.
        rows: Which rows count in the measurement.
        seconds: Estimate on one idle core.
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
        return f"{TOPICS[self.question]} · {self.variant} · seed {self.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """What its result depends on: neither what it is called nor what it is expected to take."""
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
        """Hash of the config: runs of the same key are one run."""
        text = json.dumps(self.config, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(data: Data) -> dict[str, Any]:
    """A dataset's recipe with the hashes of the designs' sources: another manifest or SPEC is another dataset."""
    return {
        "splits": {
            split: [{**asdict(take), "design": design_described(take.design)} for take in takes]
            for split, takes in data.splits
        },
        "improve": data.improve,
    }


def design_described(design: Design) -> dict[str, Any]:
    """A design's sources by file name with their hashes, its rows and build options; where they lie does not count."""
    sources = {Path(name).name: _source_hash(ROOT / name) for name in design.sources}
    return {"sources": sources, "rows": [list(pair) for pair in design.rows], "build": list(design.build)}


def source_text(name: str) -> str:
    """A design's source: a SPEC or a manifest in the repository, or a manifest that `benchmarks.soart_plan` makes."""
    path = ROOT / name
    return path.read_text("utf-8-sig") if path.is_file() else manifest_text(Path(name).stem)


@cache
def _source_hash(path: Path) -> str:
    content = path.read_bytes() if path.is_file() else manifest_text(path.stem).encode()
    return hashlib.sha256(content).hexdigest()


def digest(recipe: Any) -> str:
    """Short hash of what `described` or `design_described` returned: the name of a folder."""
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
