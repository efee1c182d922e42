"""A scene file (scenes/NAME.toml): one connector, and the station that inspects it.

It states positions, shell, housings, terminals, cameras, light and tolerance; docs/reference/scenes.md explains each
key. Names of keys end with their unit. World coordinates: mating face z = 0, X right, Y up, Z towards the viewer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from blender_scripts.contract import draws, lettering
from blender_scripts.contract.datum import Datum, read_datum
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.housings import (
    Cavity,
    Color,
    Finish,
    Housing,
    Shell,
    read_cavity,
    read_color,
    read_finish,
    read_housing,
    read_shell,
)
from blender_scripts.contract.marking import Marking, read_marking
from blender_scripts.contract.nuisance import Nuisance, read_nuisance
from blender_scripts.contract.photographs import Backdrop, read_backdrop
from blender_scripts.contract.positions import Position, read_positions
from blender_scripts.contract.scatter import Scatter, read_scatter
from blender_scripts.contract.scene_hash import picture_values, scene_sha256
from blender_scripts.contract.station import (
    Lighting,
    SceneCamera,
    Sensor,
    lens_folds,
    read_cameras,
    read_lighting,
    read_sensor,
)
from blender_scripts.contract.terminals import BY_ADDRESS, Mix, Terminal, read_terminals
from blender_scripts.contract.tolerance import Tolerance, read_tolerance
from blender_scripts.contract.toml_section import TomlSection

# A box: its corner of least (x, y, z) and its corner of greatest, mm.
Box = tuple[tuple[float, float, float], tuple[float, float, float]]
# Least and largest width and height of a picture, px.
PICTURE_PX = (32, 4096)
SCENE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The table lies this far below the part.
_TABLE_BELOW_MM = 0.5


@dataclass(frozen=True, eq=False)
class Connector:
    """A checked scene file. `==` compares identity; two scenes with the same `sha256` give the same pictures.

    Attributes:
        name: the file's name without `.toml`.
        sha256: SHA-256 of all that pictures depend on: values of the file, CAD files and photographs. The order of
            keys and sections changes it; comments, spaces, line breaks, `description`, `[tolerance]` and `[datum]` do
            not.
        file_sha256: SHA-256 of the whole file, its CAD files and photographs.
        width, height: default picture size in px.
        samples: default number of light paths per pixel.
        positions, blanks: positions with a pin, and positions without one.
        terminals, mixes: the terminals, and the mixes (several terminals in one part), by name.
        cameras: the cameras by name of the view, such as `center` or `left`.
        fixture_color: colour of the table under the part, linear RGB, where `backdrop` is None.
    """

    name: str
    sha256: str
    file_sha256: str
    description: str
    width: int
    height: int
    samples: int
    positions: tuple[Position, ...]
    blanks: tuple[Position, ...]
    shell: Shell
    cavity: Cavity
    housings: dict[str, Housing]
    terminals: dict[str, Terminal]
    mixes: dict[str, Mix]
    finish: Finish
    scatter: Scatter
    tolerance: Tolerance
    datum: Datum
    cameras: dict[str, SceneCamera]
    sensor: Sensor
    lightings: dict[str, Lighting]
    marking: Marking
    nuisance: Nuisance
    fixture_color: Color
    backdrop: Backdrop | None = None

    @property
    def terminal_names(self) -> tuple[str, ...]:
        """Names of the terminals and mixes that a manifest's column `terminal` may name.

        A terminal that mixes use only at single addresses (`Mix.places`) is left out.
        """
        mixed = {name for mix in self.mixes.values() for name in mix.of[: 1 if mix.rule == BY_ADDRESS else None]}
        placed = {name for mix in self.mixes.values() for name in mix.places.values()} - mixed
        return (*(name for name in self.terminals if name not in placed), *self.mixes)

    def terminals_for(self, position: Position, terminals: Iterable[str]) -> list[Terminal]:
        """Return all terminals that good parts may have at a position; a mix with the rule `random` gives several.

        Args:
            position: one of `positions`.
            terminals: names of terminals or mixes, as in the manifest's column `terminal`.
        """
        names: list[str] = []
        for name in terminals:
            mix = self.mixes.get(name)
            names += (name,) if mix is None else mix.of if mix.rule == "random" else (mix.at(position, 0),)
        return [self.terminals[name] for name in dict.fromkeys(names)]

    def terminal_at(self, name: str, position: Position, part: int) -> Terminal:
        """Return the terminal that a good part has at a position.

        Args:
            name: a terminal or mix, as in the manifest's column `terminal`.
            position: one of `positions`.
            part: the part's seed; in a mix with the rule `random` it selects the terminal.
        """
        mix = self.mixes.get(name)
        return self.terminals[mix.at(position, part) if mix else name]

    def position(self, address: str) -> Position:
        """The position at an address such as r2c5; raises KeyError if no position with a pin has this address."""
        for position in self.positions:
            if position.address == address:
                return position
        raise KeyError(address)


def read_connector(path: Path) -> Connector:
    """Read and check a scene file; returns its contents.

    Raises:
        InputError: with every mistake as ``file.toml:LINE key: expected …, got …``. Whether tables fit together is
            checked only if there is no other mistake.
    """
    if not path.is_file():
        raise InputError(f"{path.name}:1 file: expected a scene file in {path.parent}, got no such file")
    top = TomlSection.read(path)
    top.integer("schema", 1, 1)
    picture = top.table("picture")
    shell = read_shell(top.table("shell"))
    positions, blanks = read_positions(top.table("positions"))
    addresses = {position.address for position in positions}
    terminals, mixes = read_terminals(top, addresses)
    sound = "shell" in top.data and top.table("shell").is_sound()
    marking = read_marking(top.table("marking"))
    housings = top.named_tables(
        "housings", partial(read_housing, shell=shell, ink=marking.color, sound=sound, folder=path.parent)
    )
    fixture = top.table("fixture", optional=True)
    cameras = read_cameras(top.table("camera"))
    center = cameras["center"]
    cavity = read_cavity(top.table("cavity"))
    away = center.distance_mm + center.target_mm[2] - table_z_mm(shell, cavity)
    field = center.field_mm or away * center.sensor_width_mm / center.focal_mm
    backdrop = read_backdrop(fixture, path.parent, field)
    connector = Connector(
        name=path.stem,
        sha256=scene_sha256(picture_values(top.data), housings, backdrop),
        file_sha256=scene_sha256(path.read_bytes(), housings, backdrop),
        description=top.text("description", ""),
        width=picture.integer("width", *PICTURE_PX),
        height=picture.integer("height", *PICTURE_PX),
        samples=picture.integer("samples", 1, 4096),
        positions=positions,
        blanks=blanks,
        shell=shell,
        cavity=cavity,
        housings=housings,
        terminals=terminals,
        mixes=mixes,
        finish=read_finish(top.table("finish", optional=True)),
        scatter=read_scatter(top.table("scatter")),
        tolerance=read_tolerance(top.table("tolerance"), addresses, {blank.address for blank in blanks}),
        datum=read_datum(top.table("datum", optional=True), shell.outside, shell.opening),
        cameras=cameras,
        sensor=read_sensor(top.table("sensor", optional=True)),
        lightings=top.named_tables("lighting", read_lighting),
        marking=marking,
        nuisance=read_nuisance(top.table("nuisance")),
        fixture_color=read_color(fixture, (0.32, 0.33, 0.35)),
        backdrop=backdrop,
    )
    top.finish()
    _check_fit(connector, top)
    top.finish()
    return connector


def _check_fit(connector: Connector, top: TomlSection) -> None:
    """Report dimensions that are each within their limits but contradict one another."""
    _check_positions(connector, top.table("positions"))
    _check_terminals(connector, top)
    _check_marking(connector, top)
    _check_views(connector, top.table("camera"))
    _check_lighting(connector, top.table("lighting"))


def _check_terminals(connector: Connector, top: TomlSection) -> None:
    shell, cavity = connector.shell, connector.cavity
    for name, terminal in connector.terminals.items():
        section = top.table("terminals").table(name)
        if terminal.standing_mm >= shell.depth_mm + 20:
            expected = f"less than {shell.depth_mm + 20:g} mm (the tip at most 20 mm above the mating face)"
            section.wrong("standing_mm", expected, f"{terminal.standing_mm:g}")
        shortest = terminal.standing_mm - draws.TRUNCATED_AT * connector.scatter.lot_length_mm
        if terminal.tip_mm >= shortest:
            lot = " minus the largest deviation by scatter.lot_length_mm" if connector.scatter.lot_length_mm else ""
            section.wrong("tip_mm", f"less than {shortest:g} mm (standing_mm{lot})", f"{terminal.tip_mm:g}")
    if cavity.chamfer_mm >= cavity.depth_mm:
        expected = f"less than {cavity.depth_mm:g} mm (depth_mm)"
        top.table("cavity").wrong("chamfer_mm", expected, f"{cavity.chamfer_mm:g}")


def _check_marking(connector: Connector, top: TomlSection) -> None:
    marking = connector.marking
    labels = (
        [each.cavity for each in (*connector.positions, *connector.blanks)] if marking.numbers_at == "around" else []
    )
    for label in labels:
        if not label.strip() or not lettering.ALPHABET.issuperset(label):
            expected = "labels of letters, digits, space and _-./+ only, as numbers_at = 'around' prints them"
            top.table("positions").wrong("cavities", expected, shown(label))
            break
    if marking.stroke_mm > 0.25 * marking.height_mm:
        expected = f"at most {0.25 * marking.height_mm:g} mm (a quarter of height_mm)"
        top.table("marking").wrong("stroke_mm", expected, f"{marking.stroke_mm:g}")


def _check_views(connector: Connector, cameras: TomlSection) -> None:
    """Check that no camera can touch the part and that no lens maps two directions to one pixel."""
    bodies = _bodies(connector)
    needed = {rig: least_distance_mm(connector, rig, bodies) for rig in set(connector.cameras.values())}
    for name, rig in connector.cameras.items():
        own = cameras.table(name, optional=True)
        section = own if own.data else cameras
        if rig.distance_mm <= needed[rig]:
            expected = f"more than {needed[rig]:.4g} mm (a nearer camera could touch the part)"
            section.wrong("distance_mm", expected, f"{rig.distance_mm:g}")
        if lens_folds(rig, connector.width, connector.height):
            expected = "coefficients that give each pixel, up to the picture's corners, exactly one direction"
            section.wrong("distortion", expected, str(list(rig.distortion)))


def _check_lighting(connector: Connector, lightings: TomlSection) -> None:
    """Check that each light set-up of kind `mixed` names only set-ups of other kinds."""
    plain = [name for name, lighting in connector.lightings.items() if not lighting.parts]
    for name, lighting in connector.lightings.items():
        for part in (part for part, _ in lighting.parts if part not in plain):
            expected = f"the name of a light set-up that is not of kind mixed ({', '.join(plain)})"
            lightings.table(name).table("shares").wrong(part, expected, shown(part))


def _check_positions(connector: Connector, section: TomlSection) -> None:
    """Check that every cavity's mouth lies inside the opening and that no two overlap."""
    gap, offered = connector.cavity.clearance_mm + connector.cavity.chamfer_mm, connector.terminal_names
    mouths = {
        position.address: tuple(max(each.extent_mm[axis] for each in terminals) + gap for axis in (0, 1))
        for position in connector.positions
        if (terminals := connector.terminals_for(position, offered))
    }
    shift = draws.TRUNCATED_AT * connector.scatter.pattern_shift_mm
    for position in connector.positions:
        mouth_x, mouth_y = (half + shift for half in mouths[position.address])
        corners = ((position.x_mm + i * mouth_x, position.y_mm + j * mouth_y) for i in (-1, 1) for j in (-1, 1))
        if max(connector.shell.opening.distance(*corner) for corner in corners) > 0.0:
            found = (
                f"{position.address} at ({position.x_mm:g}, {position.y_mm:g}) mm with a cavity of "
                f"{2 * (mouth_x - shift):g} x {2 * (mouth_y - shift):g} mm"
                f"{f', shifted by up to {shift:g} mm (scatter.pattern_shift_mm)' if shift else ''}"
            )
            section.wrong(None, "every cavity inside the shell's opening", found)
            break
    # Positions are sorted into squares as large as a mouth: only neighbouring squares can hold one that is too near.
    widest_x, widest_y = (2.0 * max(mouth[axis] for mouth in mouths.values()) for axis in (0, 1))
    squares: dict[tuple[int, int], list[Position]] = {}
    for position in connector.positions:
        x, y = math.floor(position.x_mm / widest_x), math.floor(position.y_mm / widest_y)
        near = (p for i in (-1, 0, 1) for j in (-1, 0, 1) for p in squares.get((x + i, y + j), ()))
        for other in near:
            wide_x, wide_y = (sum(pair) for pair in zip(mouths[position.address], mouths[other.address], strict=True))
            if abs(position.x_mm - other.x_mm) < wide_x - 1e-9 and abs(position.y_mm - other.y_mm) < wide_y - 1e-9:
                expected = f"positions {wide_x:g} mm or more apart in X, or {wide_y:g} mm in Y (else cavities overlap)"
                found = f"{other.address} and {position.address} closer together"
                section.wrong("pitch_mm" if "pitch_mm" in section.data else None, expected, found)
                return
        squares.setdefault((x, y), []).append(position)


