"""Build one part on its inspection station as a Blender scene; each pin is an object.

The scene is built anew for each row, in the same order and with the same names, so that a picture does not depend on
the rows rendered before it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache

import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.geometry import delaunay_2d_cdt

from blender_scripts.contract.connector import Connector, check_cameras, table_z_mm
from blender_scripts.contract.terminals import Terminal
from blender_scripts.contract.world import World, times
from blender_scripts.geometry import solids
from blender_scripts.geometry.mesh import Mesh, join
from blender_scripts.geometry.optics import Station
from blender_scripts.geometry.part import Cut, Letters, Part
from blender_scripts.geometry.pin import Form, Stain
from blender_scripts.scene import lamps, materials
from blender_scripts.scene.backdrop import image_of
from blender_scripts.scene.blend_files import read_cad
from blender_scripts.scene.objects import add_object, make_mesh, triangles_of

CAMERA = "camera"
_ALL_TRIANGLES = 0
_FIXTURE_MM = 4000.0
# (x, y) of each position's cavity, mm.
Places = tuple[tuple[float, float], ...]


@lru_cache(maxsize=16)
def _floor(connector: Connector, terminals: tuple[Terminal, ...], places: Places) -> Mesh:
    """The cavity floor at z = 0 with a hole at each place for its terminal, triangulated by constrained Delaunay."""
    outer = solids.floor_outline(connector.shell)
    cavity = connector.cavity
    holes = [solids.cavity_outline(terminal, cavity, cavity.chamfer_mm) for terminal in terminals]
    loops = [outer, *(hole + np.array(place) for hole, place in zip(holes, places, strict=True))]
    edges, start = [], 0
    for loop in loops:
        edges += [(start + i, start + (i + 1) % len(loop)) for i in range(len(loop))]
        start += len(loop)
    flat, _, faces, *_ = delaunay_2d_cdt([Vector(p) for p in np.concatenate(loops)], edges, [], _ALL_TRIANGLES, 1e-5)
    corners = np.array([(*p, 0.0) for p in flat])
    triangles = np.array(faces)
    a, b, c = (corners[triangles[:, i]] for i in range(3))
    # Holes are convex and filled by triangles of their own: those whose middle lies in one are dropped, and so are
    # those outside a round outline.
    middles = ((a + b + c) / 3.0)[:, :2]
    dropped = ~_inside(outer, middles)
    for loop in loops[1:]:
        dropped |= _inside(loop, middles)
    upward = np.cross(b - a, c - a)[:, 2] > 0.0
    triangles[~upward] = triangles[~upward][:, ::-1]
    return Mesh.of(corners, triangles[~dropped].tolist())


def _inside(loop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points (N, 2) lie in a convex counter-clockwise loop (V, 2)."""
    sides = np.roll(loop, -1, axis=0) - loop
    to_point = points[:, None] - loop
    return np.all(sides[:, 0] * to_point[..., 1] - sides[:, 1] * to_point[..., 0] > 0.0, axis=1)


@lru_cache(maxsize=16)
def _walls(connector: Connector, housing: str, cuts: tuple[Cut, ...]) -> Mesh:
    variant = connector.housings[housing]
    if variant.cad is not None:
        return read_cad(variant.cad.file, variant.cad.placement, variant.cad.object_name, variant.cad.smooth_deg)
    blocks = [solids.block_mesh(block) for block in variant.blocks]
    return join([solids.shell_mesh(connector.shell, variant, cuts), *blocks])


@lru_cache(maxsize=16)
def _insert(connector: Connector, terminals: tuple[Terminal, ...], places: Places, floor: bool) -> Mesh:
    """Mesh of the cavities and the floor round them. A CAD housing includes its own floor."""
    depth = -connector.shell.depth_mm
    cavities = [
        solids.cavity_mesh(terminal, connector.cavity).moved((*place, depth))
        for terminal, place in zip(terminals, places, strict=True)
    ]
    own = [_floor(connector, terminals, places).moved((0.0, 0.0, depth))] if floor else []
    return join([*own, *cavities])


@lru_cache(maxsize=8)
def _body(
    connector: Connector, housing: str, cuts: tuple[Cut, ...], terminals: tuple[Terminal, ...], places: Places
) -> Mesh:
    """Walls and insert joined to one mesh: every further object slows rendering."""
    floor = connector.housings[housing].cad is None
    return join([_walls(connector, housing, cuts), _insert(connector, terminals, places, floor)])


