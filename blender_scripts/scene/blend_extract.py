"""Write the faces of a .blend file's objects to an .npz file. blend_files.py runs this in a child process.

    blender -b --factory-startup --disable-autoexec -P blend_extract.py -- FILE.blend RESULT.npz OBJECT_OR_NULL_AS_JSON

Objects are linked and the file is not opened, so that its scripts do not run and none of its scenes or drivers is
evaluated. World matrices are computed here from the transformations in the file. RESULT.npz holds `vertices` (V, 3),
`corners` (C,) and `sizes` (F,), or `problem`, a JSON text.
"""

import contextlib
import json
import os
import sys
from typing import Any

import bpy
import numpy as np

# Modifiers that leave every face where it is.
_HARMLESS = {"EDGE_SPLIT", "NORMAL_EDIT", "WEIGHTED_NORMAL", "TRIANGULATE", "UV_PROJECT", "UV_WARP"}
_MOST_MEMORY = 16 * 2**30
_MOST_DEEP = 200


class Problem(Exception):
    """A problem for the parent process: `expected` and `got` of a message, or the Blender `version` that is needed."""

    def __init__(self, **fields: object) -> None:
        super().__init__(fields)
        self.fields = fields


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


def _linked(path: str, wanted: str | None) -> list[bpy.types.Object]:
    """Link the object `wanted`; None: all objects that the file's scene renders, or all if it has no scene."""
    try:
        with bpy.data.libraries.load(path, link=True) as (there, taken):
            names = list(there.objects)
            if wanted is not None and wanted not in names:
                shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
                raise Problem(expected=f"a file with the object {wanted!r}", got=ascii(shown or "no object at all"))
            scenes = list(there.scenes) if wanted is None else []
            if len(scenes) > 1:
                raise Problem(expected="a file with one scene, or the key `object`", got=f"{len(scenes)} scenes")
            # An older Blender does not list objects linked from other files, but finds them in the scene.
            taken.objects, taken.scenes = names if wanted is None else [wanted], scenes
            others = [each.filepath for each in getattr(there, "libraries", ())]
    except OSError:
        expected = f"a .blend file that Blender {bpy.app.version_string} can read"
        raise Problem(expected=expected, got="a damaged file, or one of a newer Blender") from None
    for library in bpy.data.libraries:
        if tuple(library.version)[:2] > tuple(bpy.app.version)[:2]:
            raise Problem(version=list(library.version))
    needed = [each.filepath for each in bpy.data.libraries if bpy.path.abspath(each.filepath) != path]
    if needed or (wanted is None and others):
        linked = ", ".join(sorted({ascii(os.path.basename(each)) for each in (*needed, *others)})[:5])
        raise Problem(expected="a file that needs no other file", got=f"links to other files: {linked}")
    objects = [item for item in taken.objects if item is not None]
    if not scenes:
        return objects
    rendered = _in_renders(taken.scenes[0])
    return [item for item in objects if item in rendered]


def _in_renders(scene: bpy.types.Scene) -> set[bpy.types.Object]:
    """The objects in collections that renders show."""
    found: set[bpy.types.Object] = set()
    layers = [layer.layer_collection for layer in scene.view_layers if layer.use]
    while layers:
        layer = layers.pop()
        # Hiding a collection hides those below it too; excluding it from a layer does not.
        if not layer.collection.hide_render:
            layers += layer.children
            if not layer.exclude:
                found.update(layer.collection.objects)
    return found


def _matrix(item: bpy.types.Object, depth: int = 0) -> np.ndarray:
    """World matrix (4, 4) from location, rotation, scale and parents, as the file states them."""
    place = f"the object {item.name!r}"
    if depth > _MOST_DEEP:
        raise Problem(expected=f"chains of at most {_MOST_DEEP} parents", got=f"a longer one above {place}")
    acting = [each.type for each in item.constraints if not each.mute]
    if acting:
        raise Problem(expected=f"{place} without constraints (apply them in Blender)", got=", ".join(acting))
    own = np.array(item.matrix_basis, float)
    if item.parent is None:
        return own
    if item.parent_type != "OBJECT":
        raise Problem(expected=f"{place} with no parent, or an object as its parent", got=item.parent_type)
    world: np.ndarray = _matrix(item.parent, depth + 1) @ np.array(item.matrix_parent_inverse, float) @ own
    return world


def _check(item: bpy.types.Object) -> None:
    place = f"the object {item.name!r}"
    for modifier in item.modifiers:
        shading = modifier.type == "NODES" and modifier.name.startswith("Smooth by Angle")
        if modifier.show_render and modifier.type not in _HARMLESS and not shading:
            raise Problem(expected=f"{place} without modifiers (apply them in Blender)", got=modifier.type)
    if item.data.shape_keys is not None:
        raise Problem(expected=f"{place} without shape keys (apply them in Blender)", got="shape keys")


def _faces(item: bpy.types.Object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mesh = item.data
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    corners = np.empty(len(mesh.loops), np.int32)
    sizes = np.empty(len(mesh.polygons), np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_total", sizes)
    matrix = _matrix(item)
    points = vertices.reshape(-1, 3).astype(float) @ matrix[:3, :3].T + matrix[:3, 3]
    if np.linalg.det(matrix[:3, :3]) < 0.0:
        ends = np.cumsum(sizes)
        corners = corners[np.repeat(2 * ends - sizes - 1, sizes) - np.arange(len(corners))]
    return points, corners, sizes


def _extract(path: str, wanted: str | None) -> dict[str, np.ndarray]:
    objects = _linked(path, wanted)
    if wanted is None:
        copies = [item.name for item in objects if item.instance_type != "NONE" and not item.hide_render]
        if copies:
            got = f"instances of {copies[0]!a}"
            raise Problem(expected="objects without instances (Object > Apply > Make Instances Real)", got=got)
        objects = [item for item in objects if item.type == "MESH" and not item.hide_render]
        if not objects:
            raise Problem(expected="a mesh object that is shown in renders", got="none")
    elif objects[0].type != "MESH":
        raise Problem(expected=f"the object {wanted!r} as a mesh", got=objects[0].type)
    points, corners, sizes, start = [], [], [], 0
    for item in objects:
        _check(item)
        own = _faces(item)
        points.append(own[0])
        corners.append(own[1].astype(np.int64) + start)
        sizes.append(own[2])
        start += len(own[0])
    return {"vertices": np.concatenate(points), "corners": np.concatenate(corners), "sizes": np.concatenate(sizes)}


def main() -> None:
    """Write the faces of the .blend file, or the problem with it, to RESULT.npz."""
    path, result, wanted = sys.argv[sys.argv.index("--") + 1 :]
    _limit_memory()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    found: dict[str, Any]
    try:
        found = _extract(path, json.loads(wanted))
    except Problem as problem:
        found = {"problem": np.array(json.dumps(problem.fields))}
    partial = f"{result}.part"
    with open(partial, "wb") as file:
        np.savez(file, **found)
    # The file gets its final name only once it is complete.
    os.replace(partial, result)


if __name__ == "__main__":
    main()
