"""The housings of a scene: shell, cavities, blocks, notches and material, or a mesh from a CAD file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blender_scripts.contract.cad_file import CadFile, CadPlacement, FileProblem, parse_axes
from blender_scripts.contract.contour import Contour, ContourPoint, Point
from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection

Color = tuple[float, float, float]
SHAPES = ("rectangle", "d", "circle")
SIDES = ("left", "right", "bottom", "top")


@dataclass(frozen=True)
class Shell:
    """The moulded box: walls around an opening, closed by the cavity floor at z = -depth_mm.

    Attributes:
        opening: the inner edge of the walls, seen from the front.
        wall_mm: thickness of the walls, or of the thinnest wall where they differ.
        depth_mm: distance from the mating face down to the cavity floor.
        height_mm: distance from the mating face down to the housing's back.
        fillet_mm: radius of the edges at the mating face.
        thicker_mm: by how much the left, right, bottom and top wall are thicker than `wall_mm`.
    """

    opening: Contour
    wall_mm: float
    depth_mm: float
    height_mm: float
    fillet_mm: float
    thicker_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @cached_property
    def outside(self) -> Contour:
        """The outer edge of the walls, seen from the front."""
        wider = self.opening.wider(self.wall_mm)
        if not any(self.thicker_mm):
            return wider
        moved = ((corner, self._corners_moved[corner]) for corner in wider.corners)
        return Contour(tuple((x + dx, y + dy) for (x, y), (dx, dy) in moved), wider.radius_mm)

    def wall_point(self, along_mm: float, offset_mm: float, is_outer: bool) -> Point:
        """Return a point (x, y), mm, of the walls.

        Args:
            along_mm: length along the opening's edge, from the start of the contour `opening`.
            offset_mm: distance outwards from the opening's edge if every wall were `wall_mm` thick.
            is_outer: whether the point lies on the wall's outer face. If so, and if the wall is thicker than `wall_mm`,
                the point is moved outwards by the additional thickness.
        """
        point = self.opening.point_at(along_mm)
        x, y = point.at(self.opening.radius_mm + offset_mm)
        if not (is_outer and any(self.thicker_mm)):
            return x, y
        dx, dy = self._moved(point)
        return x + dx, y + dy

    def _moved(self, point: ContourPoint) -> Point:
        """How far thicker walls move a point outwards: at a corner by both its sides, else by its own side."""
        for corner, step in self._corners_moved.items():
            if math.dist(corner, point.base) < 1e-9:
                return step
        extra = self._thicker_towards(point.outward)
        return extra * point.outward[0], extra * point.outward[1]

    @cached_property
    def _corners_moved(self) -> dict[Point, Point]:
        """By corner of the opening's polygon: the step, mm, that moves each adjoining side by its extra thickness."""
        edges = self.opening.edges
        found = {}
        for (_, corner, (ax, ay), _), (_, _, (bx, by), _) in zip(edges, (*edges[1:], edges[0]), strict=True):
            a, b = self._thicker_towards((ax, ay)), self._thicker_towards((bx, by))
            area = ax * by - ay * bx
            found[corner] = (a * by - b * ay) / area, (ax * b - bx * a) / area
        return found

    def _thicker_towards(self, outward: Point) -> float:
        left, right, bottom, top = self.thicker_mm
        x, y = outward
        if abs(x) > abs(y):
            return left if x < 0 else right
        return bottom if y < 0 else top


@dataclass(frozen=True)
class Cavity:
    """The hole in the cavity floor from which a terminal stands up.

    Attributes:
        clearance_mm: gap between the terminal and the hole's walls.
        depth_mm: depth of the hole below the cavity floor.
        chamfer_mm: width of the chamfer round its mouth.
    """

    clearance_mm: float
    depth_mm: float
    chamfer_mm: float


@dataclass(frozen=True)
class Block:
    """A prism with rounded top edges that belongs to a housing: a rib, a key, a boss, a latch.

    Attributes:
        contour: its outline, seen from the front.
        bottom_mm, top_mm: z of its lower and upper face.
        fillet_mm: radius of its top edges.
    """

    contour: Contour
    bottom_mm: float
    top_mm: float
    fillet_mm: float


@dataclass(frozen=True)
class Notch:
    """A slot in the rim of the walls.

    Attributes:
        azimuth_deg: direction of its centre from the middle of the opening: 0 = +X, 90 = +Y.
        width_mm: width along the wall.
        depth_mm: depth below the mating face.
    """

    azimuth_deg: float
    width_mm: float
    depth_mm: float