def _bodies(connector: Connector) -> list[Box]:
    """Bounding boxes, mm: one of the shell with its pins and print, and one of each housing's block."""
    shell = connector.shell
    top = max(terminal.standing_mm for terminal in connector.terminals.values()) - shell.depth_mm
    top += draws.TRUNCATED_AT * connector.scatter.lot_length_mm
    (left, low), (right, high) = shell.outside.bounds
    bodies = [((left, low, -shell.height_mm), (right, high, max(0.0, top, connector.marking.z_mm)))]
    for housing in connector.housings.values():
        for block in housing.blocks if housing.cad is None else ():
            (left, low), (right, high) = block.contour.bounds
            bodies.append(((left, low, block.bottom_mm), (right, high, block.top_mm)))
    return bodies


def table_z_mm(shell: Shell, cavity: Cavity) -> float:
    """z, mm, of the table's surface: a little below the housing's back and the bottoms of the cavities."""
    return min(-shell.height_mm, -shell.depth_mm - cavity.depth_mm) - _TABLE_BELOW_MM


def least_distance_mm(connector: Connector, rig: SceneCamera, bodies: Iterable[Box]) -> float:
    """Return an upper bound, mm, of camera-to-target distances at which the camera can touch the randomly placed part.

    Args:
        connector: the scene; its `nuisance` limits the random poses.
        rig: the camera; its `distance_mm` is not used.
        bodies: bounding boxes of the part's bodies, mm.
    """
    nuisance = connector.nuisance
    away, upright = math.sin(math.radians(rig.angle_deg)), math.cos(math.radians(rig.angle_deg))
    # Upper bounds of how far the pose's shift and turn move a corner.
    moved = nuisance.shift_mm * 2**0.5
    turned = math.radians(nuisance.tilt_deg + nuisance.rotation_deg) * 2**0.5
    farthest = 0.0
    for body in bodies:
        for x, y, z in product(*zip(*body, strict=True)):
            corner = [a - b for a, b in zip((x, y, z), rig.target_mm, strict=True)]
            sideways = max(abs(corner[0]), abs(corner[1]))
            towards = max(corner[2], corner[2] * upright + sideways * away)
            farthest = max(farthest, towards + moved + turned * math.hypot(x, y, z))
    return farthest + nuisance.distance_mm


def check_cameras(connector: Connector, body: Box, name: str) -> None:
    """Check that no camera can touch a CAD body.

    Args:
        connector: the scene.
        body: bounding box of the body, mm.
        name: name of the CAD file, for messages.

    Raises:
        InputError: a camera could touch the body.
    """
    for camera, rig in connector.cameras.items():
        least = least_distance_mm(connector, rig, [body])
        if rig.distance_mm <= least:
            expected = f"more than {least:.4g} mm (camera {camera} could touch the mesh of {name})"
            raise InputError(f"{connector.name}.toml camera.distance_mm: expected {expected}, got {rig.distance_mm:g}")
