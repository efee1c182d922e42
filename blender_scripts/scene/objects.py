"""Add meshes to the current Blender scene."""

from __future__ import annotations

import bpy
import numpy as np

from blender_scripts.geometry.mesh import Mesh
from blender_scripts.scene import versions


def make_mesh(name: str, mesh: Mesh, material: bpy.types.Material) -> bpy.types.Mesh:
    """Make a Blender mesh with one material."""
    made = bpy.data.meshes.new(name)
    versions.fill_mesh(made, mesh.vertices, mesh.corners, mesh.starts, mesh.sizes, mesh.smooth)
    made.materials.append(material)
    return made


def add_object(name: str, data: bpy.types.ID) -> bpy.types.Object:
    """Add an object with `data`, such as a mesh, a light or a camera, to the scene, and return it."""
    added = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(added)
    return added


def triangles_of(made: bpy.types.Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3), mm, and vertex indices (T, 3) of the triangles into which Blender divides a mesh."""
    made.calc_loop_triangles()
    corners = np.empty(3 * len(made.loop_triangles), np.int32)
    made.loop_triangles.foreach_get("vertices", corners)
    vertices = np.empty(3 * len(made.vertices), np.float32)
    made.vertices.foreach_get("co", vertices)
    return vertices.astype(float).reshape(-1, 3), corners.reshape(-1, 3)