@dataclass(frozen=True)
class Surface:
    """The material of a housing.

    Attributes:
        material: `plastic` or `metal`.
        colors: linear RGB, 0 to 1; the part's seed chooses one of them.
        roughness: 0 mirror-like to 1 matt.
    """

    material: str
    colors: tuple[Color, ...]
    roughness: float


@dataclass(frozen=True)
class Finish:
    """How surfaces vary from part to part, and their wear.

    Attributes:
        shade_stops: brightness of a housing, plastic or metal, varies by up to +- this, in photographic stops.
        roughness: roughness of a housing, plastic or metal, varies by up to +- this share of its nominal value.
        scratches: scratches on the plating of pins, 0 none to 1 heavy.
        mould_marks: flow marks and sink in the plastic, 0 none to 1 strong.
        dust: share of the plastic's area that dust covers.
        oil: strength of a film of oil, which makes patches of the plastic glossier, 0 none to 1 strong.
        wear: strength of the dull patches on the plating, 0 none to 1 strong; only in the wide world.
    """

    shade_stops: float
    roughness: float
    scratches: float
    mould_marks: float
    dust: float
    oil: float = 0.0
    wear: float = 0.0


@dataclass(frozen=True)
class CadBody:
    """A housing from a CAD file, in place of the scene's walls, floor and blocks.

    Attributes:
        file: the CAD file.
        placement: how its coordinates are converted to the part's.
        object_name: name of the one object of a .blend file to use; None: all objects.
        smooth_deg: an edge is shaded smooth if the angle between the normals of its two faces is smaller than this.
    """

    file: CadFile
    placement: CadPlacement
    object_name: str | None
    smooth_deg: float


@dataclass(frozen=True)
class Housing:
    """One variant of the housing.

    Attributes:
        walls: material of the walls and blocks.
        insert: material of the inner body that holds the cavities.
        fillet_mm: radius of the rim's edges.
        lead_in_mm: width of the chamfer at the opening's inner edge.
        ink: colour of its print, linear RGB.
        cad: shape from a CAD file, which replaces shell, blocks and notches; None: no CAD file.
    """

    name: str
    walls: Surface
    insert: Surface
    fillet_mm: float
    lead_in_mm: float
    ink: Color
    blocks: tuple[Block, ...]
    notches: tuple[Notch, ...]
    cad: CadBody | None


def read_shell(section: TomlSection) -> Shell:
    """Read the scene file's table `[shell]`."""
    shape = section.choice("shape", SHAPES, "rectangle")
    width, height = section.numbers("opening_mm", 2, 0.5, 500.0)
    corner = section.number("corner_mm", 0.01, 250.0, *([0.5 * min(width, height)] if shape == "circle" else []))
    if shape == "circle":
        if width != height:
            section.wrong("opening_mm", "the same width and height, the circle's diameter", shown([width, height]))
        opening = Contour.circle(width)
    else:
        if corner > 0.5 * min(width, height):
            expected = f"at most {0.5 * min(width, height):g} mm (half of the opening's smaller side)"
            section.wrong("corner_mm", expected, f"{corner:g}")
            corner = 0.25 * min(width, height)
        # A rectangle needs edges of some length between its corners.
        corner = min(corner, 0.5 * min(width, height) - 1e-6)
        opening = Contour.rectangle((width, height), corner)
    if shape == "d":
        slant = section.number("slant_deg", 1.0, 30.0, 10.0)
        opening = Contour.d_shape((width, height), corner, slant)
        if opening.corners[3][0] <= 0.0:
            section.wrong("slant_deg", "a smaller angle, at which the two slanting sides do not meet", f"{slant:g}")
            opening = Contour.rectangle((width, height), corner)
    left, right, bottom, top = walls = _walls(section, shape)
    shell = Shell(
        opening=opening,
        wall_mm=min(walls),
        depth_mm=section.number("depth_mm", 0.1, 100.0),
        height_mm=section.number("height_mm", 0.2, 200.0),
        fillet_mm=section.number("fillet_mm", 0.01, 10.0),
        thicker_mm=(left - min(walls), right - min(walls), bottom - min(walls), top - min(walls)),
    )
    if not section.problems and len(shell.outside.corners) == 4 and shell.outside.corners[3][0] <= 0.0:
        section.wrong("wall_mm", "walls whose two slanting outer faces do not meet above the lower edge", shown(walls))
    if not section.problems and shell.height_mm <= shell.depth_mm:
        section.wrong("height_mm", f"more than {shell.depth_mm:g} mm (depth_mm)", f"{shell.height_mm:g}")
    if not section.problems and shell.fillet_mm >= shell.depth_mm:
        section.wrong("fillet_mm", f"less than {shell.depth_mm:g} mm (depth_mm)", f"{shell.fillet_mm:g}")
    return shell


