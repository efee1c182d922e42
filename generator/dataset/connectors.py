"""DATASET/connectors.json: nominal positions and outlines of the connectors in a dataset's pictures.

With it, training needs no scene file. Lengths are in mm in the housing's frame: mating face z = 0, X right, Y up, Z
towards the centre camera.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.contour import Contour
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.nominal_position import NominalPosition
from blender_scripts.contract.nuisance import Nuisance
from blender_scripts.contract.positions import Position
from blender_scripts.contract.station import CAMERAS, MODELS
from blender_scripts.geometry.optics import set_up_station

CONNECTORS = "connectors.json"
SCHEMA = 1
# Two nominal positions closer than this, in mm, are the same.
SAME_MM = 0.02
# What connectors.json states of a scene's [nuisance].
PLACING = ("shift_mm", "rotation_deg", "tilt_deg", "distance_mm")
# Symmetries that may map a connector's positions onto each other, as maps of (x, y) about the positions' middle.
SYMMETRIES: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "half_turn": lambda x, y: (-x, -y),
    "mirror_x": lambda x, y: (-x, y),
    "mirror_y": lambda x, y: (x, -y),
}


@dataclass(frozen=True)
class NominalConnector:
    """A connector as on its drawing: one housing of a scene with one terminal or mixture of terminals.

    Attributes:
        scene, housing, terminal: names as in the manifest.
        scene_sha256: SHA-256 of the scene's values that pictures depend on, as in the records.
        outline_mm: (x, y) along the outer edge of the walls at the mating face, counter-clockwise; None for a housing
            from CAD.
        symmetries: names of the motions (`half_turn`, `mirror_x`, `mirror_y`) that map the positions onto each other,
            so that the positions alone do not show how the part is oriented.
        positions: all positions of the connector.
        datum: the housing's features from which the pins' positions are measured, as `Datum.stated` returns them; None
            in files of older versions, where they are measured from the drawing's origin.
        opening_mm: (x, y) along the inner edge of the walls, as `outline_mm`.
        cameras: the station's cameras by name, for a part without placing error: `matrix` (4, 4) from Blender's camera
            axes to the housing's, `fx_per_width` (focal length divided by the picture's width), `distortion`, `model`.
        placing: largest deviations, to either side, of a part's random place under the camera, by name: `shift_mm`,
            `rotation_deg`, `tilt_deg`, `distance_mm`. `opening_mm`, `cameras` and `placing` are None in older files.
    """

    scene: str
    housing: str
    terminal: str
    scene_sha256: str
    outline_mm: tuple[tuple[float, float], ...] | None
    symmetries: tuple[str, ...]
    positions: tuple[NominalPosition, ...]
    datum: Mapping[str, Any] | None = None
    opening_mm: tuple[tuple[float, float], ...] | None = None
    cameras: Mapping[str, Mapping[str, Any]] | None = None
    placing: Mapping[str, float] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Scene, housing and terminal, as in the rows of the dataset."""
        return self.scene, self.housing, self.terminal


