"""Moulded plastic, plated metal, print and fixture as Cycles shaders."""

from __future__ import annotations

from statistics import NormalDist

import bpy

from blender_scripts.contract import draws
from blender_scripts.contract.housings import Finish, Surface
from blender_scripts.contract.terminals import Terminal
from blender_scripts.contract.world import BRUSHED, CHECKS, PLAIN
from blender_scripts.geometry.pin import Stain
from blender_scripts.scene import versions

Colour = tuple[float, float, float]


_PLASTIC_IOR = 1.5
# Noise is about normal, mean 0.5, with this standard deviation.
_NOISE_DEVIATION = 0.12
# Where a strong film of oil lies: its share of the plastic's roughness, and of the light that the plastic scatters.
_OIL_ROUGHNESS, _BELOW_OIL = 0.55, 0.85


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


def dielectric(name: str, colour: Colour, roughness: float, finish: Finish, part: int) -> bpy.types.Material:
    """Make the material `name`: plastic with flow marks and dust, which the seed `part` places.

    A diffuse body under a surface that reflects by Fresnel's law looks like Blender's Principled shader and is faster.
    """
    material, tree, output = _empty(name)
    below = tree.nodes.new("ShaderNodeBsdfDiffuse")
    below.inputs["Color"].default_value = (*colour, 1.0)
    surface = tree.nodes.new("ShaderNodeMixShader")
    fresnel = tree.nodes.new("ShaderNodeFresnel")
    fresnel.inputs["IOR"].default_value = _PLASTIC_IOR
    tree.links.new(fresnel.outputs["Fac"] if "Fac" in fresnel.outputs else fresnel.outputs[0], surface.inputs[0])
    gloss = _gloss(tree, (1.0, 1.0, 1.0), roughness)
    tree.links.new(below.outputs["BSDF"], surface.inputs[1])
    tree.links.new(gloss.outputs["BSDF"], surface.inputs[2])
    if finish.mould_marks or finish.dust or finish.oil:
        place = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
        if finish.oil:
            film = _patches(tree, _noise(tree, place, (0.15, 0.15, 0.15), part + 3), 0.4)
            film = math_node(tree, "MULTIPLY", film, finish.oil)
            smooth = math_node(tree, "MULTIPLY_ADD", film, (_OIL_ROUGHNESS - 1.0) * roughness, roughness)
            tree.links.new(smooth, gloss.inputs["Roughness"])
            wet: Colour = (_BELOW_OIL * colour[0], _BELOW_OIL * colour[1], _BELOW_OIL * colour[2])
            tree.links.new(blend(tree, film, colour, wet), below.inputs["Color"])
        if finish.mould_marks:
            # Melt flows along the housing: long waves that a grazing light shows.
            bump = tree.nodes.new("ShaderNodeBump")
            bump.inputs["Strength"].default_value = 0.5 * finish.mould_marks
            bump.inputs["Distance"].default_value = 0.15
            tree.links.new(_noise(tree, place, (0.12, 0.6, 0.6), part), bump.inputs["Height"])
            tree.links.new(bump.outputs["Normal"], gloss.inputs["Normal"])
        if finish.dust:
            speck = math_node(
                tree, "GREATER_THAN", _noise(tree, place, (3.0, 3.0, 3.0), part + 2), _exceeded_by(finish.dust)
            )
            dust = tree.nodes.new("ShaderNodeBsdfDiffuse")
            dust.inputs["Color"].default_value = (0.32, 0.30, 0.27, 1.0)
            dusty = tree.nodes.new("ShaderNodeMixShader")
            tree.links.new(math_node(tree, "MULTIPLY", speck, 0.6), dusty.inputs[0])
            tree.links.new(below.outputs["BSDF"], dusty.inputs[1])
            tree.links.new(dust.outputs["BSDF"], dusty.inputs[2])
            tree.links.new(dusty.outputs["Shader"], surface.inputs[1])
    tree.links.new(surface.outputs["Shader"], output.inputs["Surface"])
    return material


