"""One pin of one part: its shape, its place, and its measures as a measuring machine would read them.

A pin's own frame (coordinate system) has its Z axis along the unbent pin. Its origin is the point of the centre line
that lies on the cavity floor in a good pin; a terminal that backs out takes the origin down with it. Lengths along the
centre line (`along_mm`, `start_mm`) count from this origin. A bent centre line is straight, then curves in arcs of
constant curvature, then is straight again; bending does not change its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from blender_scripts.contract.defect import Defect
from blender_scripts.contract.positions import Position
from blender_scripts.contract.terminals import Terminal

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Bend:
    """A pin's centre line, bent in one plane.

    Attributes:
        azimuth_rad: direction of the plane in the pin's own frame: 0 = +X, pi / 2 = +Y.
        start_mm: length along the centre line, from the frame's origin, at which the arcs begin.
        arcs: (length in mm, angle in rad) of each arc, one after the other. Positive angles bend towards the azimuth,
            negative angles bend back.
    """

    azimuth_rad: float
    start_mm: float
    arcs: tuple[tuple[float, float], ...]

    @staticmethod
    def single(angle_rad: float, azimuth_rad: float, start_mm: float, curve_mm: float) -> Bend:
        """Make a bend by `angle_rad` in one arc, `curve_mm` long (0: a sharp kink), that begins at `start_mm`."""
        return Bend(azimuth_rad, start_mm, ((curve_mm, angle_rad),))

    @property
    def is_straight(self) -> bool:
        """Whether no arc turns the centre line."""
        return all(turn == 0.0 for _, turn in self.arcs)

    @property
    def curve_mm(self) -> float:
        """Length, mm, of all arcs together."""
        return sum(length for length, _ in self.arcs)

    @property
    def turning_rad(self) -> float:
        """The sum of the absolute angles of all arcs."""
        return sum(abs(turn) for _, turn in self.arcs)

    def point(self, along_mm: float) -> Vector:
        """The point (x, y, z), mm in the pin's frame, at the length `along_mm` along the centre line."""
        across, up = self.in_plane(along_mm)
        return across * math.cos(self.azimuth_rad), across * math.sin(self.azimuth_rad), up

    def tilt_rad(self, along_mm: float) -> float:
        """Angle, rad, between the frame's Z axis and the centre line at the length `along_mm` along this line."""
        rest, tilt = along_mm - self.start_mm, 0.0
        for length, turn in self.arcs:
            if rest <= 0.0:
                break
            tilt += turn * (min(1.0, rest / length) if length > 0.0 else 1.0)
            rest -= length
        return tilt

    def in_plane(self, along_mm: float) -> tuple[float, float]:
        """Sideways offset and height, mm in the pin's frame, of the point `along_mm` along the centre line."""
        if along_mm <= self.start_mm or self.is_straight:
            return 0.0, along_mm
        across, up, tilt = 0.0, self.start_mm, 0.0
        rest = along_mm - self.start_mm
        for length, turn in self.arcs:
            if rest <= 0.0:
                break
            if length > 0.0:
                part = min(rest, length)
                turned = turn * part / length
                # The chord of an arc, along its middle direction; sin(x) / x keeps its digits at the smallest angles.
                half = 0.5 * turned
                chord = part * (math.sin(half) / half if half else 1.0)
                across += chord * math.sin(tilt + half)
                up += chord * math.cos(tilt + half)
                tilt += turned
                rest -= part
            else:
                tilt += turn
        rest = max(0.0, rest)
        return across + rest * math.sin(tilt), up + rest * math.cos(tilt)


def rotation_onto(lean: tuple[float, float]) -> tuple[Vector, Vector, Vector]:
    """Make the rotation by the smallest angle that turns the Z axis into a given direction (Rodrigues' formula).

    Args:
        lean: the direction, as its slopes (x / z, y / z).

    Returns:
        The rows of the rotation matrix.
    """
    slope_x, slope_y = lean
    scale = 1.0 / math.sqrt(slope_x**2 + slope_y**2 + 1.0)
    x, y, z = slope_x * scale, slope_y * scale, scale
    shared = 1.0 / (1.0 + z)
    return ((1.0 - x * x * shared, -x * y * shared, x), (-x * y * shared, 1.0 - y * y * shared, y), (-x, -y, z))


