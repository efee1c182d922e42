"""A connector as a scene file describes it: positions, shell, housings, terminals, cameras, light, tolerance.

Units are in the names. World: mating face z = 0, X right, Y up, Z towards the viewer. docs/scenes.md explains each key.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import InputError, shown
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

    @property
    def outer_mm(self) -> tuple[float, float]:
        """The housing's outside: the opening and the walls round it."""
        return self.opening_mm[0] + 2.0 * self.wall_mm, self.opening_mm[1] + 2.0 * self.wall_mm


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
    """One view's lens and stand; the side views stand `angle_deg` away from the centre one.

    Attributes:
        f_number: 0 = everything is sharp.
        focus_z_mm: height of the plane in focus where the optical axis meets it.
        distortion: OpenCV's k1, k2, p1, p2, k3.
        vignetting: share of light that the corners lose.
    """

    distance_mm: float
    angle_deg: float
    focal_mm: float
    sensor_width_mm: float
    target_mm: tuple[float, float, float]
    f_number: float
    focus_z_mm: float
    distortion: tuple[float, float, float, float, float]
    vignetting: float


@dataclass(frozen=True)
class Sensor:
    """What turns light into numbers (EMVA Standard 1288).

    Attributes:
        full_well_e: electrons of a full pixel; 0 = no noise at all.
        read_noise_e: standard deviation in electrons.
        hot_pixels: share of pixels that are hot.
        white_balance: factors on red, green and blue.
        jpeg_quality: 0 = the picture never was a JPEG.
    """

    full_well_e: float
    read_noise_e: float
    hot_pixels: float
    white_balance: tuple[float, float, float]
    jpeg_quality: int


@dataclass(frozen=True)
class Lighting:
    """A light set-up; lamps.py describes the kinds. `parts`: of kind `mixed`, other set-ups and their shares."""

    name: str
    kind: str
    power: float
    height_mm: float
    radius_mm: float
    width_mm: float
    azimuth_deg: float
    ambient: float
    parts: tuple[tuple[str, float], ...]


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
    focus_mm: float
    white_balance: float
    fixture_shade: float


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
    cameras: dict[str, CameraRig]
    sensor: Sensor
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
        raise InputError(
            f"{path.name}:1 file: expected a scene file in {path.parent}, got nothing of that name"
        )
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
        cameras=_cameras(top.table("camera")),
        sensor=_sensor(top.table("sensor", optional=True)),
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
    shell, cavity = connector.shell, connector.cavity
    _check_positions(connector, top.table("positions"))
    for name, terminal in connector.terminals.items():
        section = top.table("terminals").table(name)
        if terminal.standing_mm >= shell.depth_mm + 20:
            expected = "a pin at most 20 mm above the mating face"
            section.wrong("standing_mm", expected, f"{terminal.standing_mm:g}")
        if terminal.tip_mm >= terminal.standing_mm:
            section.wrong("tip_mm", "a tip shorter than the pin", f"{terminal.tip_mm:g}")
    section = top.table("shell")
    if shell.height_mm <= shell.depth_mm:
        section.wrong("height_mm", f"more than depth_mm, {shell.depth_mm:g}", f"{shell.height_mm:g}")
    if shell.corner_mm > 0.5 * min(shell.opening_mm):
        expected = f"at most half of the opening, {0.5 * min(shell.opening_mm):g}"
        section.wrong("corner_mm", expected, f"{shell.corner_mm:g}")
    if shell.fillet_mm >= shell.depth_mm:
        section.wrong("fillet_mm", f"less than depth_mm, {shell.depth_mm:g}", f"{shell.fillet_mm:g}")
    if cavity.chamfer_mm >= cavity.depth_mm:
        expected = f"less than depth_mm, {cavity.depth_mm:g}"
        top.table("cavity").wrong("chamfer_mm", expected, f"{cavity.chamfer_mm:g}")
    if connector.marking.stroke_mm > 0.25 * connector.marking.height_mm:
        expected = f"at most a quarter of height_mm, {0.25 * connector.marking.height_mm:g}"
        top.table("marking").wrong("stroke_mm", expected, f"{connector.marking.stroke_mm:g}")
    for name, rig in connector.cameras.items():
        own = top.table("camera").table(name, optional=True)
        section = own if own.data else top.table("camera")
        nearest = _farthest_towards_camera_mm(connector, rig) + connector.nuisance.distance_mm
        if rig.distance_mm <= nearest:
            expected = f"more than {nearest:.4g}, so that every camera stands clear of the part"
            section.wrong("distance_mm", expected, f"{rig.distance_mm:g}")
        if lens_folds(rig, connector.width, connector.height):
            section.wrong(
                "distortion", "a lens that does not fold the picture over", str(list(rig.distortion))
            )
    for name, lighting in connector.lightings.items():
        section = top.table("lighting").table(name)
        for part, _ in lighting.parts:
            if part not in connector.lightings or connector.lightings[part].parts:
                offered = ", ".join(n for n, other in connector.lightings.items() if not other.parts)
                section.table("shares").wrong(
                    part, f"the name of a set-up that is not mixed ({offered})", shown(part)
                )


