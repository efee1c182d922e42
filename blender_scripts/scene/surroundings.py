"""What metal reflects beside the lamps in the wide world: a sky and a ground of two tints, and bright windows."""

from __future__ import annotations

import math

import bpy
import numpy as np

from blender_scripts.contract.housings import Color
from blender_scripts.contract.station import Lighting
from blender_scripts.contract.world import Window, World, tint
from blender_scripts.scene import materials, versions


def surround(world: World, lighting: Lighting) -> None:
    """Put the surroundings that a row of the wide world draws around the station.

    Args:
        world: the row's draws.
        lighting: the row's light set-up, with the brightness of the scene's own room.
    """
    around = bpy.data.worlds.new("surroundings")
    bpy.context.scene.world = around
    tree = versions.set_node_tree(around)
    background = next(node for node in tree.nodes if node.type == "BACKGROUND")
    direction = tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    ambient, slope = world.ambient(lighting), world.value("sky_slope")
    ground = _scaled(tint(world.value("ground_warmth")), ambient * (1.0 - slope))
    sky = _scaled(tint(world.value("sky_warmth")), ambient * (1.0 + slope))
    height = _dot(tree, direction, (0.0, 0.0, 1.0))
    light = materials.blend(tree, materials.math_node(tree, "MULTIPLY_ADD", height, 0.5, 0.5), ground, sky)
    for window in world.windows():
        inside = _inside(tree, direction, window)
        shine = materials.blend(tree, inside, (0.0, 0.0, 0.0), (ambient * window.radiance,) * 3)
        total = tree.nodes.new("ShaderNodeVectorMath")
        total.operation = "ADD"
        tree.links.new(light, total.inputs[0])
        tree.links.new(shine, total.inputs[1])
        light = total.outputs["Vector"]
    tree.links.new(light, background.inputs["Color"])
    background.inputs["Strength"].default_value = 1.0
    around.cycles.sampling_method = "NONE"


def _scaled(colour: Color, factor: float) -> Color:
    red, green, blue = (factor * level for level in colour)
    return red, green, blue


def _dot(
    tree: bpy.types.NodeTree, direction: bpy.types.NodeSocket, axis: tuple[float, float, float]
) -> bpy.types.NodeSocket:
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation = "DOT_PRODUCT"
    tree.links.new(direction, node.inputs[0])
    node.inputs[1].default_value = axis
    return node.outputs["Value"]


def _inside(tree: bpy.types.NodeTree, direction: bpy.types.NodeSocket, window: Window) -> bpy.types.NodeSocket:
    """Whether a direction meets the window: 1, else 0."""
    azimuth, elevation = math.radians(window.azimuth_deg), math.radians(window.elevation_deg)
    middle = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    ahead = _dot(tree, direction, tuple(middle.tolist()))
    inside = materials.math_node(tree, "GREATER_THAN", ahead, 0.0)
    for axis, size_deg in ((right, window.width_deg), (np.cross(middle, right), window.height_deg)):
        aside = materials.math_node(tree, "ABSOLUTE", _dot(tree, direction, tuple(axis.tolist())))
        edge = materials.math_node(tree, "MULTIPLY", ahead, math.tan(math.radians(0.5 * size_deg)))
        inside = materials.math_node(tree, "MULTIPLY", inside, materials.math_node(tree, "LESS_THAN", aside, edge))
    return inside