def _exceeded_by(share: float) -> float:
    """The value that noise exceeds in a share of the area, 0 to 1, both excluded."""
    return 0.5 + _NOISE_DEVIATION * NormalDist().inv_cdf(1.0 - share)


def _patches(tree: bpy.types.NodeTree, noise: bpy.types.NodeSocket, share: float) -> bpy.types.NodeSocket:
    """Patches with soft edges that cover about a share of the area: 1 inside, 0 outside."""
    above = math_node(tree, "SUBTRACT", noise, _exceeded_by(share))
    steep = math_node(tree, "MULTIPLY_ADD", above, 0.5 / _NOISE_DEVIATION, 0.5)
    return math_node(tree, "MINIMUM", math_node(tree, "MAXIMUM", steep, 0.0), 1.0)


def blend(tree: bpy.types.NodeTree, share: bpy.types.NodeSocket, first: Colour, second: Colour) -> bpy.types.NodeSocket:
    """Add nodes for a colour that goes from `first`, at share 0, to `second`, at share 1; returns their output."""
    mixed = tree.nodes.new("ShaderNodeVectorMath")
    mixed.operation = "MULTIPLY_ADD"
    tree.links.new(share, mixed.inputs[0])
    mixed.inputs[1].default_value = tuple(b - a for a, b in zip(first, second, strict=True))
    mixed.inputs[2].default_value = first
    return mixed.outputs["Vector"]


def matt(name: str, colour: Colour) -> bpy.types.Material:
    """Make the material `name`: a surface without gloss, for print and the paint of the table under the part."""
    material, tree, output = _empty(name)
    shader = tree.nodes.new("ShaderNodeBsdfDiffuse")
    shader.inputs["Color"].default_value = (*colour, 1.0)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def patterned(name: str, colours: tuple[Colour, Colour], pattern: str, period_mm: float) -> bpy.types.Material:
    """Make a matt surface of two colours.

    Args:
        name: the material's name.
        colours: the two colours; `plain` has only the first.
        pattern: one of world.PATTERNS.
        period_mm: length after which the pattern repeats, about.
    """
    if pattern == PLAIN:
        return matt(name, colours[0])
    material, tree, output = _empty(name)
    place = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
    wave = 1.0 / period_mm
    if pattern == CHECKS:
        checks = tree.nodes.new("ShaderNodeTexChecker")
        # A square has half a period.
        checks.inputs["Scale"].default_value = 2.0 * wave
        tree.links.new(place, checks.inputs["Vector"])
        share = checks.outputs["Fac"]
    else:
        noise = _noise(tree, place, (wave, 0.02 * wave if pattern == BRUSHED else wave, wave), 0)
        share = _patches(tree, noise, 0.5)
    shader = tree.nodes.new("ShaderNodeBsdfDiffuse")
    tree.links.new(blend(tree, share, *colours), shader.inputs["Color"])
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def photograph(name: str, image: bpy.types.Image, size_mm: tuple[float, float], shade: float) -> bpy.types.Material:
    """Make a matt surface that shows an image, centred on the object's origin, X right and Y up.

    Args:
        name: the material's name.
        image: the image.
        size_mm: (width, height) of the area that the image covers; beyond it, mirrored copies continue the image.
        shade: factor on the image's colours.
    """
    material, tree, output = _empty(name)
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Object"], split.inputs["Vector"])
    place = tree.nodes.new("ShaderNodeCombineXYZ")
    for axis, size in zip("XY", size_mm, strict=True):
        share = math_node(tree, "MULTIPLY_ADD", split.outputs[axis], 1.0 / size, 0.5)
        tree.links.new(math_node(tree, "PINGPONG", share, 1.0), place.inputs[axis])
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image, texture.extension = image, "EXTEND"
    tree.links.new(place.outputs["Vector"], texture.inputs["Vector"])
    shaded = tree.nodes.new("ShaderNodeVectorMath")
    shaded.operation, shaded.inputs[1].default_value = "MULTIPLY", (shade, shade, shade)
    tree.links.new(texture.outputs["Color"], shaded.inputs[0])
    # No surface reflects more light than it gets.
    most = tree.nodes.new("ShaderNodeVectorMath")
    most.operation, most.inputs[1].default_value = "MINIMUM", (1.0, 1.0, 1.0)
    tree.links.new(shaded.outputs["Vector"], most.inputs[0])
    shader = tree.nodes.new("ShaderNodeBsdfDiffuse")
    tree.links.new(most.outputs["Vector"], shader.inputs["Color"])
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def bright(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    """Make the material `name`: metal without marks, such as solder; roughness: 0 mirror-like to 1 matt."""
    material, tree, output = _empty(name)
    tree.links.new(_gloss(tree, colour, roughness).outputs["BSDF"], output.inputs["Surface"])
    return material


def plating(name: str, terminal: Terminal, stain: Stain | None, finish: Finish, part: int) -> bpy.types.Material:
    """Make the material `name`: a pin's plating with drawing marks, scratches and stain, placed by the seed `part`."""
    material, tree, output = _empty(name)
    gloss = _gloss(tree, terminal.color, terminal.roughness)
    place = tree.nodes.new("ShaderNodeTexCoord").outputs["Object"]
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value = 0.25 + 0.6 * finish.scratches
    bump.inputs["Distance"].default_value = 0.01
    # Drawn marks run along the pin; scratches are finer and belong to the part.
    marks = (6.0, 6.0, 6.0 - 5.0 * finish.scratches)
    tree.links.new(_noise(tree, place, marks, part if finish.scratches else 0), bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], gloss.inputs["Normal"])
    shader = gloss.outputs["BSDF"]
    if finish.wear:
        red, green, blue = terminal.color
        dull = _gloss(tree, (0.8 * red, 0.8 * green, 0.8 * blue), min(1.0, terminal.roughness + 0.25))
        worn = tree.nodes.new("ShaderNodeMixShader")
        where = _patches(tree, _noise(tree, place, (0.7, 0.7, 0.35), part + 4), 0.5)
        tree.links.new(math_node(tree, "MULTIPLY", where, finish.wear), worn.inputs[0])
        tree.links.new(shader, worn.inputs[1])
        tree.links.new(dull.outputs["BSDF"], worn.inputs[2])
        shader = worn.outputs["Shader"]
    if stain is not None:
        shader = _tarnished(tree, shader, place, stain, part)
    tree.links.new(shader, output.inputs["Surface"])
    return material


