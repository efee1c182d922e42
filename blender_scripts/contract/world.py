"""The wide world: random changes of everything that a scene fitted to photographs leaves open (domain randomisation).

A row of the manifest whose column `world` is `wide` draws each value of RANGES; a row of the world `scene` draws none.
Shapes, poses and cameras stay those of the scene, so that labels are the same in both worlds. Each draw depends only on
its seed and its name: part (material), fixture (light, surroundings and table), view (a camera of a placing) or
capture (one picture).
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from blender_scripts.contract import draws
from blender_scripts.contract.housings import Color, Finish, Surface
from blender_scripts.contract.station import Lighting
from blender_scripts.contract.terminals import Terminal

SCENE, WIDE = WORLDS = ("scene", "wide")
# Part of the hash of wide rows: count it up when a change of this module, or of its use, changes wide pictures.
WIDE_VERSION = 2
PART, PLACING, VIEW, CAPTURE = ("part", "fixture", "fixture, camera", "seed, camera")
PLAIN, MOTTLED, BRUSHED, CHECKS = PATTERNS = ("plain", "mottled", "brushed", "checks")
_LEAST_ROUGHNESS, _ROUGHEST_PLATING = 0.05, 0.7
# Surroundings are never darker than this, or windows could not light a scene without ambient light.
_LEAST_AMBIENT = 0.1


@dataclass(frozen=True)
class Span:
    """The range of one value of the wide world.

    Attributes:
        of: the manifest's columns that seed the draw: PART, PLACING, VIEW or CAPTURE.
        low, high: the range.
        power: the uniform share of the range is raised to this power: above 1, most values lie near `low`.
    """

    of: str
    low: float
    high: float
    power: float = 1.0


RANGES: dict[str, Span] = {
    # Resin of the housing; the exponent acts on linear colours: black varies by about a stop, white hardly.
    "resin_exponent": Span(PART, 0.84, 1.18),
    "resin_warmth": Span(PART, -0.12, 0.12),
    "resin_green": Span(PART, -0.06, 0.06),
    "resin_roughness": Span(PART, 0.6, 1.6),
    "mould_marks": Span(PART, 0.0, 0.6),
    "dust": Span(PART, 0.0, 0.04, 2.0),
    "oil": Span(PART, 0.0, 1.0, 1.5),
    # Plating lot of each terminal. Narrow enough that tin, nickel and gold, and a stain, are still told apart.
    "plating_level": Span(PART, 0.84, 1.0),
    "plating_warmth": Span(PART, -0.04, 0.07),
    "plating_roughness": Span(PART, 0.65, 1.5),
    "scratches": Span(PART, 0.0, 0.8),
    "wear": Span(PART, 0.0, 0.45, 1.5),
    # Lamps: factors on size and place, shares of the height; powers in stops.
    "lamp_height": Span(PLACING, 0.75, 1.35),
    "lamp_radius": Span(PLACING, 0.75, 1.3),
    "lamp_width": Span(PLACING, 0.6, 1.7),
    "lamp_shift_x": Span(PLACING, -0.3, 0.3),
    "lamp_shift_y": Span(PLACING, -0.3, 0.3),
    "lamp_azimuth_deg": Span(PLACING, -180.0, 180.0),
    "lamp_stops": Span(PLACING, -0.3, 0.3),
    "lamp_warmth": Span(PLACING, -0.08, 0.08),
    "second_share": Span(PLACING, 0.0, 0.6, 1.5),
    "second_azimuth_deg": Span(PLACING, -180.0, 180.0),
    "second_elevation_deg": Span(PLACING, 25.0, 75.0),
    "second_distance": Span(PLACING, 1.0, 2.0),
    "second_width": Span(PLACING, 0.2, 1.0),
    "second_warmth": Span(PLACING, -0.2, 0.2),
    # What metal reflects beside the lamps.
    "ambient_stops": Span(PLACING, -1.0, 1.0),
    "sky_slope": Span(PLACING, -0.4, 0.9),
    "sky_warmth": Span(PLACING, -0.12, 0.12),
    "ground_warmth": Span(PLACING, -0.12, 0.12),
    "windows": Span(PLACING, 0.0, 5.0),
    "window_azimuth_deg": Span(PLACING, -180.0, 180.0),
    "window_elevation_deg": Span(PLACING, 10.0, 65.0),
    "window_width_deg": Span(PLACING, 12.0, 45.0),
    "window_height_deg": Span(PLACING, 12.0, 45.0),
    "window_radiance": Span(PLACING, 2.0, 9.0),
    # The table: a photograph where the scene has some, else a pattern of two colours of one hue.
    "table_pattern": Span(PLACING, 0.0, 4.0),
    "table_hue": Span(PLACING, 0.0, 1.0),
    "table_saturation": Span(PLACING, 0.0, 0.6, 2.0),
    "table_value": Span(PLACING, 0.02, 0.6, 1.5),
    "table_contrast": Span(PLACING, 0.4, 1.6),
    "table_pattern_mm": Span(PLACING, 0.8, 12.0),
    "table_turn_deg": Span(PLACING, -180.0, 180.0),
    "table_shift_x_mm": Span(PLACING, -25.0, 25.0),
    "table_shift_y_mm": Span(PLACING, -25.0, 25.0),
    "table_stops": Span(PLACING, -0.5, 0.5),
    # Lens; lengths are shares of the picture's width.
    "motion": Span(PLACING, 0.0, 0.006, 2.5),
    "motion_azimuth_deg": Span(PLACING, -180.0, 180.0),
    "defocus": Span(VIEW, 0.0, 0.005, 2.0),
    "vignetting": Span(VIEW, 0.0, 0.3, 1.5),
    "veil": Span(VIEW, 0.0, 0.12, 1.5),
    "spots": Span(VIEW, 0.0, 6.0, 1.5),
    "spot_x": Span(VIEW, 0.0, 1.0),
    "spot_y": Span(VIEW, 0.0, 1.0),
    "spot_radius": Span(VIEW, 0.008, 0.05, 2.0),
    "spot_loss": Span(VIEW, 0.03, 0.15),
    # Camera.
    "exposure_stops": Span(VIEW, -0.3, 0.3),
    "cast_warmth": Span(VIEW, -0.14, 0.14),
    "cast_green": Span(VIEW, -0.05, 0.05),
    "full_well": Span(CAPTURE, 0.25, 1.5),
    "read_noise_e": Span(CAPTURE, 4.0, 25.0),
    "jpeg_quality": Span(CAPTURE, 60.0, 100.0),
}
# These are drawn several times: by terminal, window or spot.
_BY_TERMINAL = ("plating_level", "plating_warmth", "plating_roughness")
_OF_WINDOW = tuple(name for name in RANGES if name.startswith("window_"))
_OF_SPOT = tuple(name for name in RANGES if name.startswith("spot_"))
# Electrons of a full pixel where the scene's sensor has no noise.
_USUAL_FULL_WELL_E = 12000.0


@dataclass(frozen=True)
class Window:
    """A bright rectangle in the surroundings.

    Attributes:
        azimuth_deg, elevation_deg: direction from the part to its middle.
        width_deg, height_deg: its angular size.
        radiance: in multiples of the surroundings' ambient light.
    """

    azimuth_deg: float
    elevation_deg: float
    width_deg: float
    height_deg: float
    radiance: float


@dataclass(frozen=True)
class Spot:
    """A speck on the lens, out of focus: a soft disc in which some light is lost.

    Attributes:
        x, y: its middle, as shares of the picture's width and height, from the upper left corner.
        radius: share of the picture's width.
        loss: share of the light that is lost in its middle.
    """

    x: float
    y: float
    radius: float
    loss: float


def tint(warmth: float, green: float = 0.0) -> Color:
    """Return factors on red, green and blue: `warmth` raises red and lowers blue, `green` raises green."""
    return 1.0 + warmth, 1.0 + green, 1.0 - warmth


def times(color: Color, factors: Color) -> Color:
    """Return a colour, linear RGB, times factors, each channel at most 1."""
    red, green, blue = (min(1.0, level * factor) for level, factor in zip(color, factors, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class World:
    """The draws of the wide world for one row.

    Attributes:
        part, fixture, seed, camera: the row's columns of these names.
    """

    part: int
    fixture: int
    seed: int
    camera: str

    def value(self, name: str, *keys: str) -> float:
        """Return one drawn value.

        Args:
            name: one of RANGES.
            keys: what the value belongs to, such as a terminal's name, where there are several.
        """
        span = RANGES[name]
        by = {PART: (self.part,), PLACING: (self.fixture,), VIEW: (self.fixture, self.camera)}
        seed, *own = by.get(span.of, (self.seed, self.camera))
        share: float = draws.generator(int(seed), "world", name, *map(str, own), *keys).random() ** span.power
        return span.low + (span.high - span.low) * share

    def stops(self, name: str) -> float:
        """Return the factor on light of a value that is in photographic stops."""
        return float(2.0 ** self.value(name))

    def resin(self, surface: Surface) -> Surface:
        """Return a housing's surface as this lot of resin has it; metal keeps its colour, but for its brightness."""
        exponent, is_metal = self.value("resin_exponent"), surface.material == "metal"
        factors = (1.0,) * 3 if is_metal else tint(self.value("resin_warmth"), self.value("resin_green"))
        colors = tuple(times((r**exponent, g**exponent, b**exponent), factors) for r, g, b in surface.colors)
        roughness = min(1.0, max(_LEAST_ROUGHNESS, surface.roughness * self.value("resin_roughness")))
        return replace(surface, colors=colors, roughness=roughness)

    def plated(self, terminal: Terminal) -> Terminal:
        """Return a terminal with the colour and roughness of its plating lot."""
        level, warmth, rougher = (self.value(name, terminal.name) for name in _BY_TERMINAL)
        red, green, blue = tint(warmth)
        roughness = min(_ROUGHEST_PLATING, max(_LEAST_ROUGHNESS, terminal.roughness * rougher))
        return replace(
            terminal, color=times(terminal.color, (level * red, level * green, level * blue)), roughness=roughness
        )

    def finish(self, finish: Finish) -> Finish:
        """Return the finish of the part's surfaces: of the scene's value and the drawn one, the larger."""
        names = ("scratches", "mould_marks", "dust", "oil", "wear")
        return replace(finish, **{name: max(getattr(finish, name), self.value(name)) for name in names})

    def lighting(self, lighting: Lighting) -> Lighting:
        """Return a light set-up with a lamp of another size and place."""
        return replace(
            lighting,
            height_mm=lighting.height_mm * self.value("lamp_height"),
            radius_mm=lighting.radius_mm * self.value("lamp_radius"),
            width_mm=lighting.width_mm * self.value("lamp_width"),
        )

    def ambient(self, lighting: Lighting) -> float:
        """Return the mean radiance of the surroundings."""
        return max(_LEAST_AMBIENT, lighting.ambient) * self.stops("ambient_stops")

    def windows(self) -> list[Window]:
        """Return the windows in the surroundings."""
        count = int(self.value("windows"))
        return [Window(*(self.value(name, str(number)) for name in _OF_WINDOW)) for number in range(count)]

    def spots(self) -> list[Spot]:
        """Return the specks on the lens."""
        count = int(self.value("spots"))
        return [Spot(*(self.value(name, str(number)) for name in _OF_SPOT)) for number in range(count)]

    @property
    def pattern(self) -> str:
        """Pattern of the table where the scene has no photographs: one of PATTERNS."""
        return PATTERNS[int(self.value("table_pattern"))]

    def table_colors(self) -> tuple[Color, Color]:
        """Return the two colours of the table's pattern, linear RGB; equal in hue and saturation."""
        hue, saturation, value = (self.value(f"table_{name}") for name in ("hue", "saturation", "value"))
        first, second = (
            colorsys.hsv_to_rgb(hue, saturation, min(1.0, value * factor))
            for factor in (1.0, self.value("table_contrast"))
        )
        return first, second

    def motion_px(self, width: int) -> tuple[float, float]:
        """Return the additional motion during the exposure, px right and down, of a picture of `width` px."""
        length, azimuth = self.value("motion") * width, math.radians(self.value("motion_azimuth_deg"))
        return length * math.cos(azimuth), -length * math.sin(azimuth)

    def full_well_e(self, of_scene: float) -> float:
        """Return the electrons of a full pixel, as the gain is set; `of_scene`: those of the scene, 0 without noise."""
        return (of_scene or _USUAL_FULL_WELL_E) * self.value("full_well")

    def jpeg_quality(self, of_scene: int) -> int:
        """Return the quality of the JPEG compression: at most that of the scene's sensor, which is 0 without one."""
        return min(of_scene or 100, round(self.value("jpeg_quality")))

    def stated(self, terminals: Iterable[str]) -> dict[str, Any]:
        """Return the drawn values as the record of a picture states them under `world`.

        Args:
            terminals: names of the part's terminals.
        """
        several = (*_BY_TERMINAL, *_OF_WINDOW, *_OF_SPOT, "windows", "spots", "table_pattern")
        return {
            "name": WIDE,
            **{name: self.value(name) for name in RANGES if name not in several},
            "table_pattern": self.pattern,
            "platings": [
                {"terminal": terminal, **{name: self.value(name, terminal) for name in _BY_TERMINAL}}
                for terminal in sorted(set(terminals))
            ],
            "windows": [dict(zip(_OF_WINDOW, vars(window).values(), strict=True)) for window in self.windows()],
            "spots": [dict(zip(_OF_SPOT, vars(spot).values(), strict=True)) for spot in self.spots()],
        }