def _check_positions(connector: Connector, section: TomlSection) -> None:
    """Every pin and every cavity's mouth inside the opening, and no two in one place."""
    half_x, half_y = (0.5 * extent for extent in connector.shell.opening_mm)
    terminals, cavity = connector.terminals.values(), connector.cavity
    mouth = max(0.5 * terminal.width_mm for terminal in terminals) + cavity.clearance_mm + cavity.chamfer_mm
    for position in connector.positions:
        if abs(position.x_mm) + mouth > half_x or abs(position.y_mm) + mouth > half_y:
            found = (
                f"{position.address} at {position.x_mm:g}, {position.y_mm:g} with a cavity {2 * mouth:g} wide"
            )
            section.wrong(None, "every cavity inside the shell's opening", found)
            break
    # Positions are sorted into squares as large as a mouth: only neighbouring squares can hold one that is too near.
    wide = 2.0 * mouth
    squares: dict[tuple[int, int], list[Position]] = {}
    for position in connector.positions:
        x, y = math.floor(position.x_mm / wide), math.floor(position.y_mm / wide)
        near = (p for i in (-1, 0, 1) for j in (-1, 0, 1) for p in squares.get((x + i, y + j), ()))
        for other in near:
            if max(abs(position.x_mm - other.x_mm), abs(position.y_mm - other.y_mm)) < wide:
                expected = f"positions at least a cavity's width apart, {wide:g}"
                section.wrong("pitch_mm", expected, f"{other.address} and {position.address}")
                return
        squares.setdefault((x, y), []).append(position)


def lens_folds(rig: CameraRig, width: int, height: int) -> bool:
    """Whether a lens maps two directions to one pixel near the picture, or throws the picture's edge out of reach."""
    k1, k2, p1, p2, k3 = rig.distortion
    reach = 0.5 * math.hypot(width, height) / width * rig.sensor_width_mm / rig.focal_mm
    before = 0.0
    for step in range(1, 201):
        radius = 1.3 * reach * step / 200
        square = radius * radius
        # The worst direction of the tangential terms takes 3 r^2 of both.
        bent = radius * (1.0 + square * (k1 + square * (k2 + square * k3))) - 3.0 * square * math.hypot(
            p1, p2
        )
        if bent <= before:
            return True
        before = bent
    return before < 1.02 * reach


def _farthest_towards_camera_mm(connector: Connector, rig: CameraRig) -> float:
    """How far the part comes from the camera's target towards the camera, whichever it is and however the part lies."""
    shell, nuisance = connector.shell, connector.nuisance
    top = max(terminal.standing_mm for terminal in connector.terminals.values()) - shell.depth_mm
    half_x, half_y = (0.5 * extent for extent in shell.outer_mm)
    away, upright = math.sin(math.radians(rig.angle_deg)), math.cos(math.radians(rig.angle_deg))
    # Turned and shifted parts: by as much as a corner moves, which is little and rounded up.
    moved = nuisance.shift_mm * 2**0.5
    turned = math.radians(nuisance.tilt_deg + nuisance.rotation_deg) * 2**0.5
    farthest = 0.0
    for x in (-half_x, half_x):
        for y in (-half_y, half_y):
            for z in (-shell.height_mm, max(0.0, top)):
                corner = [a - b for a, b in zip((x, y, z), rig.target_mm, strict=True)]
                sideways = max(abs(corner[0]), abs(corner[1]))
                towards = max(corner[2], corner[2] * upright + sideways * away)
                farthest = max(farthest, towards + moved + turned * math.hypot(x, y, z))
    return farthest


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
    if repeat_x % 1 or repeat_y % 1:
        section.wrong("repeat", "two integers", shown([repeat_x, repeat_y]))
    step_x, step_y = section.numbers("step_mm", 2, -500.0, 500.0, (0.0, 0.0))
    if top <= bottom:
        section.wrong("top_mm", f"more than bottom_mm, {bottom:g}", f"{top:g}")
    if fillet >= 0.5 * min(*size, max(top - bottom, 0.02)):
        section.wrong("fillet_mm", "less than half of the block's smallest side", f"{fillet:g}")
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
        tip_mm=section.number("tip_mm", 0.1, 50.0),
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


