"""Run (one manifest row), the manifest's columns, and Manifest (a checked manifest)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.contract.world import SCENE

REQUIRED = (*("run", "split", "seed", "scene", "housing", "terminal", "defects", "camera", "lighting", "marking"),)
OPTIONAL = ("part", "fixture", "width", "height", "samples", "world")
RESERVED = (
    *("image", "nsoart", "mask", "label", "verdict", "kinds", "observable", "grey", "bbox_str", "objects"),
    *("synthetic", "original", "augmentation", "housing_bbox", "camera_json", "tolerance_json"),
)
# The columns that decide the picture, in the order of the record's `row`.
PICTURE_COLUMNS = (
    *("part", "seed", "fixture", "scene", "housing", "terminal", "defects", "camera", "lighting", "marking"),
    *("width", "height", "samples", "world"),
)


@dataclass(frozen=True)
class Run:
    """One row of a manifest, defaults filled in; docs/reference/manifest.md explains its columns.

    Attributes:
        part: seed of the physical part: its scatter, colours and mix of terminals.
        seed: seed of the capture: its noise.
        fixture: seed of the part's placement on the station: pose, light, focus and exposure; `seed` by default.
        width, height: picture size in px.
        samples: light paths per pixel.
        world: WIDE for random changes of materials, light, lens and camera (contract/world.py); SCENE: as the scene is.
        extra: values of the user's own columns, by name.
    """

    run: str
    split: str
    part: int
    seed: int
    fixture: int
    scene: str
    housing: str
    terminal: str
    defects: tuple[Defect, ...]
    camera: str
    lighting: str
    marking: str
    width: int
    height: int
    samples: int
    extra: dict[str, str] = field(default_factory=dict, compare=True)
    world: str = SCENE

    def row(self) -> dict[str, str | int]:
        """The values of all columns by name, as records and datasets store them."""
        return {"run": self.run, "split": self.split, **self.picture_columns(), **self.extra}

    def picture_columns(self) -> dict[str, str | int]:
        """The values, by name, of the columns on which the picture depends."""
        values: dict[str, str | int] = {name: getattr(self, name) for name in PICTURE_COLUMNS}
        values["defects"] = ";".join(defect.text for defect in self.defects)
        return values


@dataclass(frozen=True)
class Manifest:
    """A checked manifest: its runs (rows) in order, the scenes they use by name, and the file's bytes.

    A manifest of `stream_manifest` has no bytes (`content` is empty), so that its `checked_sha256` is of no use.
    """

    path: Path
    runs: Sequence[Run]
    connectors: dict[str, Connector]
    content: bytes

    @property
    def housings(self) -> dict[str, set[str]]:
        """Names of the housings that the rows use, by scene."""
        return housings_by_scene((run.scene, run.housing) for run in self.runs)

    @property
    def checked_sha256(self) -> str:
        """SHA-256 (hex) of the manifest and its scene files, by which another process detects later changes."""
        return input_sha256(self.content, self.connectors)


def housings_by_scene(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the names of the housings by scene, from pairs (scene, housing)."""
    found: dict[str, set[str]] = {}
    for scene, housing in pairs:
        found.setdefault(scene, set()).add(housing)
    return found


def input_sha256(content: bytes, connectors: Mapping[str, Connector]) -> str:
    """SHA-256 (hex) of all files that were read to check a manifest.

    Args:
        content: the manifest's bytes.
        connectors: its scenes by name; scene files, CAD files and photographs are hashed.
    """
    digest = hashlib.sha256(hashlib.sha256(content).digest())
    for name in sorted(connectors):
        digest.update(f"{name} {connectors[name].file_sha256}\n".encode())
    return digest.hexdigest()
