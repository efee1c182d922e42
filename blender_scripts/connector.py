"""A connector as a scene file describes it: positions, shell, housings, terminals, cameras, light, tolerance.

Units are in the names. World: mating face z = 0, X right, Y up, Z towards the viewer. docs/scenes.md explains each key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import InputError
from .toml_section import TomlSection

SCENE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CAMERAS = ("center", "left", "right", "top", "bottom")


@dataclass(frozen=True)
class Position:
    """One place for a pin. `index` counts from 1; `row` 1 is at the top, `position` 1 at the left."""

    index: int
    row: int
    position: int
    cavity: str
    x_mm: float
    y_mm: float

    @property
    def address(self) -> str:
        return f"r{self.row}c{self.position}"


@dataclass(frozen=True)
class Shell:
    """The moulded box: walls around an opening, closed by the cavity floor at z = -depth_mm."""

    opening_mm: tuple[float, float]
    corner_mm: float
    wall_mm: float
    depth_mm: float
    height_mm: float
    fillet_mm: float


@dataclass(frozen=True)
class Block:
    """A box with rounded edges that belongs to a housing: a rib, a key, a boss. z from bottom_mm to top_mm."""

    center_mm: tuple[float, float]
    size_mm: tuple[float, float]
    bottom_mm: float
    top_mm: float
    fillet_mm: float


@dataclass(frozen=True)
class Housing:
    name: str
    color: tuple[float, float, float]
    roughness: float
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Terminal:
    """A pin. `standing_mm` is its length above the cavity floor, tip included; `width_mm` its diameter or side."""

    name: str
    section: str
    width_mm: float
    standing_mm: float
    tip_mm: float
    tip_share: float
    color: tuple[float, float, float]
    roughness: float

    @property
    def reach_mm(self) -> float:
        """The largest distance of the surface from the centre line."""
        return self.width_mm * (0.5 if self.section == "round" else 0.5 * 2**0.5)


@dataclass(frozen=True)
class Cavity:
    """The hole in the floor that a terminal comes out of."""

    clearance_mm: float
    depth_mm: float
    chamfer_mm: float


@dataclass(frozen=True)
class Scatter:
    """Standard deviations over good parts, truncated at 2.5 of them."""

    position_mm: float
    tilt_deg: float
    height_mm: float


@dataclass(frozen=True)
class Tolerance:
    """What is still good: diametral true position at the tip, retraction of the terminal."""

    true_position_mm: float
    retraction_mm: float


@dataclass(frozen=True)
class CameraRig:
    """One lens for every view; the side views stand `angle_deg` away from the centre one."""

    distance_mm: float
    angle_deg: float
    focal_mm: float
    sensor_width_mm: float
    target_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Lighting:
    """A light set-up. Kind `ring`: an annulus round the optical axis; `side`: one rectangular panel."""

    name: str
    kind: str
    power: float
    height_mm: float
    radius_mm: float
    width_mm: float
    azimuth_deg: float
    ambient: float


@dataclass(frozen=True)
class Marking:
    """Where print goes on the mating face, and how large."""

    height_mm: float
    stroke_mm: float
    row_numbers_x_mm: float
    position_numbers_y_mm: float
    text_at_mm: tuple[float, float]
    color: tuple[float, float, float]


@dataclass(frozen=True)
class Nuisance:
    """Half ranges of what differs from capture to capture; drawn per row."""

    shift_mm: float
    rotation_deg: float
    tilt_deg: float
    distance_mm: float
    light_power: float
    light_azimuth_deg: float
    exposure: float


@dataclass(frozen=True, eq=False)
class Connector:
    """One scene file. Compared by identity: what two files say is compared by `sha256`."""

    name: str
    sha256: str
    description: str
    width: int
    height: int
    samples: int
    positions: tuple[Position, ...]
    shell: Shell
    cavity: Cavity
    housings: dict[str, Housing]
    terminals: dict[str, Terminal]
    scatter: Scatter
    tolerance: Tolerance
    camera: CameraRig
    lightings: dict[str, Lighting]
    marking: Marking
    nuisance: Nuisance
    fixture_color: tuple[float, float, float]

    def position(self, address: str) -> Position:
        """The position at an address such as r2c5; KeyError where there is none."""
        for position in self.positions:
            if position.address == address:
                return position
        raise KeyError(address)


def read_connector(path: Path) -> Connector:
    """Read and check a scene file.

    Raises:
        InputError: with every mistake as ``file.toml:LINE key: expected …, got …``.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: expected a scene file in {path.parent}, got nothing of that name")
    top = TomlSection.read(path)
    top.integer("schema", 1, 1)
    picture = top.table("picture")
    shell_section = top.table("shell")
    shell = _shell(shell_section)
    positions = _positions(top.table("positions"))
    terminals = top.named_tables("terminals", _terminal)
    connector = Connector(
        name=path.stem,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        description=top.text("description", ""),
        width=picture.integer("width", 32, 4096),
        height=picture.integer("height", 32, 4096),
        samples=picture.integer("samples", 1, 4096),
        positions=positions,
        shell=shell,
        cavity=_cavity(top.table("cavity")),
        housings=top.named_tables("housings", _housing),
        terminals=terminals,
        scatter=_scatter(top.table("scatter")),
        tolerance=_tolerance(top.table("tolerance")),
        camera=_camera(top.table("camera")),
        lightings=top.named_tables("lighting", _lighting),
        marking=_marking(top.table("marking")),
        nuisance=_nuisance(top.table("nuisance")),
        fixture_color=_color(top.table("fixture", optional=True), (0.32, 0.33, 0.35)),
    )
    top.finish()
    _check_fit(connector, top)
    top.finish()
    return connector


