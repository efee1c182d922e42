"""Light set-ups of an inspection station. Metal reflects the lamps; the camera does not see them directly.

Square panels are Cycles' area lights, which render 10 % faster than emitting meshes and look the same. Rings and domes
are emitting meshes: Cycles has no such lights, and many area lights would be slower.

ring      an annulus round the optical axis, tilted to the part
side      one square panel from an azimuth
dome      a white hemisphere with a hole for the camera
coaxial   a panel across the camera's axis, as seen through a beam splitter
mixed     several of the scene's other set-ups at once, by shares

In the wide world (contract/world.py) lamps have other sizes, places and colours, and a second panel mixes in.
"""

from __future__ import annotations

import math

import bpy
import numpy as np
from mathutils import Matrix

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.housings import Color
from blender_scripts.contract.station import Lighting
from blender_scripts.contract.world import World, tint
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.optics import Station
from blender_scripts.scene import materials, versions
from blender_scripts.scene.objects import add_object, make_mesh
from blender_scripts.scene.surroundings import surround

LAMP = "lamp"
_RING_STEPS = 48
_DOME_STEPS = (8, 32)
_ROOM_SLOPE = 0.8
# Radiance for power 1 is chosen so that a grey card on the table is well exposed.
_FLUX = 12.0
_WHITE: Color = (1.0, 1.0, 1.0)
_AT_CENTRE = np.eye(4)


def light(connector: Connector, name: str, station: Station, world: World | None = None) -> None:
    """Add the lamps of a light set-up, and the grey room around the station, to the Blender scene.

    Args:
        connector: the scene file.
        name: name of one of its light set-ups.
        station: the placement of the part, which varies the lamps' power and direction.
        world: the draws of a row in the wide world.
    """
    main = connector.lightings[name]
    parts = [(connector.lightings[part], share) for part, share in main.parts] or [(main, 1.0)]
    if world is None:
        for number, (lighting, share) in enumerate(parts):
            _lamp(f"{LAMP} {number}", lighting, main.power * share * station.light_power, station)
        _room(main.ambient)
        return
    power, second = main.power * station.light_power, world.value("second_share")
    colour = tint(world.value("lamp_warmth"))
    moved = [(world.lighting(lighting), share) for lighting, share in parts]
    for number, (lighting, share) in enumerate(moved):
        shift = np.eye(4)
        if lighting.kind != "coaxial":
            shift[:2, 3] = [lighting.height_mm * world.value(f"lamp_shift_{axis}") for axis in "xy"]
        _lamp(f"{LAMP} {number}", lighting, power * share * (1.0 - second), station, colour, shift)
    reach = max(max(lighting.height_mm, lighting.radius_mm) for lighting, _ in moved)
    _second_panel(world, reach, power * sum(share for _, share in moved) * second, station)
    surround(world, main)


def has_two_of_a_type() -> bool:
    """Whether the Blender scene has two lamps that are both area lights, or both emitting meshes."""
    types = [each.type for each in bpy.data.objects if each.name.startswith(LAMP)]
    return len(set(types)) < len(types)


