"""Add meshes to the current Blender scene."""

from __future__ import annotations

import bpy

from blender_scripts.geometry.mesh import Mesh
from blender_scripts.scene import versions


def make_mesh(name: str, mesh: Mesh, material: bpy.types.Material) -> bpy.types.Mesh:
    """Make a Blender mesh with one material."""
    made = bpy.data.meshes.new(name)
    versions.fill_mesh(made, mesh.vertices, mesh.corners, mesh.starts, mesh.sizes, mesh.smooth)
    made.materials.append(material)
    return made


def add_object(name: str, data: bpy.types.ID, code: int = 0) -> bpy.types.Object:
    """Add an object to the scene; `code` is its number in the instance mask."""
    added = bpy.data.objects.new(name, data)
    added.pass_index = code
    bpy.context.scene.collection.objects.link(added)
    return added