def _check_fit(connector: Connector, top: TomlSection) -> None:
    """Dimensions that are each legal but do not fit together."""
    half_x, half_y = (0.5 * extent for extent in connector.shell.opening_mm)
    widest = max(terminal.reach_mm for terminal in connector.terminals.values())
    section = top.table("positions")
    for position in connector.positions:
        if abs(position.x_mm) + widest > half_x or abs(position.y_mm) + widest > half_y:
            section.wrong(
                None,
                "every position inside the shell's opening",
                f"{position.address} at {position.x_mm:g}, {position.y_mm:g}",
            )
            break
    for first in connector.positions:
        near = [
            p
            for p in connector.positions[first.index :]
            if (p.x_mm - first.x_mm) ** 2 + (p.y_mm - first.y_mm) ** 2 <= (2 * widest) ** 2
        ]
        if near:
            section.wrong(
                None, "positions further apart than a pin is wide", f"{first.address} and {near[0].address}"
            )
            break
    for name, terminal in connector.terminals.items():
        terminal_section = top.table("terminals").table(name)
        if terminal.standing_mm >= connector.shell.depth_mm + 20:
            terminal_section.wrong(
                "standing_mm", "a pin at most 20 mm above the mating face", terminal.standing_mm
            )
        if terminal.tip_mm >= terminal.standing_mm:
            terminal_section.wrong("tip_mm", "a tip shorter than the pin", terminal.tip_mm)
    if connector.shell.height_mm <= connector.shell.depth_mm:
        top.table("shell").wrong("height_mm", "more than depth_mm", connector.shell.height_mm)


def _positions(section: TomlSection) -> tuple[Position, ...]:
    section.choice("rule", ("grid",))
    rows = section.integer("rows", 1, 100)
    columns = section.integer("columns", 1, 200)
    pitch_x, pitch_y = section.numbers("pitch_mm", 2, 0.1, 100.0)
    order = section.choice("cavities", ("rows", "columns"), "rows")
    return tuple(
        Position(
            index=row * columns + column + 1,
            row=row + 1,
            position=column + 1,
            cavity=str(row * columns + column + 1 if order == "rows" else column * rows + row + 1),
            x_mm=(column - 0.5 * (columns - 1)) * pitch_x,
            y_mm=(0.5 * (rows - 1) - row) * pitch_y,
        )
        for row in range(rows)
        for column in range(columns)
    )


