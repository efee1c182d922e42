"""Read meshes from a user's .blend file in a child process.

A .blend can carry scripts, drivers and references to other files, and a broken one can crash Blender. So
blend_extract.py reads it in a separate Blender with scripts disabled, from a copy of the checked bytes in a folder
that holds nothing else; only vertices and faces come back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np

from blender_scripts.contract.cad_file import CadFile, CadPlacement, FileProblem, blend_version
from blender_scripts.contract.scratch import Scratch
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.mesh_files import read_mesh
from blender_scripts.geometry.welding import SMOOTH_DEG, placed, smoothed, weld

_EXTRACT = Path(__file__).resolve().parent / "blend_extract.py"
_SECONDS = 300.0


def read_cad(
    file: CadFile, placement: CadPlacement, object_name: str | None = None, smooth_deg: float = SMOOTH_DEG
) -> Mesh:
    """Read a CAD file of any format as a mesh in the part's coordinates, mm.

    Args:
        file: the file, from `CadFile.find`.
        placement: how the file's coordinates are converted to the part's.
        object_name: name of the one object of a .blend file to use; None: all objects.
        smooth_deg: an edge is shaded smooth if the angle between its faces' normals is smaller; 0: all faces flat.

    Raises:
        FileProblem: the file is damaged or not supported, or its size is not that of a housing.
    """
    mesh = read_blend(file, object_name) if file.format == "blend" else read_mesh(file)
    return placed(smoothed(mesh, smooth_deg), placement, file.name)


def read_blend(file: CadFile, object_name: str | None = None) -> Mesh:
    """Read the meshes of a .blend file.

    Args:
        file: a .blend file.
        object_name: name of the one object to use; None: all mesh objects that renders show.

    Returns:
        One mesh in the file's units and axes, equal vertices merged, faces shaded flat.

    Raises:
        FileProblem: the file is damaged, is from a newer Blender, refers to other files, or has no mesh to read; or it
            has several scenes or instances, and `object_name` is None; or an object has modifiers that change its
            shape, constraints, shape keys, or parents other than objects.
    """
    content = file.content()
    mine = (bpy.app.version[0], bpy.app.version[1])
    written = blend_version(content, file.name)
    if written is not None and written > mine:
        raise _too_new(file.name, written)
    scratch = Scratch()
    try:
        source, result = scratch.folder / "in" / "mesh.blend", scratch.folder / "mesh.npz"
        source.parent.mkdir()
        source.write_bytes(content)
        _extract(source, result, object_name, scratch.folder, file.name)
        if not result.is_file():
            raise _broken(file.name)
        with np.load(result, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
    finally:
        scratch.close()
    if "problem" in found:
        problem = json.loads(str(found["problem"]))
        if "version" in problem:
            raise _too_new(file.name, tuple(problem["version"]))
        raise FileProblem(file.name, problem["expected"], problem["got"])
    sizes = found["sizes"].astype(np.int64)
    corners = found["corners"].astype(np.int64)
    whole = len(found["vertices"]) and len(sizes) and sizes.min() >= 3 and sizes.sum() == len(corners)
    if not whole or corners.min() < 0 or corners.max() >= len(found["vertices"]):
        raise FileProblem(file.name, "a mesh with faces", "a mesh without faces, or a damaged file")
    return weld(file.name, found["vertices"], corners, sizes)


def _too_new(name: str, written: tuple[int, ...]) -> FileProblem:
    expected = f"a file of Blender {bpy.app.version[0]}.{bpy.app.version[1]}, which runs here, or of an older one"
    return FileProblem(name, expected, f"a file of Blender {written[0]}.{written[1]}")


def _broken(name: str) -> FileProblem:
    expected = f"a .blend file that Blender {bpy.app.version[0]}.{bpy.app.version[1]} can read"
    return FileProblem(name, expected, "a damaged file, or one of a newer Blender")


def _extract(source: Path, result: Path, object_name: str | None, folder: Path, name: str) -> None:
    """Run blend_extract.py in a child process; `result` exists only if it succeeded."""
    script = [str(_EXTRACT), "--", str(source), str(result), json.dumps(object_name)]
    if bpy.app.binary_path:
        command = [bpy.app.binary_path, "-b", "--factory-startup", "--disable-autoexec", "-P", *script]
    else:
        command = [sys.executable, "-P", *script]
    # Without the user's own start-up scripts and settings.
    own = dict.fromkeys(("BLENDER_USER_SCRIPTS", "BLENDER_USER_CONFIG", "BLENDER_USER_RESOURCES"), str(folder))
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **own},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        expected = f"a file that Blender reads within {_SECONDS:g} s"
        raise FileProblem(name, expected, "no result within this time") from None
