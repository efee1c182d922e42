"""Judge a part by pictures of several views: each by the unit space of its view, all together by one limit.

Each view is judged by an inspection model of its own (`generator.soart.inspection`). The limits of all views are set
together from the OK parts (`generator.soart.limits.part_scores`), so that the stated false alarm rate is that of the
part: the share of OK parts of which any view is above its limit. The part's verdict is the first of NG, INVALID,
UNSURE, OK that a view has. A view without a picture, or with one that cannot be read, is INVALID. So a part is OK only
if every view was judged OK.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from generator.soart.inspection import Finding, InspectionModel
from generator.soart.limits import part_scores, score_limit
from generator.soart.saved_space import EXPECTED
from generator.verdict.envelope import Verdict, overall

HEADER, SCHEMA = "views", 1


@dataclass(frozen=True)
class Unjudged:
    """A view that cannot be judged; each of the `reasons` begins with a keyword and a colon."""

    reasons: Sequence[str]


@dataclass(frozen=True)
class PartFinding:
    """The verdict on a part.

    Attributes:
        by_view: what was found in each view.
        verdict: the first of NG, INVALID, UNSURE, OK that a view has.
        reasons: why the part is not OK, with the views; empty for OK.
        score: the highest score of a view, 1 at the limit; None if no view was judged.
        more: further JSON keys of each view.
    """

    by_view: Mapping[str, Finding | Unjudged]
    verdict: Verdict
    reasons: tuple[str, ...]
    score: float | None
    more: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(
        cls, by_view: Mapping[str, Finding | Unjudged], more: Mapping[str, Mapping[str, Any]] | None = None
    ) -> PartFinding:
        """Combine what was found in the views; `more`: further JSON keys of each view."""
        judged = [one for one in by_view.values() if isinstance(one, Finding)]
        verdict = overall(verdict_of(one) for one in by_view.values())
        reasons = [f"{reason} (view {view})" for view, one in by_view.items() for reason in reasons_of(one)]
        return cls(by_view, verdict, tuple(reasons), max((one.score for one in judged), default=None), more or {})

    def to_json(self) -> dict[str, Any]:
        """Return what a part's JSON document has besides the keys of `Envelope`: score, and the views' entries."""
        return {
            "score": None if self.score is None else round(self.score, 4),
            "by_view": {view: {**_entry(one), **self.more.get(view, {})} for view, one in self.by_view.items()},
        }


def verdict_of(one: Finding | Unjudged) -> Verdict:
    """Return a view's verdict."""
    return one.verdict if isinstance(one, Finding) else Verdict.INVALID


def reasons_of(one: Finding | Unjudged) -> Sequence[str]:
    """Return why a view is not OK."""
    return one.reasons


def _entry(one: Finding | Unjudged) -> dict[str, Any]:
    entry: dict[str, Any] = {"verdict": str(verdict_of(one)), "reasons": list(reasons_of(one))}
    if isinstance(one, Unjudged):
        return {**entry, "score": None}
    return {**entry, **one.to_json(), "pins": one.pins_to_json(), "boxes": one.boxes_to_json()}


class PartInspectionModel:
    """The inspection models of several views, with limits that hold for the part.

    Args:
        by_view: the inspection model of each view; `parts` in its model's `notes` names the OK part of each member.
            All have the same parts, in any order. Their limits are replaced by those of the part.

    Attributes:
        by_view: the same inspection models.
        limit: all limits together, with the false alarm rate to be expected of a part, alarms by `fading` left out.
        lacks: names of limits that are missing because an older version saved the file.

    Raises:
        ValueError: the inspection models have different parts.
    """

    def __init__(self, by_view: Mapping[str, InspectionModel]) -> None:
        self.by_view = dict(by_view)
        names: dict[str, list[str]] = {}
        for view, inspection in by_view.items():
            named = inspection.model.notes.get("parts", [])
            others = next(iter(names.values()), named)
            if not _are_names(named, len(inspection.model.scores_)) or set(named) != set(others):
                raise ValueError(f"view {view}: expected the OK parts of the other views, got {str(named)[:200]}")
            names[view] = named
        first = next(iter(names.values()))
        scores, kinds = [], []
        for view, inspection in by_view.items():
            order = [names[view].index(name) for name in first]
            scores += [one[order] for one in inspection.scores]
            kinds.append(len(inspection.scores))
        above = min(min(inspection.model.settings["above"] for inspection in by_view.values()), len(first) - 1)
        combined, equivalent = part_scores(scores)
        # Every score is divided by its own limit, so the limit of the combined score is 1.
        self.limit = replace(score_limit(combined, above), value=1.0)
        for inspection, count in zip(by_view.values(), kinds, strict=True):
            own, equivalent = equivalent[:count], equivalent[count:]
            inspection.set_limits(own, above, self.limit)
            inspection.other_views = tuple(one for one in by_view.values() if one is not inspection)
        self.lacks = [f"{what} (view {view})" for view, inspection in by_view.items() for what in inspection.lacks]

    @property
    def promise(self) -> str:
        """Text for the user: the false alarm rate to be expected."""
        with_pins = any(inspection.table for inspection in self.by_view.values())
        return self.limit.promise_for("OK parts", with_pins)

    def hash(self) -> str:
        """Return the SHA-256 (hex) of the views' names and of their inspection models' hashes."""
        words = {view: inspection.hash() for view, inspection in self.by_view.items()}
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write all views to one .npz file: a JSON header, and the bytes of each view's own file, as `SoartC.save`."""
        header = json.dumps({"schema": SCHEMA, "views": list(self.by_view)}).encode()
        arrays = {HEADER: np.frombuffer(header, dtype=np.uint8)}
        with tempfile.TemporaryDirectory() as folder:
            for number, inspection in enumerate(self.by_view.values()):
                file = Path(folder) / "unit.npz"
                inspection.model.save(file)
                arrays[f"unit_{number}"] = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        with path.open("wb") as target:
            np.savez(target, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> PartInspectionModel:
        """Load a file that `save` wrote.

        Raises:
            ValueError: the file is damaged, of another kind, or of another version.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: file[name] for name in file.files}
            header = json.loads(data[HEADER].tobytes())
            schema, views = header["schema"], header["views"]
            contents = [
                data[f"unit_{number}"].astype(np.uint8, casting="safe").tobytes() for number in range(len(views))
            ]
            if len(views) < 2 or len(set(views)) < len(views) or not all(isinstance(view, str) for view in views):
                raise ValueError(f"the views {views!r}")
        except Exception as error:  # a damaged archive may raise anything
            raise ValueError(f"{path}: expected {EXPECTED}, got {error}") from error
        if schema != SCHEMA:
            raise ValueError(f"{path}: expected {EXPECTED}, of schema {SCHEMA}, got {schema!r}: make a new one")
        by_view = {}
        with tempfile.TemporaryDirectory() as folder:
            for view, content in zip(views, contents, strict=True):
                unit = Path(folder) / "unit.npz"
                unit.write_bytes(content)
                try:
                    by_view[view] = InspectionModel.load(unit)
                except ValueError as error:
                    raise ValueError(f"{path}: view {view}: {str(error).removeprefix(f'{unit}: ')}") from None
        try:
            return cls(by_view)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def is_of_parts(path: Path) -> bool:
    """Whether a file is an archive with the unit spaces of several views; it may be damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return HEADER in file.files
    except Exception:  # a damaged archive may raise anything
        return False


def _are_names(names: Any, count: int) -> bool:
    """Whether this is a list of so many different texts."""
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return is_list and len(set(names)) == len(names) == count