def _walls(section: TomlSection, shape: str) -> tuple[float, ...]:
    """Read the thickness of each of SIDES, mm: one number for all, or a table of four."""
    if not isinstance(section.data.get("wall_mm"), dict):
        return (section.number("wall_mm", 0.1, 100.0),) * 4
    sides = section.table("wall_mm")
    walls = tuple(sides.number(side, 0.1, 100.0) for side in SIDES)
    if shape == "circle":
        section.wrong("wall_mm", "one thickness for all sides, as the shape is a circle", shown(sides.data))
        return walls[:1] * 4
    return walls


def read_cavity(section: TomlSection) -> Cavity:
    """Read the scene file's table `[cavity]`."""
    return Cavity(
        clearance_mm=section.number("clearance_mm", 0.01, 5.0),
        depth_mm=section.number("depth_mm", 0.5, 100.0),
        chamfer_mm=section.number("chamfer_mm", 0.0, 5.0),
    )


def read_finish(section: TomlSection) -> Finish:
    """Read the scene file's table `[finish]`."""
    return Finish(
        shade_stops=section.number("shade_stops", 0.0, 2.0, 0.0),
        roughness=section.number("roughness", 0.0, 0.6, 0.0),
        scratches=section.number("scratches", 0.0, 1.0, 0.0),
        mould_marks=section.number("mould_marks", 0.0, 1.0, 0.0),
        dust=section.number("dust", 0.0, 0.3, 0.0),
        oil=section.number("oil", 0.0, 1.0, 0.0),
    )


def read_housing(name: str, section: TomlSection, shell: Shell, ink: Color, sound: bool, folder: Path) -> Housing:
    """Read one of the scene file's tables `[housings.NAME]`.

    Args:
        name: the housing's name.
        section: the housing's table.
        shell: the scene's shell.
        ink: colour of the print if the table states none.
        sound: whether the shell was read without mistakes; if not, the housing is not compared with it.
        folder: the scene file's folder, which holds its CAD files.
    """
    walls = _surface(section)
    insert = section.table("insert", optional=True)
    groups = section.array_of_tables("blocks", _blocks)
    fillet = section.number("fillet_mm", 0.01, 10.0, shell.fillet_mm)
    lead_in = section.number("lead_in_mm", 0.0, 10.0, 0.0)
    if sound and lead_in and lead_in >= min(shell.wall_mm - fillet, shell.depth_mm):
        limit = min(shell.wall_mm - fillet, shell.depth_mm)
        expected = f"less than {limit:g} mm (the smaller of wall_mm - fillet_mm and the shell's depth_mm)"
        section.wrong("lead_in_mm", expected, f"{lead_in:g}")
    if sound and "fillet_mm" in section.data and fillet >= shell.depth_mm:
        section.wrong("fillet_mm", f"less than {shell.depth_mm:g} mm (the shell's depth_mm)", f"{fillet:g}")
    return Housing(
        name=name,
        walls=walls,
        insert=_surface(insert) if insert.data else walls,
        fillet_mm=fillet,
        lead_in_mm=lead_in,
        ink=read_color(section, ink, "ink"),
        blocks=tuple(block for group in groups for block in group),
        notches=section.array_of_tables("notches", lambda table: _notch(table, shell, sound)),
        cad=_cad(section.table("mesh"), folder) if "mesh" in section.data else None,
    )


def _cad(section: TomlSection, folder: Path) -> CadBody | None:
    """Read the table `[housings.NAME.mesh]`; None where the file cannot be used."""
    text = section.text("axes", "x,y,z")
    axes = parse_axes(text)
    if axes is None:
        section.wrong("axes", "x, y and z, each once, with or without a sign, such as x,y,z or x,-z,y", shown(text))
        axes = CadPlacement().axes
    x, y, z = section.numbers("offset_mm", 3, -500.0, 500.0, (0.0, 0.0, 0.0))
    placement = CadPlacement(section.number("unit_mm", 1e-6, 1e6, 1.0), axes, (x, y, z))
    smooth = section.number("smooth_deg", 0.0, 180.0, 30.0)
    object_name = section.text("object", "")
    name = section.text("file")
    if not name:
        return None
    try:
        file = CadFile.find(folder, name)
    except FileProblem as problem:
        section.wrong("file", problem.expected, problem.got)
        return None
    if object_name and file.format != "blend":
        section.wrong("object", "no key `object`, as `file` is not a .blend file", shown(object_name))
    return CadBody(file, placement, object_name or None, smooth)