def check_cad(connector: Connector, housings: set[str]) -> None:
    """Read and check the CAD files of some housings.

    Args:
        connector: the scene.
        housings: names of the housings.

    Raises:
        InputError: a file is damaged, its mesh has not the size of a housing, or a camera could touch the mesh.
    """
    for name in sorted(housings):
        cad = connector.housings[name].cad
        if cad is None:
            continue
        check_cameras(connector, _walls(connector, name, ()).bounds, cad.file.name)


class Stage:
    """Builds each row's part and station in the current Blender scene.

    Attributes:
        housing_walls: mesh of the walls and blocks, or of the CAD file, mm.
        housing_triangles: the meshes of the housing: vertices (V, 3), mm, and vertex indices (T, 3) of triangles.
    """

    def __init__(self) -> None:
        self.housing_walls = Mesh.of(np.zeros((0, 3)), [])
        self.housing_triangles: list[tuple[np.ndarray, np.ndarray]] = []
        self._truth = {kind: make() for kind, make in materials.TRUTH.items()}
        self._sharp = True

    def lay_out(self, part: Part, lighting: str, station: Station, world: World | None = None) -> None:
        """Replace the contents of the Blender scene by one part and its station.

        Args:
            part: the part.
            lighting: name of the light set-up.
            station: camera, placement of the part, and random variation of light and table.
            world: the draws of a row in the wide world.
        """
        _clear(keep=set(self._truth.values()))
        connector = part.connector
        self._housing(part, world)
        self._pins(part, world)
        ink = materials.matt("ink", connector.housings[part.housing].ink)
        _print("print", part, part.letters, ink)
        for number, flaw in enumerate(part.flaws, len(part.pins) + 1):
            _print(f"flaw {number:04d} print", part, flaw.printed, ink)
            for i, body in enumerate(flaw.bodies):
                name = f"flaw {number:04d} body {i}"
                add_object(name, make_mesh(name, solids.body_mesh(body), _BODY_MATERIALS[body.material]()))
        _fixture(connector, station, world)
        lamps.light(connector, lighting, station, world)
        _camera(connector, station)
        self._sharp = not station.f_number
        # A failed row may have left a truth pass on.
        self.show(None)

    def _housing(self, part: Part, world: World | None) -> None:
        connector = part.connector
        variant = connector.housings[part.housing]
        finish = world.finish(connector.finish) if world else connector.finish
        of_walls, of_insert = (world.resin(s) if world else s for s in (variant.walls, variant.insert))
        terminals = tuple(solids.hole_terminal(pin, connector.cavity) for pin in part.pins)
        places: Places = tuple((pin.cavity_mm[0] / part.scale, pin.cavity_mm[1] / part.scale) for pin in part.pins)
        walls = _walls(connector, part.housing, part.cuts)
        self.housing_walls = walls._replace(vertices=part.scale * walls.vertices)
        wall_material = materials.surface("housing", of_walls, finish, part.seed)
        if variant.insert == variant.walls:
            whole = _body(connector, part.housing, part.cuts, terminals, places)
            made = [make_mesh("housing", whole, wall_material)]
        else:
            other = materials.surface("insert", of_insert, finish, part.seed)
            insert = _insert(connector, terminals, places, variant.cad is None)
            made = [make_mesh("housing", walls, wall_material), make_mesh("insert", insert, other)]
        for mesh in made:
            _moulded(mesh.name, part, mesh)
        triangles = [triangles_of(mesh) for mesh in made]
        self.housing_triangles = [(part.scale * vertices, corners) for vertices, corners in triangles]

    def _pins(self, part: Part, world: World | None) -> None:
        finish = world.finish(part.connector.finish) if world else part.connector.finish
        meshes: dict[tuple[Form, Stain | None], bpy.types.Mesh] = {}
        coats: dict[tuple[object, ...], bpy.types.Material] = {}
        for pin in (pin for pin in part.pins if not pin.missing):
            index, look = pin.position.index, (pin.form, pin.stain)
            if look not in meshes:
                terminal = world.plated(pin.terminal) if world else pin.terminal
                coat = (terminal.color, terminal.roughness, pin.stain, pin.form.lost_mm > 0.0)
                if coat not in coats:
                    name = f"plating {len(coats)}"
                    coats[coat] = materials.plating(name, terminal, pin.stain, finish, part.seed)
                meshes[look] = make_mesh(f"pin {len(meshes)}", solids.pin_mesh(pin.form), coats[coat])
            added = add_object(f"pin {index:04d}", meshes[look])
            added.matrix_world = Matrix(solids.pin_matrix(pin).tolist())

    def show(self, kind: str | None) -> None:
        """Select what a render shows: the depth or the normal of each surface as emitted light, or its real material.

        Lamps do not disturb depth and normal: the camera does not see them, and without bounces they light nothing.

        Args:
            kind: `depth` or `normal`, without depth of field; None: the real materials.
        """
        bpy.context.view_layer.material_override = self._truth[kind] if kind else None
        bpy.data.cameras[CAMERA].dof.use_dof = kind is None and not self._sharp