STRAIGHT = Bend(0.0, 0.0, ())
BURIED_MM = 0.5


@dataclass(frozen=True)
class Form:
    """The shape of a pin in its own frame.

    Attributes:
        terminal: cross-section, length and tip of the unbent pin.
        bend: its centre line.
        lost_mm: length broken off the tip.
        slope_rad: angle between the fracture face and a section across the pin.
        fall_rad: direction in which the fracture face falls: 0 = +X, pi / 2 = +Y of the pin's frame.
        twist_rad: angle by which the tip is turned about the centre line, relative to the foot.
        buried_mm: how far the mesh of the pin reaches below its frame's origin.
        longer_mm: by how much the pins of this lot are longer than nominal; negative: shorter.
    """

    terminal: Terminal
    bend: Bend = STRAIGHT
    lost_mm: float = 0.0
    slope_rad: float = 0.0
    fall_rad: float = 0.0
    twist_rad: float = 0.0
    buried_mm: float = BURIED_MM
    longer_mm: float = 0.0

    @property
    def standing_mm(self) -> float:
        """Length, mm, of the unbroken pin from its frame's origin to its tip, along the centre line."""
        return self.terminal.standing_mm + self.longer_mm

    @property
    def length_mm(self) -> float:
        """Length, mm, of the pin from its frame's origin to its end, along the centre line; shorter if broken."""
        return self.standing_mm - self.lost_mm


@dataclass(frozen=True)
class Stain:
    """Tarnish on a pin's plating.

    Attributes:
        from_mm: Z in the pin's frame at which it begins.
        length_mm: its length along the Z axis of the pin's frame.
        strength: darkness of its patches, 0 not visible to 1 full.
    """

    from_mm: float
    length_mm: float
    strength: float