def read_connectors(folder: Path) -> tuple[NominalConnector, ...] | None:
    """Read the connectors.json of a dataset or a run; None where there is none, as in an older dataset.

    Raises:
        InputError: the file is damaged, or has the format of another version of Pinsight.
    """
    path = folder / CONNECTORS
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["schema"] != SCHEMA:
            raise InputError(
                f"{path}: expected a file of format version (schema) {SCHEMA}, got {content['schema']!r}: use the "
                "version of Pinsight that wrote it"
            )
        return tuple(_connector(each) for each in content["connectors"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        got = f"one without the key {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: expected a file that `generator build` wrote, got: {got}") from None


def connectors_json(connectors: Iterable[NominalConnector]) -> str:
    """Return the contents of connectors.json, with one line per connector."""
    entries = sorted(connectors, key=lambda each: each.key)
    lines = ",\n".join(json.dumps(dataclasses.asdict(each), ensure_ascii=False) for each in entries)
    return f'{{"schema": {SCHEMA}, "connectors": [\n{lines}\n]}}\n'


def nominal_connectors(
    rendered: Iterable[tuple[str, str, str, str | None]], scenes: Mapping[str, Sequence[Connector]]
) -> tuple[tuple[NominalConnector, ...], list[str]]:
    """Return each connector that occurs in rendered rows once, and a message on each scene that is left out.

    A scene is left out if none of the versions in `scenes` is the one that was rendered.

    Args:
        rendered: (scene, housing, terminal, SHA-256 of the scene when it was rendered) of the rows.
        scenes: the known versions of each scene, by its name; one of them may be the version that was rendered.
    """
    found: dict[tuple[str, str, str], NominalConnector] = {}
    changed: set[str] = set()
    for scene, housing, terminal, sha256 in sorted(rendered, key=str):
        # Records of renderer 4 and older state the SHA-256 of the file's bytes.
        connector = next((each for each in scenes[scene] if sha256 in (each.sha256, each.file_sha256)), None)
        if connector is None:
            changed.add(scene)
        else:
            each = nominal_connector(connector, housing, terminal)
            found[each.key] = each
    notes = [
        f"{scene}.toml has changed since these pictures were rendered: {CONNECTORS} leaves out this scene's connectors"
        for scene in sorted(changed)
    ]
    return tuple(found[key] for key in sorted(found) if key[0] not in changed), notes


def nominal_connector(connector: Connector, housing: str, terminal: str) -> NominalConnector:
    """Return a scene's connector as on its drawing, with the housing and the terminal (or mixture) of these names."""
    positions = tuple(_nominal(connector, terminal, position) for position in connector.positions)
    is_drawn = connector.housings[housing].cad is None
    return NominalConnector(
        scene=connector.name,
        housing=housing,
        terminal=terminal,
        scene_sha256=connector.sha256,
        outline_mm=_edge(connector.shell.outside) if is_drawn else None,
        symmetries=symmetries(positions),
        positions=positions,
        datum=connector.datum.stated(),
        opening_mm=_edge(connector.shell.opening) if is_drawn else None,
        cameras=_cameras(connector),
        placing={name: getattr(connector.nuisance, name) for name in PLACING},
    )


def _edge(contour: Contour) -> tuple[tuple[float, float], ...]:
    return tuple(_rounded(point.at(contour.radius_mm)) for point in contour.points)


def _cameras(connector: Connector) -> dict[str, dict[str, Any]]:
    """The cameras of a scene's station as they are mounted, without the draws of a placing."""
    still = dataclasses.replace(connector, nuisance=Nuisance(*(0.0 for _ in dataclasses.fields(Nuisance))))
    width, height = connector.width, connector.height
    found = {}
    for name in CAMERAS:
        camera = set_up_station(still, name, 0, width, height).camera
        found[name] = {
            "matrix": (np.round(camera.matrix_world, 9) + 0.0).tolist(),
            "fx_per_width": round(camera.lens.focal_px / width, 9),
            "distortion": list(camera.lens.distortion),
            "model": MODELS[camera.telecentric],
        }
    return found


def symmetries(positions: Sequence[NominalPosition]) -> tuple[str, ...]:
    """Return the names of the motions that map the positions onto each other.

    With x and y measured from the middle of the positions, `half_turn` maps (x, y) to (-x, -y), `mirror_x` to (-x, y)
    and `mirror_y` to (x, -y). A position is mapped only onto one of equal `z_mm`; an unknown one (None) equals any.
    """
    places = np.array([[each.x_mm, each.y_mm] for each in positions])
    places -= 0.5 * (places.min(axis=0) + places.max(axis=0))
    # An unknown z_mm (NaN) equals any other.
    heights = np.array([np.nan if each.z_mm is None else each.z_mm for each in positions])

    def is_there(x: float, y: float, z: float) -> bool:
        near = np.abs(places - (x, y)).max(axis=1) < SAME_MM
        return bool((near & ~(np.abs(heights - z) >= SAME_MM)).any())

    return tuple(
        name
        for name, move in SYMMETRIES.items()
        if all(is_there(*move(x, y), z) for (x, y), z in zip(places, heights, strict=True))
    )


def _nominal(connector: Connector, terminal: str, position: Position) -> NominalPosition:
    terminals = connector.terminals_for(position, (terminal,))

    def only(name: str) -> float | None:
        values = {getattr(each, name) for each in terminals}
        return values.pop() if len(values) == 1 else None

    standing = only("standing_mm")
    x, y = _rounded((position.x_mm, position.y_mm))
    return NominalPosition(
        address=position.address,
        cavity=position.cavity,
        x_mm=x,
        y_mm=y,
        z_mm=None if standing is None else round(standing - connector.shell.depth_mm, 6),
        standing_mm=standing,
        width_mm=only("width_mm"),
        thickness_mm=only("thickness_mm"),
    )


def _rounded(point: tuple[float, float]) -> tuple[float, float]:
    """Round a point's coordinates in mm to a nanometre (6 decimals), as in records."""
    return round(point[0], 6) + 0.0, round(point[1], 6) + 0.0


def _connector(entry: Any) -> NominalConnector:
    # Files of older versions state no opening.
    edges = {"outline_mm": entry["outline_mm"], "opening_mm": entry.get("opening_mm")}
    points = {
        name: None if edge is None else tuple((float(x), float(y)) for x, y in edge) for name, edge in edges.items()
    }
    return NominalConnector(
        **{
            **entry,
            **points,
            "symmetries": tuple(entry["symmetries"]),
            "positions": tuple(NominalPosition(**each) for each in entry["positions"]),
        }
    )
