"""Differences between Blender 3.4 and 5.2: the only module that asks for Blender's version."""

from __future__ import annotations

import contextlib
import math
import sys

import bpy
import numpy as np

from blender_scripts.contract.errors import InputError

OLDEST = (3, 4, 0)
OLDEST_PYTHON = (3, 11)
# Before 4.1 a mesh of more faces has its normals summed by several threads.
_FACES_OF_ONE_THREAD = 1024


def check_version() -> None:
    """Raise InputError for a Blender older than 3.4 or with a Python older than 3.11."""
    if bpy.app.version < OLDEST or sys.version_info < OLDEST_PYTHON:
        found = f"Blender {bpy.app.version_string} with Python {sys.version.split()[0]}"
        raise InputError(f"blender: expected Blender 3.4 or newer with Python 3.11 or newer, got {found}")


def blender_version() -> str:
    """Version of the running Blender, such as 5.2.0."""
    return ".".join(str(number) for number in bpy.app.version)


def has_denoiser() -> bool:
    """Whether this build of Cycles has Open Image Denoise; Debian's has not."""
    import _cycles

    return bool(_cycles.with_openimagedenoise)


def use_denoiser(settings: bpy.types.PropertyGroup, on: bool) -> None:
    """Switch Open Image Denoise on or off: in fast quality, guided by albedo and normals, which it denoises as well."""
    settings.use_denoising = on
    if on:
        settings.denoiser = "OPENIMAGEDENOISE"
        settings.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        settings.denoising_prefilter = "FAST"
        if hasattr(settings, "denoising_quality"):
            settings.denoising_quality = "FAST"


def use_pixel_filter(settings: bpy.types.PropertyGroup) -> None:
    """Let the pixel filter place each sample on its own, by switching `use_pixel_jitter` (Blender 5.0) off.

    If it is on, all samples of a batch have the same place in the pixel, and Cycles sets the size of a batch by the
    time that samples take. So the picture depends on the load, is shifted by part of a pixel and has no smooth
    edges.
    """
    if hasattr(settings, "use_pixel_jitter"):
        settings.use_pixel_jitter = False


def refresh_devices(preferences: bpy.types.PropertyGroup) -> None:
    """Make Cycles look for graphics cards; `preferences` are those of the Cycles add-on."""
    if hasattr(preferences, "refresh_devices"):
        preferences.refresh_devices()
    else:
        preferences.get_devices()


def use_even_noise(settings: bpy.types.PropertyGroup) -> None:
    """Distribute the error of neighbouring pixels evenly (blue noise); a Blender before 4.2 keeps its own sampling."""
    with contextlib.suppress(TypeError):
        settings.sampling_pattern = "BLUE_NOISE"


def set_samples(settings: bpy.types.PropertyGroup, count: int, skipped: int = 0) -> None:
    """Set the samples of a pixel to render: `count` after the first `skipped`; before 4.5: the first `count`."""
    settings.samples = count
    if hasattr(settings, "use_sample_subset"):
        settings.use_sample_subset = skipped > 0
        settings.sample_offset = skipped
        settings.sample_subset_length = count
        settings.samples = count + skipped


def use_light_tree(settings: bpy.types.PropertyGroup, on: bool) -> None:
    """Switch Cycles' light tree (from 3.5) on or off; it costs a third of the render time of a small picture."""
    if hasattr(settings, "use_light_tree"):
        settings.use_light_tree = on


def set_node_tree(owner: bpy.types.ID) -> bpy.types.NodeTree:
    """Return the node tree of a material or world, made first if the version (before 5.0) requires it."""
    if bpy.app.version < (5, 0, 0):
        owner.use_nodes = True
    return owner.node_tree


def set_still_picture(image_settings: bpy.types.ImageFormatSettings) -> None:
    """Set the output to single pictures, if this version of Blender has such a setting."""
    if hasattr(image_settings, "media_type"):
        image_settings.media_type = "IMAGE"


def not_a_lamp(material: bpy.types.Material) -> None:
    """Exclude an emitting material from light sampling, as Cycles would rebuild its tables for each picture."""
    if hasattr(material.cycles, "emission_sampling"):
        material.cycles.emission_sampling = "NONE"
    else:
        material.cycles.sample_as_light = False


def fill_mesh(
    made: bpy.types.Mesh,
    vertices: np.ndarray,
    corners: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    smooth: np.ndarray,
) -> None:
    """Fill a new, empty Blender mesh from arrays; geometry/mesh.py explains their shapes.

    From Blender 4.1 on, the attribute arrays are filled directly, a hundred times as fast as by the older way.
    """
    made.vertices.add(len(vertices))
    made.loops.add(len(corners))
    made.polygons.add(len(sizes))
    places = np.ascontiguousarray(vertices, np.float32).ravel()
    made.polygons.foreach_set("loop_start", starts)
    if bpy.app.version < (4, 1, 0):
        made.vertices.foreach_set("co", places)
        made.loops.foreach_set("vertex_index", corners)
        made.polygons.foreach_set("use_smooth", smooth)
        if bpy.app.version < (4, 0, 0):  # later versions derive it from loop_start
            made.polygons.foreach_set("loop_total", sizes)
    else:
        made.attributes["position"].data.foreach_set("vector", places)
        made.attributes[".corner_vert"].data.foreach_set("value", corners)
        made.attributes.new("sharp_face", "BOOLEAN", "FACE").data.foreach_set("value", ~smooth)
    made.update(calc_edges=True)
    if bpy.app.version < (4, 1, 0) and len(sizes) > _FACES_OF_ONE_THREAD and smooth.any():
        # Several threads would sum a vertex's faces in random order. A mesh with custom corner normals (zero means:
        # automatic) is summed corner by corner instead.
        made.use_auto_smooth, made.auto_smooth_angle = True, math.pi
        made.normals_split_custom_set_from_vertices(np.zeros((len(vertices), 3), np.float32))
