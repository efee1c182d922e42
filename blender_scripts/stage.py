"""One part on one inspection station as a Blender scene; its pins are objects of their own, numbered for the mask.

Everything is laid out anew for each row, in one order and under fixed names, so that a picture does not depend on
what was rendered before it.
"""

from __future__ import annotations

from functools import lru_cache

import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.geometry import delaunay_2d_cdt

from . import geometry, lamps, materials
from .connector import Connector, Housing, Terminal
from .mesh import Mesh, join
from .objects import add_object, make_mesh
from .optics import Station
from .placement import Pin
from .truth import CAVITY_CODES, HOUSING_CODE

CAMERA = "camera"
_ALL_TRIANGLES = 0
_FIXTURE_MM = 4000.0


@lru_cache(maxsize=8)
def _floor(connector: Connector, terminal: Terminal) -> Mesh:
    """The cavity floor at z = 0 with a hole for every position, triangulated by constrained Delaunay."""
    outer = geometry.floor_outline(connector.shell)
    hole = geometry.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
    loops = [outer, *(hole + np.array([p.x_mm, p.y_mm]) for p in connector.positions)]
    edges, start = [], 0
    for loop in loops:
        edges += [(start + i, start + (i + 1) % len(loop)) for i in range(len(loop))]
        start += len(loop)
    flat, _, faces, *_ = delaunay_2d_cdt(
        [Vector(p) for p in np.concatenate(loops)], edges, [], _ALL_TRIANGLES, 1e-5
    )
    corners = np.array([(*p, 0.0) for p in flat])
    triangles = np.array(faces)
    a, b, c = (corners[triangles[:, i]] for i in range(3))
    # Holes are convex and filled by triangles of their own: those whose middle lies in one are dropped.
    middles = ((a + b + c) / 3.0)[:, :2]
    open_ = np.zeros(len(middles), bool)
    for loop in loops[1:]:
        sides = np.roll(loop, -1, axis=0) - loop
        to_middle = middles[:, None] - loop
        open_ |= np.all(sides[:, 0] * to_middle[..., 1] - sides[:, 1] * to_middle[..., 0] > 0.0, axis=1)
    upward = np.cross(b - a, c - a)[:, 2] > 0.0
    triangles[~upward] = triangles[~upward][:, ::-1]
    return Mesh.of(corners, triangles[~open_].tolist())


@lru_cache(maxsize=8)
def _housing(connector: Connector, housing: str, terminal: Terminal) -> Mesh:
    floor = _floor(connector, terminal).moved((0.0, 0.0, -connector.shell.depth_mm))
    blocks = [geometry.block_mesh(block) for block in connector.housings[housing].blocks]
    return join([geometry.shell_mesh(connector.shell), floor, *blocks])


@lru_cache(maxsize=32)
def _body(connector: Connector, housing: str, terminal: Terminal, empty: tuple[int, ...]) -> Mesh:
    """The housing with the cavities that hold a pin; those in `empty` are objects of their own, for the mask."""
    cavity = geometry.cavity_mesh(terminal, connector.cavity)
    filled = [
        cavity.moved((p.x_mm, p.y_mm, -connector.shell.depth_mm))
        for p in connector.positions
        if p.index not in empty
    ]
    return join([_housing(connector, housing, terminal), *filled])


@lru_cache(maxsize=8)
def _print(connector: Connector, marking: str) -> Mesh | None:
    return geometry.print_mesh(connector.marking, marking, connector.positions)