def _cameras(section: TomlSection) -> dict[str, CameraRig]:
    """Every view: the keys of `[camera]`, which `[camera.left]` and its like override for one."""
    shared = {key: value for key, value in section.data.items() if key not in CAMERAS}
    rigs = {"": _camera(section)}
    for name in CAMERAS:
        own = section.table(name, optional=True)
        if own.data:
            own.inherit(shared)
            rigs[name] = _camera(own)
    return {name: rigs.get(name, rigs[""]) for name in CAMERAS}


def _camera(section: TomlSection) -> CameraRig:
    x, y, z = section.numbers("target_mm", 3, -500.0, 500.0, (0.0, 0.0, 0.0))
    k1, k2, p1, p2, k3 = section.numbers("distortion", 5, -10.0, 10.0, (0.0,) * 5)
    return CameraRig(
        distance_mm=section.number("distance_mm", 5.0, 5000.0),
        angle_deg=section.number("angle_deg", 1.0, 75.0),
        focal_mm=section.number("focal_mm", 1.0, 1000.0),
        sensor_width_mm=section.number("sensor_width_mm", 0.5, 100.0),
        target_mm=(x, y, z),
        f_number=section.number("f_number", 0.0, 64.0, 0.0),
        focus_z_mm=section.number("focus_z_mm", -500.0, 500.0, z),
        distortion=(k1, k2, p1, p2, k3),
        vignetting=section.number("vignetting", 0.0, 0.9, 0.0),
    )


def _sensor(section: TomlSection) -> Sensor:
    red, green, blue = section.numbers("white_balance", 3, 0.2, 5.0, (1.0, 1.0, 1.0))
    return Sensor(
        full_well_e=section.number("full_well_e", 0.0, 1e6, 0.0),
        read_noise_e=section.number("read_noise_e", 0.0, 1e4, 0.0),
        hot_pixels=section.number("hot_pixels", 0.0, 0.1, 0.0),
        white_balance=(red, green, blue),
        jpeg_quality=section.integer("jpeg_quality", 0, 100, 0),
    )


def _lighting(name: str, section: TomlSection) -> Lighting:
    kind = section.choice("kind", ("ring", "side", "dome", "coaxial", "mixed"))
    ambient = section.number("ambient", 0.0, 100.0)
    power = section.number("power", 0.0, 1e6)
    if kind == "mixed":
        shares = section.table("shares")
        parts = tuple((other, shares.number(other, 0.0, 10.0)) for other in shares.data)
        return Lighting(name, kind, power, 1.0, 1.0, 1.0, 0.0, ambient, parts)
    return Lighting(
        name=name,
        kind=kind,
        power=power,
        height_mm=section.number("height_mm", 1.0, 5000.0, *([1.0] if kind == "dome" else [])),
        radius_mm=section.number("radius_mm", 1.0, 5000.0, *([1.0] if kind == "coaxial" else [])),
        width_mm=section.number("width_mm", 0.5, 5000.0),
        azimuth_deg=section.number("azimuth_deg", -360.0, 360.0, 0.0),
        ambient=ambient,
        parts=(),
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
        focus_mm=half("focus_mm", high=100.0, default=0.0),
        white_balance=half("white_balance", high=0.5, default=0.0),
        fixture_shade=half("fixture_shade", high=3.0, default=0.0),
    )