def _color(
    section: TomlSection, default: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    red, green, blue = section.numbers("color", 3, 0.0, 1.0, default)
    return red, green, blue


def _pair(section: TomlSection, key: str, low: float, high: float) -> tuple[float, float]:
    first, second = section.numbers(key, 2, low, high)
    return first, second


def _shell(section: TomlSection) -> Shell:
    return Shell(
        opening_mm=_pair(section, "opening_mm", 0.5, 500.0),
        corner_mm=section.number("corner_mm", 0.01, 100.0),
        wall_mm=section.number("wall_mm", 0.1, 100.0),
        depth_mm=section.number("depth_mm", 0.1, 100.0),
        height_mm=section.number("height_mm", 0.2, 200.0),
        fillet_mm=section.number("fillet_mm", 0.01, 10.0),
    )


def _cavity(section: TomlSection) -> Cavity:
    return Cavity(
        clearance_mm=section.number("clearance_mm", 0.01, 5.0),
        depth_mm=section.number("depth_mm", 0.5, 100.0),
        chamfer_mm=section.number("chamfer_mm", 0.0, 5.0),
    )


def _housing(name: str, section: TomlSection) -> Housing:
    groups = section.array_of_tables("blocks", _blocks)
    return Housing(
        name=name,
        color=_color(section),
        roughness=section.number("roughness", 0.05, 1.0),
        blocks=tuple(block for group in groups for block in group),
    )


def _blocks(section: TomlSection) -> tuple[Block, ...]:
    """One `[[housings.NAME.blocks]]` table; `repeat` and `step_mm` make a row or grid of equal blocks from it."""
    center = _pair(section, "center_mm", -500.0, 500.0)
    size = _pair(section, "size_mm", 0.05, 500.0)
    bottom = section.number("bottom_mm", -200.0, 200.0)
    top = section.number("top_mm", -200.0, 200.0)
    fillet = section.number("fillet_mm", 0.01, 10.0, 0.15)
    repeat_x, repeat_y = section.numbers("repeat", 2, 1, 200, (1, 1))
    step_x, step_y = section.numbers("step_mm", 2, -500.0, 500.0, (0.0, 0.0))
    if top <= bottom:
        section.wrong("top_mm", "more than bottom_mm", top)
    if fillet >= 0.5 * min(*size, max(top - bottom, 0.02)):
        section.wrong("fillet_mm", "less than half of the block's smallest side", fillet)
    return tuple(
        Block((center[0] + i * step_x, center[1] + j * step_y), size, bottom, top, fillet)
        for j in range(int(repeat_y))
        for i in range(int(repeat_x))
    )


def _terminal(name: str, section: TomlSection) -> Terminal:
    return Terminal(
        name=name,
        section=section.choice("section", ("round", "square")),
        width_mm=section.number("width_mm", 0.05, 50.0),
        standing_mm=section.number("standing_mm", 0.1, 100.0),
        tip_mm=section.number("tip_mm", 0.01, 50.0),
        tip_share=section.number("tip_share", 0.05, 1.0),
        color=_color(section),
        roughness=section.number("roughness", 0.05, 1.0),
    )


def _scatter(section: TomlSection) -> Scatter:
    return Scatter(
        position_mm=section.number("position_mm", 0.0, 5.0),
        tilt_deg=section.number("tilt_deg", 0.0, 10.0),
        height_mm=section.number("height_mm", 0.0, 5.0),
    )


def _tolerance(section: TomlSection) -> Tolerance:
    return Tolerance(
        true_position_mm=section.number("true_position_mm", 0.001, 50.0),
        retraction_mm=section.number("retraction_mm", 0.001, 50.0),
    )


def _camera(section: TomlSection) -> CameraRig:
    x, y, z = section.numbers("target_mm", 3, -500.0, 500.0, (0.0, 0.0, 0.0))
    return CameraRig(
        distance_mm=section.number("distance_mm", 5.0, 5000.0),
        angle_deg=section.number("angle_deg", 1.0, 75.0),
        focal_mm=section.number("focal_mm", 1.0, 1000.0),
        sensor_width_mm=section.number("sensor_width_mm", 0.5, 100.0),
        target_mm=(x, y, z),
    )


def _lighting(name: str, section: TomlSection) -> Lighting:
    return Lighting(
        name=name,
        kind=section.choice("kind", ("ring", "side")),
        power=section.number("power", 0.0, 1e6),
        height_mm=section.number("height_mm", 1.0, 5000.0),
        radius_mm=section.number("radius_mm", 1.0, 5000.0),
        width_mm=section.number("width_mm", 0.5, 5000.0),
        azimuth_deg=section.number("azimuth_deg", -360.0, 360.0, 0.0),
        ambient=section.number("ambient", 0.0, 100.0),
    )


def _marking(section: TomlSection) -> Marking:
    return Marking(
        height_mm=section.number("height_mm", 0.1, 50.0),
        stroke_mm=section.number("stroke_mm", 0.01, 10.0),
        row_numbers_x_mm=section.number("row_numbers_x_mm", -500.0, 500.0),
        position_numbers_y_mm=section.number("position_numbers_y_mm", -500.0, 500.0),
        text_at_mm=_pair(section, "text_at_mm", -500.0, 500.0),
        color=_color(section),
    )


def _nuisance(section: TomlSection) -> Nuisance:
    half = partial(section.number, low=0.0)
    return Nuisance(
        shift_mm=half("shift_mm", high=50.0),
        rotation_deg=half("rotation_deg", high=45.0),
        tilt_deg=half("tilt_deg", high=20.0),
        distance_mm=half("distance_mm", high=500.0),
        light_power=half("light_power", high=0.9),
        light_azimuth_deg=half("light_azimuth_deg", high=180.0),
        exposure=half("exposure", high=2.0),
    )