def _second_panel(world: World, reach_mm: float, power: float, station: Station) -> None:
    """Add the second light of the wide world: a panel of another colour, from any direction."""
    azimuth, elevation = (math.radians(world.value(f"second_{angle}_deg")) for angle in ("azimuth", "elevation"))
    towards = [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    place = reach_mm * world.value("second_distance") * np.array(towards)
    width, colour = reach_mm * world.value("second_width"), tint(world.value("second_warmth"))
    lamp, frame = _panel(f"{LAMP} second", width, power, place, colour)
    lamp.matrix_world = Matrix((station.matrix @ frame).tolist())
    lamp.visible_camera = False


def _lamp(
    name: str,
    lighting: Lighting,
    power: float,
    station: Station,
    colour: Color = _WHITE,
    shift: np.ndarray = _AT_CENTRE,
) -> None:
    """Add a lamp; `shift` (4, 4) moves it from its place on the station, mm."""
    if lighting.kind == "ring":
        area = 2.0 * math.pi * lighting.radius_mm * lighting.width_mm
        distance = math.hypot(lighting.height_mm, lighting.radius_mm)
        lamp = _glowing(name, _ring(lighting), _FLUX * power * distance**2 / area, colour)
        frame = np.eye(4)
    elif lighting.kind == "dome":
        lamp = _glowing(name, _dome(lighting), _FLUX * power / (2.0 * math.pi), colour)
        frame = np.eye(4)
    else:
        azimuth = math.radians(lighting.azimuth_deg + station.light_azimuth_deg)
        place = np.array([math.cos(azimuth), math.sin(azimuth), 0.0]) * lighting.radius_mm
        place[2] = lighting.height_mm
        if lighting.kind == "coaxial":
            place = lighting.height_mm * station.view_direction
        lamp, frame = _panel(name, lighting.width_mm, power, place, colour)
    lamp.matrix_world = Matrix((station.matrix @ shift @ frame).tolist())
    lamp.visible_camera = False


def _panel(
    name: str, width_mm: float, power: float, place: np.ndarray, colour: Color
) -> tuple[bpy.types.Object, np.ndarray]:
    """A square area light and the matrix (4, 4) that puts it at `place` (3,), mm, in station axes."""
    panel = bpy.data.lights.new(name, "AREA")
    panel.size = width_mm
    panel.color = colour
    # A panel's power is pi times its area times its radiance.
    panel.energy = math.pi * _FLUX * power * float(place @ place)
    return add_object(name, panel), _facing_origin(place)


def _glowing(name: str, mesh: Mesh, radiance: float, colour: Color) -> bpy.types.Object:
    return add_object(name, make_mesh(name, mesh, materials.glow(name, radiance, colour)))


def _facing_origin(place: np.ndarray) -> np.ndarray:
    """A matrix (4, 4) that puts a lamp at `place`, with its -Z axis, along which an area light shines, to the part."""
    towards = -place / np.linalg.norm(place)
    hint = np.array([0.0, 0.0, 1.0]) if abs(towards[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(hint, towards)
    right /= np.linalg.norm(right)
    frame = np.eye(4)
    frame[:3, 0], frame[:3, 1], frame[:3, 2], frame[:3, 3] = right, np.cross(right, towards), -towards, place
    return frame


def _ring(lighting: Lighting) -> Mesh:
    angles = 2.0 * np.pi * np.arange(_RING_STEPS) / _RING_STEPS
    distance = math.hypot(lighting.radius_mm, lighting.height_mm)
    half = 0.5 * lighting.width_mm
    rims = []
    for side in (-1.0, 1.0):
        radius = lighting.radius_mm + side * half * lighting.height_mm / distance
        height = lighting.height_mm + side * half * lighting.radius_mm / distance
        rims.append(np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.full(_RING_STEPS, height)]))
    following = [(i + 1) % _RING_STEPS for i in range(_RING_STEPS)]
    faces = [(_RING_STEPS + i, _RING_STEPS + j, j, i) for i, j in enumerate(following)]
    return Mesh.of(np.concatenate(rims), faces)


def _dome(lighting: Lighting) -> Mesh:
    """Mesh of a hemisphere up to the hole for the camera, whose diameter is width_mm."""
    levels, steps = _DOME_STEPS
    top = math.acos(min(0.9, 0.5 * lighting.width_mm / lighting.radius_mm))
    angles = 2.0 * np.pi * np.arange(steps) / steps
    rings = []
    for level in range(levels + 1):
        elevation = top * level / levels
        radius = lighting.radius_mm * math.cos(elevation)
        height = lighting.radius_mm * math.sin(elevation)
        rings.append(np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.full(steps, height)]))
    faces = []
    for level in range(levels):
        for i in range(steps):
            j = (i + 1) % steps
            faces.append((level * steps + j, level * steps + i, (level + 1) * steps + i, (level + 1) * steps + j))
    return Mesh.of(np.concatenate(rings), faces)


def _room(ambient: float) -> None:
    """Make the world grey, lighter above than below: metal reflects it beside the lamps."""
    world = bpy.data.worlds.new("room")
    bpy.context.scene.world = world
    tree = versions.set_node_tree(world)
    background = next(node for node in tree.nodes if node.type == "BACKGROUND")
    place = tree.nodes.new("ShaderNodeTexCoord")
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    shade = tree.nodes.new("ShaderNodeMath")
    shade.operation = "MULTIPLY_ADD"
    shade.inputs[1].default_value = _ROOM_SLOPE * ambient
    shade.inputs[2].default_value = ambient
    tree.links.new(place.outputs["Generated"], split.inputs["Vector"])
    tree.links.new(split.outputs["Z"], shade.inputs[0])
    tree.links.new(shade.outputs["Value"], background.inputs["Strength"])
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    world.cycles.sampling_method = "NONE"
