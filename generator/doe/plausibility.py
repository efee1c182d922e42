"""Warnings on a valid manifest: on defects that its pictures cannot show, and on limits that good parts exceed.

A warning names the scene and the numbers that it is about. Cameras stand where the renderer puts them for each row.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from blender_scripts.contract import draws, wide_limits
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.positions import Position
from blender_scripts.contract.terminals import Terminal
from blender_scripts.contract.tolerance import Limits
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.optics import Camera, set_up_station
from blender_scripts.manifest.repeats import distinct, short_hash
from blender_scripts.manifest.run import Manifest, Run
from generator.dataset.connectors import nominal_connector
from generator.doe.housing_fit import of_blocks, of_mesh, of_print, of_standing
from generator.doe.symmetry import has_half_turn

# Housings from CAD files as placed in the part, mm, by scene and housing.
Meshes = Mapping[tuple[str, str], Mesh]

# Less than this can hardly be learned from a picture (docs/explanation/results.md).
LEAST_PIN_PX, LEAST_MOVE_PX = 3.0, 1.0
# A larger share of good parts beyond the limits is a mistake in [scatter] or [tolerance] rather than their tail.
MOST_NG_SHARE = 0.05
_DRAWS = 200_000
# Simulated pins of a part whose pins vary together.
_PINS_OF_PARTS = 1_000_000
# Units in which CAD programs export: inch, metre, centimetre, and each mistaken the other way round.
_UNITS_MM = (1.0, 25.4, 1000.0, 10.0, 0.0393701, 0.001, 0.1)
# A mesh more than this many times as wide as the scene's shell is in another unit.
_WIDEST = 12.0


@dataclass
class _View:
    """What the rows of one scene, camera and picture size show, over all their poses.

    Attributes:
        pictures: number of rows.
        cut: number of rows with a pin that is not wholly in the picture.
        most_cut: the largest number of such pins in a picture.
        thinnest: thickness in px of the thinnest pin, and its terminal.
        least_mm_px: smallest scale at a pin's tip, px per mm.
        wider: keys of [camera] that widen the view.
    """

    pictures: int = 0
    cut: int = 0
    most_cut: int = 0
    thinnest: tuple[float, Terminal] | None = None
    least_mm_px: float = math.inf
    wider: str = ""

    def take(self, connector: Connector, run: Run) -> None:
        """Count a row of the manifest, `run`, in the attributes; `connector` is its scene."""
        terminals = [connector.terminal_at(run.terminal, position, run.part) for position in connector.positions]
        tips, feet = _ends(connector, terminals)
        camera = set_up_station(connector, run.camera, run.fixture, run.width, run.height).camera
        outside = int((~(_is_inside(camera, tips) & _is_inside(camera, feet))).sum())
        self.pictures += 1
        self.cut += outside > 0
        self.most_cut = max(self.most_cut, outside)
        scale = camera.px_per_mm(tips)
        self.least_mm_px = min(self.least_mm_px, float(scale.min()))
        widths = scale * [min(each.width_mm, each.thickness_mm) for each in terminals]
        at = int(widths.argmin())
        if self.thinnest is None or widths[at] < self.thinnest[0]:
            self.thinnest = float(widths[at]), terminals[at]
        self.wider = "field_mm" if camera.telecentric else "distance_mm or decrease focal_mm"


def warnings(manifest: Manifest, meshes: Meshes) -> list[str]:
    """Return warnings on a manifest's scenes and views, one line each.

    Args:
        manifest: a checked manifest.
        meshes: meshes of CAD files by (scene, housing); CAD files that are not in it are not checked.
    """
    views: dict[tuple[str, str, int, int], _View] = {}
    looks: dict[tuple[str, str, str], None] = {}
    prints: dict[tuple[str, str], dict[str, None]] = {}
    for run in manifest.runs:
        looks[run.scene, run.housing, run.terminal] = None
        prints.setdefault((run.scene, run.housing), {})[run.marking] = None
        view = views.setdefault((run.scene, run.camera, run.width, run.height), _View())
        view.take(manifest.connectors[run.scene], run)
    lines = [line for each, mesh in meshes.items() if (line := _of_mesh(manifest.connectors[each[0]], each[1], mesh))]
    for scene, housing, terminal in looks:
        connector, placed = manifest.connectors[scene], meshes.get((scene, housing))
        if placed is None:
            lines += of_blocks(connector, housing, terminal)
        elif _of_mesh(connector, housing, placed) is None:
            lines += of_mesh(connector, housing, terminal, placed)
    for (scene, housing), markings in prints.items():
        lines += of_print(manifest.connectors[scene], housing, _widest(markings))
    for (scene, camera, width, height), view in views.items():
        name = f"{scene}, camera {camera}, {width} x {height} px"
        lines += _of_view(view, name, manifest.connectors[scene])
    for scene in dict.fromkeys(scene for scene, _, _ in looks):
        connector = manifest.connectors[scene]
        wide = wide_limits.of_connector(connector.tolerance.flat(), connector)
        lines += [f"{scene}: [tolerance] {text}" for text in wide]
    for scene, terminal in dict.fromkeys((scene, terminal) for scene, _, terminal in looks):
        lines += of_standing(manifest.connectors[scene], terminal)
        lines += _of_scatter(manifest.connectors[scene], terminal)
    return [*lines, *_of_captures(manifest.runs)]


def _widest(markings: Iterable[str]) -> list[str]:
    """The markings without all texts but the longest: others in its place lie on the rim if it does."""
    texts = sorted((each for each in markings if each.startswith("text=")), key=len)
    return [each for each in markings if not each.startswith("text=")] + texts[-1:]


def _of_captures(runs: Sequence[Run]) -> Iterator[str]:
    """Say which rows repeat a picture, and which parts change while they lie on one fixture.

    A fixture that equals the seed in all rows of its part, as is the default, numbers no placing: these rows are not
    compared.
    """
    shown, placed, looks, numbered = array("q"), array("q"), array("q"), array("q")
    for run in runs:
        shown.append(short_hash(run.picture_columns()))
        placed.append(short_hash(_placing(run)))
        looks.append(short_hash(_placing(run), _look(run)))
        if run.fixture != run.seed:
            numbered.append(placed[-1])
    if (count := len(shown) - distinct(shown)) > 0:
        first: dict[str, str] = {}
        twice = _repeated(shown)
        pair = next(
            f"{first[picture]} and {run.run}"
            for run in runs
            if short_hash(run.picture_columns()) in twice
            and first.setdefault(picture := repr(run.picture_columns()), run.run) != run.run
        )
        yield (
            f"rows that give the same picture as an earlier row: {count} (such as {pair}): give rows of the same part "
            "and fixture different seeds"
        )
    is_numbered = np.isin(np.frombuffer(placed, np.int64), np.frombuffer(numbered, np.int64))
    placed, looks = (array("q", np.frombuffer(each, np.int64)[is_numbered].tobytes()) for each in (placed, looks))
    if distinct(placed) < distinct(looks):
        placings: dict[tuple[str, int, int], set[tuple[str, ...]]] = {}
        twice = _repeated(placed)
        for run in runs:
            if short_hash(_placing(run)) in twice:
                placings.setdefault(_placing(run), set()).add(_look(run))
        changing = [placing for placing, found in placings.items() if len(found) > 1]
        scene, part, fixture = changing[0]
        yield (
            f"parts with several housings, terminals or markings for one fixture number: {len(changing)} (such as part "
            f"{part} of scene {scene}, fixture {fixture}): give each housing, terminal and marking its own part number"
        )


def _placing(run: Run) -> tuple[str, int, int]:
    return run.scene, run.part, run.fixture


def _look(run: Run) -> tuple[str, ...]:
    return run.housing, run.terminal, run.marking


def _repeated(hashes: array[int]) -> set[int]:
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    return set(values[counts > 1].tolist())


def _ends(connector: Connector, terminals: Sequence[Terminal]) -> tuple[np.ndarray, np.ndarray]:
    """The nominal tips and feet of a part's pins: (N, 3) mm each."""
    floor = -connector.shell.depth_mm
    feet = np.array([(position.x_mm, position.y_mm, floor) for position in connector.positions])
    return feet + np.array([(0.0, 0.0, terminal.standing_mm) for terminal in terminals]), feet


