"""Find the scene files of a render folder: the scenes as they were rendered, and the tolerance that applies now.

A scene's tolerance may be edited after rendering. It is read from `--scenes`, else from the file that was rendered if
that is still there, else from its copy in the render folder. Older render folders have no copies; there, the records
state the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from blender_scripts.contract.connector import SCENE_NAME, Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from blender_scripts.manifest.output_folder import SCENE_PATHS, SCENES, original_path
from generator.io import source_code


@dataclass
class SceneFiles:
    """The scene files of a render folder, by name of the scene.

    Attributes:
        rows: path of the scene file for reading the manifests' rows: the copy made when rendering, if there is one.
        connectors: the scene as read from `rows`, and after it, if there is another file, as that file states it now.
        tolerances: the tolerance that applies now; for a scene without an entry here, the records state it.
        notes: a list with a line for the user on each scene: where its tolerance comes from.
    """

    rows: dict[str, Path] = field(default_factory=dict)
    connectors: dict[str, list[Connector]] = field(default_factory=dict)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_scenes(directory: Path, names: Iterable[str], scenes: Path | None) -> SceneFiles:
    """Find and read the scene files of a render folder.

    Args:
        directory: the render folder.
        names: names of the scenes in the folder's manifests; texts that cannot be a scene's name are ignored.
        scenes: the folder given by `--scenes`; None: the scene files are where they were when rendered, else their
            copies in the render folder are read.

    Raises:
        InputError: one line for each scene that has no file, and for each mistake in a file.
    """
    found, problems = SceneFiles(), []
    for name in sorted(name for name in names if SCENE_NAME.fullmatch(name)):
        copy, now = directory / SCENES / f"{name}.toml", _now(directory, name, scenes)
        kept = copy if copy.is_file() else None
        current = now or kept
        file = kept or current or source_code.SCENES / f"{name}.toml"
        if not file.is_file() or (current is not None and not current.is_file()):
            where = f"--scenes {scenes}" if scenes else "--scenes"
            got = "one without this file" if scenes else "no --scenes, and no copy of the file in the render folder"
            problems.append(
                f"{where}: expected the folder with the scene file {name}.toml, which the manifests in {directory} "
                f"need, got {got}"
            )
            continue
        found.rows[name] = file
        try:
            found.connectors[name] = [read_connector(path) for path in dict.fromkeys((file, current or file))]
        except InputError as error:
            problems += error.problems
            continue
        if current is None:
            found.notes.append(f"scene {name}: tolerance from the records, as the render folder has no scene file")
            continue
        found.tolerances[name] = found.connectors[name][-1].tolerance
        found.notes.append(_note(found.connectors[name], current, kept))
    if problems:
        raise InputError(problems)
    return found


def _now(directory: Path, name: str, scenes: Path | None) -> Path | None:
    """Return the path of the scene's file outside the render folder; None where there is none."""
    if scenes is not None:
        return scenes / f"{name}.toml"
    source = original_path(directory, SCENE_PATHS, f"{name}.toml")
    return source if source is not None and source.is_file() else None


def _note(connectors: list[Connector], current: Path, kept: Path | None) -> str:
    now = connectors[-1]
    limits = ", ".join(f"{name}={limit:g}" for name, limit in vars(now.tolerance.limits()).items())
    own = f", other limits for the pins {', '.join(now.tolerance.at)}" if now.tolerance.at else ""
    edited = kept is not None and now.tolerance != connectors[0].tolerance
    return f"scene {now.name}: tolerance from {current}{' (edited since rendering)' if edited else ''}: {limits}{own}"
