"""Moulded plastic, plated metal, print and fixture as Cycles"""

from __future__ import annotations

import bpy

from . import versions

Colour = tuple[float, float, float]


_PLASTIC_IOR = 1.5


def _empty(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    material = bpy.data.materials.new(name)
    tree = versions.set_node_tree(material)
    tree.nodes.clear()
    return material, tree, tree.nodes.new("ShaderNodeOutputMaterial")


def _gloss(tree: bpy.types.NodeTree, colour: Colour, roughness: float) -> bpy.types.Node:
    gloss = tree.nodes.new("ShaderNodeBsdfGlossy")
    gloss.distribution = "GGX"
    gloss.inputs["Color"].default_value = (*colour, 1.0)
    gloss.inputs["Roughness"].default_value = roughness
    return gloss


def dielectric(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """Plastic: colour from below a clear surface that reflects by Fresnel's law.

    Two plain closures do what the Principled shader's many would.
    """
    material, tree, output = _empty(name)
    below = tree.nodes.new("ShaderNodeBsdfDiffuse")
    below.inputs["Color"].default_value = (*colour, 1.0)
    surface = tree.nodes.new("ShaderNodeMixShader")
    fresnel = tree.nodes.new("ShaderNodeFresnel")
    fresnel.inputs["IOR"].default_value = _PLASTIC_IOR
    tree.links.new(
        fresnel.outputs["Fac"] if "Fac" in fresnel.outputs else fresnel.outputs[0], surface.inputs[0]
    )
    tree.links.new(below.outputs["BSDF"], surface.inputs[1])
    tree.links.new(_gloss(tree, (1.0, 1.0, 1.0), roughness).outputs["BSDF"], surface.inputs[2])
    tree.links.new(surface.outputs["Shader"], output.inputs["Surface"])
    return material


def matt(name: str, colour: Colour) -> bpy.types.Material:
    """Print and the fixture's paint: no gloss."""
    material, tree, output = _empty(name)
    shader = tree.nodes.new("ShaderNodeBsdfDiffuse")
    shader.inputs["Color"].default_value = (*colour, 1.0)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def metal(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """Bright plating on a drawn pin, with fine marks along it."""
    material, tree, output = _empty(name)
    gloss = _gloss(tree, colour, roughness)
    place = tree.nodes.new("ShaderNodeTexCoord")
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 6.0
    noise.inputs["Detail"].default_value = 1.0
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.25
    bump.inputs["Distance"].default_value = 0.01
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    tree.links.new(
        noise.outputs["Fac"] if "Fac" in noise.outputs else noise.outputs[0], bump.inputs["Height"]
    )
    tree.links.new(bump.outputs["Normal"], gloss.inputs["Normal"])
    tree.links.new(gloss.outputs["BSDF"], output.inputs["Surface"])
    return material


def glow(name: str, strength: float) -> bpy.types.Material:
    """A lamp's diffuser."""
    material, tree, output = _empty(name)
    shader = tree.nodes.new("ShaderNodeEmission")
    shader.inputs["Strength"].default_value = strength
    tree.links.new(shader.outputs["Emission"], output.inputs["Surface"])
    return material


def _shining(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    """A material that shows a value and lights nothing."""
    material = glow(name, 1.0)
    versions.not_a_lamp(material)
    tree = material.node_tree
    return material, tree, next(node for node in tree.nodes if node.type == "EMISSION")


def _index() -> bpy.types.Material:
    material, tree, shader = _shining("index")
    info = tree.nodes.new("ShaderNodeObjectInfo")
    tree.links.new(info.outputs["Object Index"], shader.inputs["Strength"])
    return material


def _depth() -> bpy.types.Material:
    material, tree, shader = _shining("depth")
    view = tree.nodes.new("ShaderNodeCameraData")
    tree.links.new(view.outputs["View Z Depth"], shader.inputs["Strength"])
    return material


def _normal() -> bpy.types.Material:
    """The unit normal, moved to [0, 1] since light has no sign."""
    material, tree, shader = _shining("normal")
    surface = tree.nodes.new("ShaderNodeNewGeometry")
    moved = tree.nodes.new("ShaderNodeVectorMath")
    moved.operation = "MULTIPLY_ADD"
    moved.inputs[1].default_value = moved.inputs[2].default_value = (0.5, 0.5, 0.5)
    tree.links.new(surface.outputs["Normal"], moved.inputs[0])
    tree.links.new(moved.outputs["Vector"], shader.inputs["Color"])
    return material


# Rendered at pixel centres these are the instance mask, the depth along the optical axis and the surface normals.
TRUTH = {"index": _index, "depth": _depth, "normal": _normal}
