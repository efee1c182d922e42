"""Moulded plastic, plated metal, print and fixture as Cycles materials."""

from __future__ import annotations

import bpy

from . import versions

Colour = tuple[float, float, float]


def _principled(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    tree = versions.set_node_tree(material)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    return material, tree, shader


def _grain(tree: bpy.types.NodeTree, shader: bpy.types.Node, scale: float, strength: float, distance: float) -> None:
    """A fine bump from noise in object coordinates (mm): the skin of a moulding, the drawing marks of a pin."""
    place = tree.nodes.new("ShaderNodeTexCoord")
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = scale
    noise.inputs["Detail"].default_value = 2.0
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = strength
    bump.inputs["Distance"].default_value = distance
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(noise.outputs["Fac"] if "Fac" in noise.outputs else noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def plastic(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """A glass-filled moulding: dark, softly shining, with a slight grain."""
    material, tree, shader = _principled(name)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = roughness
    versions.set_specular(shader, 0.35)
    _grain(tree, shader, 3.5, 0.35, 0.02)
    return material


def metal(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """Bright plating on a drawn pin."""
    material, tree, shader = _principled(name)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Metallic"].default_value = 1.0
    shader.inputs["Roughness"].default_value = roughness
    _grain(tree, shader, 6.0, 0.25, 0.01)
    return material


def paint(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """Print and painted surfaces: matt, without grain."""
    material, _, shader = _principled(name)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = roughness
    versions.set_specular(shader, 0.3)
    return material


def glow(name: str, strength: float) -> bpy.types.Material:
    """A lamp's diffuser."""
    material = bpy.data.materials.new(name)
    tree = versions.set_node_tree(material)
    tree.nodes.clear()
    shader = tree.nodes.new("ShaderNodeEmission")
    shader.inputs["Strength"].default_value = strength
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(shader.outputs["Emission"], output.inputs["Surface"])
    return material


def index_light(name: str) -> bpy.types.Material:
    """Shines with the strength of its object's pass index: rendered at pixel centres it is the instance mask."""
    material = glow(name, 1.0)
    versions.not_a_lamp(material)
    tree = material.node_tree
    info = tree.nodes.new("ShaderNodeObjectInfo")
    shader = next(node for node in tree.nodes if node.type == "EMISSION")
    tree.links.new(info.outputs["Object Index"], shader.inputs["Strength"])
    return material