def _clear(keep: Collection[bpy.types.ID]) -> None:
    for collection in (
        bpy.data.objects,
        bpy.data.meshes,
        bpy.data.materials,
        bpy.data.cameras,
        bpy.data.lights,
        bpy.data.worlds,
    ):
        bpy.data.batch_remove([item for item in collection if item not in keep])


def _print(name: str, part: Part, letters: tuple[Letters, ...], ink: bpy.types.Material) -> None:
    mesh = solids.print_mesh(part.connector.marking, letters)
    if mesh is not None:
        _moulded(name, part, make_mesh(name, mesh, ink))


def _moulded(name: str, part: Part, mesh: bpy.types.Mesh) -> None:
    """Add an object that is part of the moulding, and shrinks with it."""
    add_object(name, mesh).scale = (part.scale,) * 3


_BODY_MATERIALS = {
    "solder": lambda: materials.bright("solder", (0.80, 0.80, 0.82), 0.18),
    "plating": lambda: materials.bright("burr", (0.86, 0.84, 0.80), 0.25),
    "fibre": lambda: materials.matt("fibre", (0.62, 0.60, 0.55)),
}


def _rectangle(name: str, half_x: float, half_y: float, material: bpy.types.Material) -> bpy.types.Object:
    corners = np.array([[-half_x, -half_y, 0], [half_x, -half_y, 0], [half_x, half_y, 0], [-half_x, half_y, 0]], float)
    return add_object(name, make_mesh(name, Mesh.of(corners, [(0, 1, 2, 3)]), material))


def _fixture(connector: Connector, station: Station, world: World | None) -> None:
    """Add the table under the part, fixed to the station."""
    if station.photograph is None and world is not None:
        first, second = (times(color, (station.fixture_shade,) * 3) for color in world.table_colors())
        surface = materials.patterned("fixture", (first, second), world.pattern, world.value("table_pattern_mm"))
    elif station.photograph is None:
        red, green, blue = (min(1.0, level * station.fixture_shade) for level in connector.fixture_color)
        surface = materials.matt("fixture", (red, green, blue))
    else:
        assert connector.backdrop is not None
        width = connector.backdrop.width_mm
        height = width * station.photograph.height / station.photograph.width
        image = image_of(station.photograph)
        surface = materials.photograph("fixture", image, (width, height), station.fixture_shade)
    table = _rectangle("fixture", 0.5 * _FIXTURE_MM, 0.5 * _FIXTURE_MM, surface)
    below = np.eye(4)
    if world is not None:
        turn = math.radians(world.value("table_turn_deg"))
        below[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        below[:2, 3] = [world.value(f"table_shift_{axis}_mm") for axis in "xy"]
    below[2, 3] = table_z_mm(connector.shell, connector.cavity)
    table.matrix_world = Matrix((station.matrix @ below).tolist())


def _camera(connector: Connector, station: Station) -> None:
    """Add the camera of the undistorted view; its aperture blurs the picture but no truth pass."""
    scene = bpy.context.scene
    rig = connector.cameras[station.camera.name]
    data = bpy.data.cameras.new(CAMERA)
    view = station.camera.undistorted().lens
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = rig.sensor_width_mm * view.width / station.camera.lens.width
    data.lens = rig.focal_mm
    # Blender takes its unit of length as a metre for a lens; the scene's is a millimetre.
    f_stop = station.f_number * 1e-3
    if rig.field_mm:
        data.type, data.ortho_scale = "ORTHO", view.width / view.focal_px
        # Cycles' aperture of such a camera has the radius 1 / (2 f_stop), in mm; the cone of light that the lens takes
        # from a point in focus has the half angle magnification / (2 f_number).
        f_stop = station.f_number * rig.field_mm / (rig.sensor_width_mm * station.focus_mm)
    data.clip_start, data.clip_end = 1.0, 3.0 * _FIXTURE_MM
    if station.f_number:
        data.dof.use_dof = True
        data.dof.focus_distance = station.focus_mm
        data.dof.aperture_fstop = f_stop
    camera = add_object(CAMERA, data)
    camera.matrix_world = Matrix(station.camera.matrix_world.tolist())
    scene.camera = camera