@dataclass(frozen=True)
class Pin:
    """The pin at one position of one part.

    Attributes:
        position: its position on the drawing.
        nominal: the correct terminal for this position.
        form: its shape, with the bends or the break that it has.
        floor_mm: z of the cavity floor.
        cavity_mm: (x, y) of the cavity's centre.
        root_mm: origin of the pin's frame in world coordinates.
        lean: slopes x / z and y / z of its axis.
        defects: the defects that have this pin as their target.
        lowered_mm: how far a defect lowers the pin, in addition to scatter; negative: the defect raises the pin.
        missing: whether the cavity is empty.
        stain: tarnish on the plating; None: none.
        scale: size of the moulded part divided by that on the drawing.
        datum_shift_mm: (x, y) of the part's datum minus (x, y) of the datum on the drawing.
    """

    position: Position
    nominal: Terminal
    form: Form
    floor_mm: float
    cavity_mm: tuple[float, float]
    root_mm: Vector
    lean: tuple[float, float]
    defects: tuple[Defect, ...] = ()
    lowered_mm: float = 0.0
    missing: bool = False
    stain: Stain | None = None
    scale: float = 1.0
    datum_shift_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def terminal(self) -> Terminal:
        """The terminal in the cavity: the right one, or a wrong one that a defect has put there."""
        return self.form.terminal

    @property
    def bend(self) -> Bend:
        """The pin's centre line."""
        return self.form.bend

    @cached_property
    def rotation(self) -> tuple[Vector, Vector, Vector]:
        """Rows of the rotation matrix from the pin's frame to the world."""
        return rotation_onto(self.lean)

    def world(self, point: Vector) -> Vector:
        """Convert a point from the pin's frame to world coordinates, mm."""
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = self.rotation
        x, y, z = point
        return (
            xx * x + xy * y + xz * z + self.root_mm[0],
            yx * x + yy * y + yz * z + self.root_mm[1],
            zx * x + zy * y + zz * z + self.root_mm[2],
        )

    @cached_property
    def tip_mm(self) -> Vector:
        """World point, mm, of the pin's end: its tip, or the middle of its fracture face."""
        return self.world(self.bend.point(self.form.length_mm))

    @cached_property
    def base_mm(self) -> Vector:
        """World point, mm, where the centre line or its extension meets the cavity floor.

        If the whole pin lies below the floor, it is the point of the floor above `root_mm`.
        """
        low, high = 0.0, self.form.length_mm
        (x, y, z), above = self.root_mm, self.root_mm[2] - self.floor_mm
        if above >= 0.0:
            return x - self.lean[0] * above, y - self.lean[1] * above, self.floor_mm
        if self.tip_mm[2] <= self.floor_mm:
            return x, y, self.floor_mm
        if self.bend.is_straight:
            x, y, z = (tip - root for tip, root in zip(self.tip_mm, self.root_mm, strict=True))
            share = (self.floor_mm - self.root_mm[2]) / z
            return self.root_mm[0] + share * x, self.root_mm[1] + share * y, self.floor_mm
        for _ in range(50):
            middle = 0.5 * (low + high)
            if self.world(self.bend.point(middle))[2] < self.floor_mm:
                low = middle
            else:
                high = middle
        return self.world(self.bend.point(high))

    @property
    def bend_mm(self) -> Vector | None:
        """The point of the centre line, mm in the world, in the middle of the bend; None if the pin is straight."""
        if self.missing or self.bend.is_straight:
            return None
        return self.world(self.bend.point(self.bend.start_mm + 0.5 * self.bend.curve_mm))

    @property
    def nominal_floor_mm(self) -> float:
        """z, mm, of the cavity floor on the drawing."""
        return self.floor_mm / self.scale

    @property
    def nominal_base_mm(self) -> Vector:
        """Foot of the pin as drawn, mm in the world, the drawing's datum laid on the part's; z of the drawn floor."""
        x, y = self.datum_shift_mm
        return self.position.x_mm + x, self.position.y_mm + y, self.nominal_floor_mm

    @property
    def nominal_tip_mm(self) -> Vector:
        """Tip of the pin as drawn, mm in the world, the drawing's datum laid on the part's."""
        x, y, z = self.nominal_base_mm
        return x, y, z + self.nominal.standing_mm

    def measures(self) -> dict[str, float | None]:
        """Compute the pin's measures as a measuring machine would read them.

        Returns:
            By name; every value is None for a missing pin:
            dx_mm, dy_mm: X and Y of the tip minus those of the nominal tip, measured from the part's datum.
            true_position_mm: 2 sqrt(dx^2 + dy^2), a diameter (ISO 1101 / ASME Y14.5).
            retraction_mm: how far the tip would be below its nominal height if the pin were straight, whole and of the
                right terminal; negative: above it. A bend does not change it.
            tilt_deg, azimuth_deg: angle between Z and the centre line at the tip, and its direction (0 = +X, 90 = +Y).
            length_mm, twist_deg: `Form.length_mm`, and `Form.twist_rad` in degrees.
        """
        names = (
            "dx_mm",
            "dy_mm",
            "true_position_mm",
            "retraction_mm",
            "tilt_deg",
            "azimuth_deg",
            "length_mm",
            "twist_deg",
        )
        if self.missing:
            return dict.fromkeys(names)
        tip, nominal = self.tip_mm, self.nominal_tip_mm
        dx, dy = tip[0] - nominal[0], tip[1] - nominal[1]
        turn = self.bend.tilt_rad(self.form.length_mm)
        along = (
            math.sin(turn) * math.cos(self.bend.azimuth_rad),
            math.sin(turn) * math.sin(self.bend.azimuth_rad),
            math.cos(turn),
        )
        x, y, z = (sum(r * a for r, a in zip(row, along, strict=True)) for row in self.rotation)
        values = (
            dx,
            dy,
            2.0 * math.hypot(dx, dy),
            self.nominal_floor_mm - self.root_mm[2] - self.form.longer_mm,
            math.degrees(math.atan2(math.hypot(x, y), z)),
            math.degrees(math.atan2(y, x)) % 360.0,
            self.form.length_mm,
            math.degrees(self.form.twist_rad),
        )
        return dict(zip(names, values, strict=True))