class Stage:
    """Builds rows in the current Blender scene; keeps what truth needs: the vertices of the housing."""

    def __init__(self) -> None:
        self.housing_vertices = np.zeros((0, 3))
        self._truth: dict[str, bpy.types.Material] = {}
        self._sharp = True

    def lay_out(
        self,
        connector: Connector,
        housing: str,
        marking: str,
        lighting: str,
        pins: tuple[Pin, ...],
        station: Station,
    ) -> None:
        """Replace whatever is in the scene by one part under one station."""
        _clear()
        terminal = pins[0].terminal
        plastic = _plastic(connector.housings[housing])
        plating = materials.metal("plating", terminal.color, terminal.roughness)
        self.housing_vertices = _housing(connector, housing, terminal).vertices
        # One object for housing and filled cavities: every object in a ray's way costs time.
        empty = tuple(pin.position.index for pin in pins if pin.missing)
        body = _body(connector, housing, terminal, empty)
        add_object("housing", make_mesh("housing", body, plastic), HOUSING_CODE)
        if empty:
            mouth = make_mesh("cavity", geometry.cavity_mesh(terminal, connector.cavity), plastic)
        good = make_mesh("pin", geometry.pin_mesh(terminal), plating)
        floor = -connector.shell.depth_mm
        for pin in pins:
            position = pin.position
            if pin.missing:
                cavity = add_object(f"cavity {position.index:04d}", mouth, CAVITY_CODES + position.index)
                cavity.location = (position.x_mm, position.y_mm, floor)
                continue
            mesh = good
            if pin.bend.angle_rad:
                mesh = make_mesh(f"pin {position.index:04d}", geometry.pin_mesh(terminal, pin.bend), plating)
            thing = add_object(f"pin {position.index:04d}", mesh, position.index)
            thing.matrix_world = Matrix(geometry.pin_matrix(pin).tolist())
        letters = _print(connector, marking)
        if letters is not None:
            # Print is part of the housing's surface, and the mask sees it as such.
            ink = materials.matt("ink", connector.marking.color)
            add_object("print", make_mesh("print", letters, ink), HOUSING_CODE)
        _fixture(connector, station)
        lamps.light(connector, lighting, station)
        _camera(connector, station)
        self._sharp = not station.f_number
        self._truth = {kind: make() for kind, make in materials.TRUTH.items()}

    def show(self, kind: str | None) -> None:
        """Every surface shines with its `index`, `depth` or `normal`, without blur; None: as it is.

        Lamps cannot be seen, and light nothing in a render without bounces.
        """
        bpy.context.view_layer.material_override = self._truth[kind] if kind else None
        bpy.data.cameras[CAMERA].dof.use_dof = kind is None and not self._sharp


def _clear() -> None:
    for collection in (
        bpy.data.objects,
        bpy.data.meshes,
        bpy.data.materials,
        bpy.data.cameras,
        bpy.data.lights,
        bpy.data.worlds,
    ):
        bpy.data.batch_remove(collection)


def _plastic(housing: Housing) -> bpy.types.Material:
    return materials.dielectric("plastic", housing.color, housing.roughness)


def _rectangle(name: str, half_x: float, half_y: float, material: bpy.types.Material) -> bpy.types.Object:
    corners = np.array(
        [[-half_x, -half_y, 0], [half_x, -half_y, 0], [half_x, half_y, 0], [-half_x, half_y, 0]], float
    )
    return add_object(name, make_mesh(name, Mesh.of(corners, [(0, 1, 2, 3)]), material))


def _fixture(connector: Connector, station: Station) -> None:
    """The table under the part, fixed to the station."""
    red, green, blue = (min(1.0, level * station.fixture_shade) for level in connector.fixture_color)
    shade = (red, green, blue)
    table = _rectangle(
        "fixture",
        0.5 * _FIXTURE_MM,
        0.5 * _FIXTURE_MM,
        materials.matt("fixture", shade),
    )
    below = np.eye(4)
    below[2, 3] = -connector.shell.height_mm - 0.5
    table.matrix_world = Matrix((station.matrix @ below).tolist())


def _camera(connector: Connector, station: Station) -> None:
    """The pinhole that renders the undistorted view; its aperture blurs the picture and never the truth."""
    scene = bpy.context.scene
    rig = connector.cameras[station.camera.name]
    data = bpy.data.cameras.new(CAMERA)
    view = station.camera.undistorted().lens
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = rig.sensor_width_mm * view.width / station.camera.lens.width
    data.lens = rig.focal_mm
    data.clip_start, data.clip_end = 1.0, 3.0 * _FIXTURE_MM
    if station.f_number:
        data.dof.use_dof = True
        data.dof.focus_distance = station.focus_mm
        # Blender takes its unit of length for a metre here, and ours is a millimetre.
        data.dof.aperture_fstop = station.f_number * 1e-3
    camera = add_object(CAMERA, data)
    camera.matrix_world = Matrix(station.camera.matrix_world.tolist())
    scene.camera = camera
