"""The child process of blend_files.py: link a .blend's objects, write their faces to an .npz, end.

    blender -b --factory-startup --disable-autoexec -P blend_extract.py -- FILE.blend RESULT.npz OBJECT_OR_NULL_AS_JSON

Objects are linked, not opened: nothing of the file's start-up is run, no scene of it is ever evaluated, so no driver
is. Transformations are multiplied here from what the file states. RESULT.npz holds `vertices`, `corners`, `sizes`, or
`problem`, a JSON text.
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
    """What blend_files.FileProblem says, for another process."""

    def __init__(self, **said: object) -> None:
        super().__init__(said)
        self.said = said


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


def _linked(path: str, wanted: str | None) -> list[bpy.types.Object]:
    """The object that is wanted; for None all that the file's scene shows in renders, or has where it has no scene."""
    try:
        with bpy.data.libraries.load(path, link=True) as (there, taken):
            names = list(there.objects)
            if wanted is not None and wanted not in names:
                shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
                raise Problem(expected=f"an object {wanted!r} in it", got=ascii(shown or "no object at all"))
            scenes = list(there.scenes) if wanted is None else []
            if len(scenes) > 1:
                raise Problem(expected="one scene in it, or `object` in its table", got=f"{len(scenes)}")
            # An older Blender does not list objects linked from other files, but meets them in the scene.
            taken.objects, taken.scenes = names if wanted is None else [wanted], scenes
            others = [each.filepath for each in getattr(there, "libraries", ())]
    except OSError:
        expected = f"a .blend file that Blender {bpy.app.version_string} can read"
        raise Problem(expected=expected, got="a broken one, or one of a newer Blender") from None
    for library in bpy.data.libraries:
        if tuple(library.version)[:2] > tuple(bpy.app.version)[:2]:
            raise Problem(version=list(library.version))
    needed = [each.filepath for each in bpy.data.libraries if bpy.path.abspath(each.filepath) != path]
    if needed or (wanted is None and others):
        linked = ", ".join(sorted({ascii(os.path.basename(each)) for each in (*needed, *others)})[:5])
        raise Problem(expected="everything within the file", got=f"links to others: {linked}")
    things = [thing for thing in taken.objects if thing is not None]
    if not scenes:
        return things
    rendered = _in_renders(taken.scenes[0])
    return [thing for thing in things if thing in rendered]


def _in_renders(scene: bpy.types.Scene) -> set[bpy.types.Object]:
    """The objects in collections that renders show."""
    found: set[bpy.types.Object] = set()
    layers = [layer.layer_collection for layer in scene.view_layers if layer.use]
    while layers:
        layer = layers.pop()
        # A collection hides those below it along with itself; excluding it from a layer leaves them in.
        if not layer.collection.hide_render:
            layers += layer.children
            if not layer.exclude:
                found.update(layer.collection.objects)
    return found


def _matrix(thing: bpy.types.Object, depth: int = 0) -> np.ndarray:
    """World matrix (4, 4) from location, rotation, scale and parents, as the file states them."""
    place = f"the object {thing.name!r}"
    if depth > _MOST_DEEP:
        raise Problem(expected="parents at most 200 deep", got=f"more above {place}")
    acting = [each.type for each in thing.constraints if not each.mute]
    if acting:
        raise Problem(expected=f"{place} without constraints: apply them", got=", ".join(acting))
    own = np.array(thing.matrix_basis, float)
    if thing.parent is None:
        return own
    if thing.parent_type != "OBJECT":
        raise Problem(expected=f"{place} with an object as its parent", got=thing.parent_type)
    world: np.ndarray = _matrix(thing.parent, depth + 1) @ np.array(thing.matrix_parent_inverse, float) @ own
    return world


def _check(thing: bpy.types.Object) -> None:
    place = f"the object {thing.name!r}"
    for modifier in thing.modifiers:
        shading = modifier.type == "NODES" and modifier.name.startswith("Smooth by Angle")
        if modifier.show_render and modifier.type not in _HARMLESS and not shading:
            raise Problem(expected=f"{place} without modifiers: apply them", got=modifier.type)
    if thing.data.shape_keys is not None:
        raise Problem(expected=f"{place} without shape keys: apply them", got="shape keys")


def _faces(thing: bpy.types.Object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mesh = thing.data
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    corners = np.empty(len(mesh.loops), np.int32)
    sizes = np.empty(len(mesh.polygons), np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_total", sizes)
    matrix = _matrix(thing)
    points = vertices.reshape(-1, 3).astype(float) @ matrix[:3, :3].T + matrix[:3, 3]
    if np.linalg.det(matrix[:3, :3]) < 0.0:
        ends = np.cumsum(sizes)
        corners = corners[np.repeat(2 * ends - sizes - 1, sizes) - np.arange(len(corners))]
    return points, corners, sizes


def _extract(path: str, wanted: str | None) -> dict[str, np.ndarray]:
    things = _linked(path, wanted)
    if wanted is None:
        copies = [thing.name for thing in things if thing.instance_type != "NONE" and not thing.hide_render]
        if copies:
            raise Problem(expected="real meshes (Object > Apply > Make Instances Real)", got=ascii(copies[0]))
        things = [thing for thing in things if thing.type == "MESH" and not thing.hide_render]
        if not things:
            raise Problem(expected="an object that is a mesh and is shown in renders", got="none")
    elif things[0].type != "MESH":
        raise Problem(expected=f"the object {wanted!r} as a mesh", got=things[0].type)
    points, corners, sizes, start = [], [], [], 0
    for thing in things:
        _check(thing)
        own = _faces(thing)
        points.append(own[0])
        corners.append(own[1].astype(np.int64) + start)
        sizes.append(own[2])
        start += len(own[0])
    return {
        "vertices": np.concatenate(points),
        "corners": np.concatenate(corners),
        "sizes": np.concatenate(sizes),
    }


def main() -> None:
    path, result, wanted = sys.argv[sys.argv.index("--") + 1 :]
    _limit_memory()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    found: dict[str, Any]
    try:
        found = _extract(path, json.loads(wanted))
    except Problem as problem:
        found = {"problem": np.array(json.dumps(problem.said))}
    partial = f"{result}.part"
    with open(partial, "wb") as file:
        np.savez(file, **found)
    # Only what came to its end is there under its name.
    os.replace(partial, result)


if __name__ == "__main__":
    main()