def _tarnished(
    tree: bpy.types.NodeTree, clean: bpy.types.NodeSocket, place: bpy.types.NodeSocket, stain: Stain, part: int
) -> bpy.types.NodeSocket:
    """Brown patches over a length of the pin: where noise exceeds a level that is lowest in the stain's middle."""
    dull = _gloss(tree, (0.10, 0.055, 0.025), 0.55)
    split = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(place, split.inputs["Vector"])
    middle, half = stain.from_mm + 0.5 * stain.length_mm, 0.5 * stain.length_mm
    away = math_node(tree, "ABSOLUTE", math_node(tree, "SUBTRACT", split.outputs["Z"], middle))
    inside = math_node(tree, "SUBTRACT", 1.0, math_node(tree, "DIVIDE", away, half))
    patches = _noise(tree, place, (2.2, 2.2, 2.2), part + 1)
    level = math_node(tree, "ADD", math_node(tree, "MULTIPLY", inside, 1.6), math_node(tree, "SUBTRACT", patches, 0.75))
    sharp = math_node(tree, "MULTIPLY", level, 5.0)
    clamped = math_node(tree, "MINIMUM", math_node(tree, "MAXIMUM", sharp, 0.0), 1.0)
    mixed = tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(math_node(tree, "MULTIPLY", clamped, stain.strength), mixed.inputs[0])
    tree.links.new(clean, mixed.inputs[1])
    tree.links.new(dull.outputs["BSDF"], mixed.inputs[2])
    return mixed.outputs["Shader"]


