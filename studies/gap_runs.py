"""Runs that the study `reality_gap` has judge parts: their kind, their weights, and the cameras that they know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generator.dataset.connectors import read_connectors
from studies.foreign_stations import CAMERAS, FRONT
from studies.gap_tables import CLASSIFIER, GAUGE, INSPECT
from trainer.core import frozen_threshold
from trainer.core.decision import EVEN
from trainer.core.errors import InputError
from trainer.core.run_folder import BEST, CONFIG, read_json
from trainer.run_kinds import RunKind, run_kind


@dataclass(frozen=True)
class MeasuredRun:
    """A run that is measured.

    Attributes:
        folder: the run's folder.
        kind: GAUGE, CLASSIFIER (ViT or Florence-2) or INSPECT.
        name: name of the folder.
        weights: SHA-256 of the run's weights, in hex; empty for INSPECT.
        cameras: the cameras of the pictures by which it judges a part.
        adapts: whether `trainer.adapt` adapts runs of this kind.
    """

    folder: Path
    kind: str
    name: str
    weights: str
    cameras: tuple[str, ...]
    adapts: bool = True

    @classmethod
    def of(cls, folder: Path) -> MeasuredRun:
        """Read a run's folder.

        Raises:
            InputError: the run has no weights, or judges parts by a camera that no station of the study has.
        """
        found = run_kind(folder)
        kind = GAUGE if found is RunKind.GAUGE else CLASSIFIER
        weights = frozen_threshold.sha256_of_weights(folder / BEST)
        return cls(folder, kind, folder.resolve().name, weights, _cameras(folder, kind), found is not RunKind.FLORENCE2)

    def key(self, width: int) -> str:
        """Return a name that no other weights and no other width (px) of the pictures have."""
        return "_".join(filter(None, (self.name, self.weights[:16], f"{width}px")))

    def threshold(self) -> float:
        """Read the P(NG) from which on a classifier states a class of defect."""
        held = frozen_threshold.load(self.folder)
        return min(EVEN, held.threshold) if held else EVEN


INSPECTION = MeasuredRun(Path(), INSPECT, "inspect", "", (FRONT,))


def _cameras(folder: Path, kind: str) -> tuple[str, ...]:
    if kind == GAUGE:
        known = {name for each in read_connectors(folder) or () for name in each.cameras or ()}
        return tuple(camera for camera in CAMERAS if camera in known) or CAMERAS
    views = tuple(read_json(folder / CONFIG, "a run's settings")["model"].get("views") or (FRONT,))
    if strange := [view for view in views if view not in CAMERAS]:
        raise InputError(
            f"--model {folder}: expected views among {', '.join(CAMERAS)}, which the stations have, got "
            f"{', '.join(strange)}"
        )
    return views