def read_color(section: TomlSection, default: Color | None = None, key: str = "color") -> Color:
    """Read a colour, linear RGB, 0 to 1; `default`: that of a missing key (None: a missing key is a mistake)."""
    red, green, blue = section.numbers(key, 3, 0.0, 1.0, default)
    return red, green, blue


def _surface(section: TomlSection) -> Surface:
    material = section.choice("material", ("plastic", "metal"), "plastic")
    if "colors" not in section.data:
        colors: tuple[Color, ...] = (read_color(section),)
    else:
        expected = "a list of 1 to 32 colours, each of three numbers from 0 to 1"
        given = section.value("colors", expected)
        good = isinstance(given, list) and 1 <= len(given) <= 32
        if not good or not all(
            isinstance(color, list)
            and len(color) == 3
            and all(type(level) in (int, float) and 0.0 <= level <= 1.0 for level in color)
            for color in given
        ):
            section.wrong("colors", expected, shown(given))
            given = [[0.0, 0.0, 0.0]]
        colors = tuple((float(r), float(g), float(b)) for r, g, b in given)
    return Surface(material, colors, section.number("roughness", 0.05, 1.0))


def _blocks(section: TomlSection) -> tuple[Block, ...]:
    """Read one `[[housings.NAME.blocks]]` table; `repeat` and `step_mm` make a row or grid of equal blocks."""
    shape = section.choice("shape", ("rectangle", "circle"), "rectangle")
    center = section.numbers("center_mm", 2, -500.0, 500.0)
    width, height = section.numbers("size_mm", 2, 0.05, 500.0)
    bottom = section.number("bottom_mm", -200.0, 200.0)
    top = section.number("top_mm", -200.0, 200.0)
    fillet = section.number("fillet_mm", 0.01, 10.0, 0.15)
    corner = section.number("corner_mm", 0.01, 250.0, fillet)
    turn = section.number("turn_deg", -360.0, 360.0, 0.0)
    repeat_x, repeat_y = section.numbers("repeat", 2, 1, 200, (1, 1))
    if repeat_x % 1 or repeat_y % 1:
        section.wrong("repeat", "two integers", shown([repeat_x, repeat_y]))
    step_x, step_y = section.numbers("step_mm", 2, -500.0, 500.0, (0.0, 0.0))
    if top <= bottom:
        section.wrong("top_mm", f"more than {bottom:g} mm (bottom_mm)", f"{top:g}")
    smallest = min(width, height, max(top - bottom, 0.02))
    if fillet >= 0.5 * smallest:
        section.wrong("fillet_mm", f"less than {0.5 * smallest:g} mm (half the block's smallest side)", f"{fillet:g}")
    if shape == "circle" and width != height:
        section.wrong("size_mm", "the same width and height, the circle's diameter", shown([width, height]))
    if corner >= 0.5 * min(width, height) or corner < fillet:
        most = 0.5 * min(width, height)
        expected = f"at least {fillet:g} mm (fillet_mm), less than {most:g} mm (half of the smaller side)"
        section.wrong("corner_mm", expected, f"{corner:g}")
        corner = 0.25 * min(width, height)

    def outline(x: float, y: float) -> Contour:
        if shape == "circle":
            return Contour.circle(width, (x, y))
        return Contour.rectangle((width, height), corner, (x, y), turn)

    return tuple(
        Block(outline(center[0] + i * step_x, center[1] + j * step_y), bottom, top, fillet)
        for j in range(int(repeat_y))
        for i in range(int(repeat_x))
    )


def _notch(section: TomlSection, shell: Shell, sound: bool) -> Notch:
    notch = Notch(
        azimuth_deg=section.number("azimuth_deg", -360.0, 360.0),
        width_mm=section.number("width_mm", 0.1, 200.0),
        depth_mm=section.number("depth_mm", 0.1, 100.0),
    )
    if sound and notch.width_mm >= 0.4 * shell.opening.length_mm:
        section.wrong(
            "width_mm",
            f"less than {0.4 * shell.opening.length_mm:.4g} mm (0.4 of the length of the opening's edge)",
            f"{notch.width_mm:g}",
        )
    if sound and notch.depth_mm > shell.depth_mm:
        section.wrong("depth_mm", f"at most {shell.depth_mm:g} mm (the shell's depth_mm)", f"{notch.depth_mm:g}")
    return notch