def surface(name: str, wanted: Surface, finish: Finish, part: int) -> bpy.types.Material:
    """Make the material `name` of a housing; the seed `part` chooses its colour and varies brightness and roughness."""
    source = draws.generator(part, "finish", name)
    colour = wanted.colors[min(int(source.random() * len(wanted.colors)), len(wanted.colors) - 1)]
    shade = 2.0 ** draws.symmetric(source, finish.shade_stops)
    red, green, blue = (min(1.0, level * shade) for level in colour)
    roughness = min(1.0, max(0.05, wanted.roughness * (1.0 + draws.symmetric(source, finish.roughness))))
    if wanted.material == "metal":
        return bright(name, (red, green, blue), roughness)
    return dielectric(name, (red, green, blue), roughness, finish, part)


def math_node(tree: bpy.types.NodeTree, operation: str, *values: object) -> bpy.types.NodeSocket:
    """Add a math node whose inputs are sockets or numbers; returns its output socket."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for number, value in enumerate(values):
        if isinstance(value, float | int):
            node.inputs[number].default_value = value
        else:
            tree.links.new(value, node.inputs[number])
    return node.outputs[0]


def _noise(
    tree: bpy.types.NodeTree, place: bpy.types.NodeSocket, per_mm: tuple[float, float, float], part: int
) -> bpy.types.NodeSocket:
    """Noise around 0.5 with about `per_mm` waves per mm in X, Y and Z; the seed `part` chooses its offset."""
    source = draws.generator(part, "noise")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Scale"].default_value = per_mm
    mapping.inputs["Location"].default_value = tuple(draws.uniform(source, 0.0, 100.0) for _ in range(3))
    tree.links.new(place, mapping.inputs["Vector"])
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 1.0
    noise.inputs["Detail"].default_value = 1.0
    tree.links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
    return noise.outputs["Fac"] if "Fac" in noise.outputs else noise.outputs[0]


def glow(name: str, strength: float, colour: Colour = (1.0, 1.0, 1.0)) -> bpy.types.Material:
    """Make the emitting material `name` of a lamp.

    Args:
        name: the material's name.
        strength: its radiance, Blender's emission strength.
        colour: factors on red, green and blue.
    """
    material, tree, output = _empty(name)
    shader = tree.nodes.new("ShaderNodeEmission")
    shader.inputs["Color"].default_value = (*colour, 1.0)
    shader.inputs["Strength"].default_value = strength
    tree.links.new(shader.outputs["Emission"], output.inputs["Surface"])
    return material


def _shining(name: str) -> tuple[bpy.types.Material, bpy.types.NodeTree, bpy.types.Node]:
    """A material, its nodes and its emission node: shows the camera a value, but is not sampled as a lamp."""
    material = glow(name, 1.0)
    versions.not_a_lamp(material)
    tree = material.node_tree
    return material, tree, next(node for node in tree.nodes if node.type == "EMISSION")


def _depth() -> bpy.types.Material:
    material, tree, shader = _shining("depth")
    view = tree.nodes.new("ShaderNodeCameraData")
    tree.links.new(view.outputs["View Z Depth"], shader.inputs["Strength"])
    return material


def _normal() -> bpy.types.Material:
    """A material that shows the unit normal, mapped to [0, 1] since light cannot be negative."""
    material, tree, shader = _shining("normal")
    surface = tree.nodes.new("ShaderNodeNewGeometry")
    moved = tree.nodes.new("ShaderNodeVectorMath")
    moved.operation = "MULTIPLY_ADD"
    moved.inputs[1].default_value = moved.inputs[2].default_value = (0.5, 0.5, 0.5)
    tree.links.new(surface.outputs["Normal"], moved.inputs[0])
    tree.links.new(moved.outputs["Vector"], shader.inputs["Color"])
    return material


# Rendered at pixel centres, these give depth along the optical axis and surface normals.
TRUTH = {"depth": _depth, "normal": _normal}