def _is_inside(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Whether points (N, 3) lie in front of the camera and in its picture."""
    ahead = camera.depth(points) > 0.0
    size = np.array([camera.lens.width, camera.lens.height])
    found = np.zeros(len(points), bool)
    if ahead.any():
        pixels = camera.project(points[ahead])
        found[ahead] = ((pixels >= 0.0) & (pixels <= size)).all(axis=1)
    return found


def _of_view(view: _View, name: str, connector: Connector) -> Iterator[str]:
    assert view.thinnest is not None
    if view.cut:
        yield (
            f"{name}: {view.cut} of {view.pictures} pictures do not show all pins (up to {view.most_cut} of "
            f"{len(connector.positions)} pins lie outside): increase [camera] {view.wider}"
        )
    thickness, terminal = view.thinnest
    if thickness < LEAST_PIN_PX:
        yield (
            f"{name}: pins of terminal {terminal.name} are {thickness:.1f} px thick, less than the "
            f"{LEAST_PIN_PX:g} px needed: render larger pictures, or move the camera nearer"
        )
    limit = min(connector.tolerance.limits(position.address).true_position_mm / 2.0 for position in connector.positions)
    if (move := limit * view.least_mm_px) < LEAST_MOVE_PX:
        yield (
            f"{name}: a good pin's tip may move by {limit:.3g} mm, which is {move:.2f} px, less than the "
            f"{LEAST_MOVE_PX:g} px needed: render larger pictures, as good and bent pins hardly differ in these"
        )


def _of_scatter(connector: Connector, terminal: str) -> Iterator[str]:
    pins = [
        (position, connector.terminal_at(terminal, position, 0), connector.tolerance.limits(position.address))
        for position in connector.positions
    ]
    if connector.scatter.is_of_pins_only:
        kinds = Counter(pin[1:] for pin in pins)
        shares = {kind: ng_share(connector, *kind) for kind in kinds}
        ng = 1.0 - math.prod((1.0 - shares[kind]) ** count for kind, count in kinds.items())
        worst = max(shares.values())
    else:
        is_ng = _exceed(connector, pins, max(200, min(20_000, _PINS_OF_PARTS // len(pins))))
        ng, worst = float(is_ng.any(axis=1).mean()), float(is_ng.mean(axis=0).max())
    if ng > MOST_NG_SHARE:
        yield (
            f"{connector.name}, terminal {terminal}: {ng:.0%} of good parts would be NG by manufacturing scatter alone "
            f"([scatter]; the worst pin in {worst:.2%} of parts): decrease [scatter], or increase [tolerance]"
        )


def ng_share(connector: Connector, terminal: Terminal, limits: Limits) -> float:
    """Return the share, 0 to 1, of good pins (at x = y = 0) that the scatter of `connector` moves beyond `limits`."""
    return float(_exceed(connector, [(Position(1, 1, 1, "1", 0.0, 0.0), terminal, limits)], _DRAWS).mean())


def _exceed(connector: Connector, pins: Sequence[tuple[Position, Terminal, Limits]], parts: int) -> np.ndarray:
    """Whether each pin (parts, pins) of simulated good parts exceeds its limits.

    Monte Carlo with a fixed seed, as in JCGM 101:2008 (propagation of distributions), over the distributions of
    `blender_scripts.manifest.placement`: normal, truncated. Tilts add as their slopes do.
    """
    source, scatter = np.random.default_rng(20), connector.scatter

    def normal(*shape: int) -> np.ndarray:
        deviations = source.standard_normal(shape)
        while (far := np.abs(deviations) > draws.TRUNCATED_AT).any():
            deviations[far] = source.standard_normal(int(far.sum()))
        return deviations

    own = normal(5, parts, len(pins))
    common = normal(5, parts, 1)
    names = sorted({terminal.name for _, terminal, _ in pins})
    lots = normal(parts, len(names))[:, [names.index(terminal.name) for _, terminal, _ in pins]]
    longer, shrunk = scatter.lot_length_mm * lots, scatter.shrinkage * common[0]
    at = np.array([(position.x_mm, position.y_mm) for position, _, _ in pins]).T[:, None]
    from_datum = at - np.array([[[connector.datum.x_mm]], [[connector.datum.y_mm]]])
    pattern = np.tan(np.radians(scatter.pattern_tilt_deg * common[1:3]))
    slope = np.tan(np.radians(scatter.tilt_deg * own[2:4])) + pattern
    standing = np.array([terminal.standing_mm for _, terminal, _ in pins]) + longer
    tip = scatter.position_mm * own[:2] + scatter.pattern_shift_mm * common[3:] - shrunk * from_datum
    tip += standing * slope / np.sqrt(1.0 + (slope**2).sum(axis=0))
    # The floor shrinks towards the mating face, a tilted pattern sinks where it leans to.
    sunk = (pattern * at).sum(axis=0) - shrunk * connector.shell.depth_mm
    retraction = sunk - longer - scatter.height_mm * own[4]
    limit = {
        name: np.array([getattr(limits, name) for _, _, limits in pins])
        for name in ("true_position_mm", "retraction_mm", "protrusion_mm")
    }
    is_ng = 2.0 * np.hypot(*tip) > limit["true_position_mm"]
    is_ng |= (retraction > limit["retraction_mm"]) | (-retraction > limit["protrusion_mm"])
    found: np.ndarray = is_ng
    return found


def symmetry_notes(manifest: Manifest, meshes: Meshes) -> Iterator[str]:
    """Yield a note on each scene in which a part without marking looks the same after half a turn.

    Args:
        manifest: a checked manifest.
        meshes: meshes of CAD files by (scene, housing).
    """
    for scene, connector in manifest.connectors.items():
        alike: Counter[str] = Counter()
        unmarked = Counter(
            (run.housing, run.terminal) for run in manifest.runs if run.scene == scene and run.marking == "none"
        )
        for (housing, terminal), count in unmarked.items():
            pins = nominal_connector(connector, housing, terminal).symmetries
            if "half_turn" in pins and has_half_turn(connector, housing, meshes.get((scene, housing))):
                alike[housing] += count
        if alike:
            yield (
                f"{scene}, housing {', '.join(alike)}: the part looks the same after half a turn, so that "
                f"pictures with marking none ({alike.total()}) do not show its orientation"
            )


def _of_mesh(connector: Connector, housing: str, mesh: Mesh) -> str | None:
    """Warn of a CAD housing that does not fit round the pins' positions by its size in X and Y; None if it fits."""
    cad = connector.housings[housing].cad
    assert cad is not None
    placement = cad.placement
    places = np.array([(position.x_mm, position.y_mm) for position in connector.positions])
    field = np.ptp(places, axis=0)
    (x1, y1, _), (x2, y2, _) = mesh.bounds
    size = np.array([x2 - x1, y2 - y1])
    is_inside = bool(((places >= (x1, y1)) & (places <= (x2, y2))).all())
    wall = np.ptp(np.array(connector.shell.outside.bounds), axis=0).max()
    is_sensible = size.max() <= _WIDEST * wall
    if is_inside and is_sensible:
        return None
    text = (
        f"{connector.name}, {cad.file.name}: the mesh is {size[0]:.4g} x {size[1]:.4g} mm in X and Y with unit_mm = "
        f"{placement.unit_mm:g}, the pins' positions take up {field[0]:.4g} x {field[1]:.4g} mm"
    )
    if (size >= field).all() and is_sensible:
        return f"{text} and lie partly outside the mesh: correct offset_mm"
    if (size >= field[::-1]).all() and is_sensible:
        return f"{text}: correct axes"
    # The unit by which the housing is nearest to the walls that the scene describes.
    unit = min(_UNITS_MM, key=lambda each: _octaves(size.max() / placement.unit_mm * each, wall))
    return f"{text}: {f'try unit_mm = {unit:g}' if unit != placement.unit_mm else 'correct unit_mm'}"


def _octaves(size: float, other: float) -> float:
    return abs(math.log2(size / other))
