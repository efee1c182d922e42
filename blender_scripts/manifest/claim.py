"""Which folder a manifest is rendered into, and what keeps it out: others' files, others' rows, another place.

A folder holds a copy of each manifest under manifests/, and in manifest_paths.json where each came from. The manifest
of that place may have been edited; one of the same name from elsewhere may change and lose nothing.
docs/reference/records.md.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.output_folder import EXTRAS, PATHS, OutputFolder
from blender_scripts.manifest.reader import conflicts, run_names
from blender_scripts.manifest.run import Manifest

# Below the current folder; what `--out` is without being given.
RENDERS = Path("renders")


@dataclass(frozen=True)
class Claim:
    """A folder that a manifest may be rendered into. `is_default`: nobody named it, so no picture is replaced there."""

    output: OutputFolder
    manifest: Manifest
    is_default: bool

    def keep(self) -> None:
        """Keep a copy of the manifest, and where it lies.

        Raises:
            InputError: they cannot be written.
        """
        folder, manifest = self.output.root, self.manifest
        kept = _copy_of(folder, manifest.path)
        with _writable(kept):
            # The path first: a copy must never be taken for that of an earlier manifest. Rendering the copy itself
            # does not make it the manifest.
            if not _is_at_home(folder, manifest.path):
                paths = {**_paths(folder), kept.name: _way(folder, manifest.path)}
                # ASCII: a path may hold bytes that are no UTF-8, which JSON keeps as escaped surrogates.
                self.output.replace_file(folder / PATHS, (json.dumps(paths, indent=1, sort_keys=True) + "\n").encode())
            if not kept.is_file() or kept.read_bytes() != manifest.content:
                self.output.replace_file(kept, manifest.content)


def claim(manifest: Manifest, scenes: Path, out: Path | None, force: bool) -> Claim:
    """Find the folder and every reason not to render into it, before anything is written to it.

    Args:
        manifest: the checked manifest.
        scenes: folder with its scenes' TOML files.
        out: the folder; None: renders/ and the manifest's name without its ending.
        force: replace files that the folder had before it was first rendered into.

    Raises:
        InputError: with every reason.
    """
    root = default_folder(manifest.path) if out is None else out
    if not force:
        check_own(root, manifest)
    output, kept = OutputFolder(root), _copy_of(root, manifest.path)
    problems = []
    for copy in sorted((root / "manifests").glob("*.csv")):
        if copy != kept:
            problems += _other_rows(copy, copy.name, root, manifest, scenes)
    with _writable(kept):
        if out is None:
            _check_home(root, manifest)
        problems += _replaced(output, manifest, scenes)
    if problems:
        raise InputError(problems)
    return Claim(output, manifest, out is None)


def default_folder(manifest: Path) -> Path:
    """Where a manifest is rendered if nobody says where.

    Raises:
        InputError: its name begins with a dot.
    """
    if manifest.stem.startswith("."):
        raise InputError(
            f"{manifest.name}: expected a manifest whose name does not begin with a dot where --out is not given, "
            f"got {manifest.stem!r}"
        )
    return RENDERS / manifest.stem


def check_own(root: Path, manifest: Manifest) -> None:
    """Refuse a folder that was never rendered into where a row would replace a file of it.

    After a crash a picture may lie there without its record, but the copy of its manifest was there before it.

    Raises:
        InputError: names such a file.
    """
    if any((root / "manifests").glob("*.csv")) or any((root / "records").glob("*.json")):
        return
    names = {run.run for run in manifest.runs}
    files = (path for kind in ("images", "masks", *EXTRAS) for path in sorted((root / kind).glob("*.*")))
    strange = [path for path in files if path.suffix in (".png", ".npy") and path.stem in names]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise InputError(
            f"--out {root}: expected a new folder or one that was rendered into, got one whose own files would be "
            f"replaced ({strange[0].relative_to(root)}{more}): choose another, or give --force"
        )


def _check_home(root: Path, manifest: Manifest) -> None:
    known = _home(root, manifest.path)
    if known is not None and not _is_at_home(root, manifest.path):
        raise InputError(
            f"{manifest.path}: expected {known}, which was rendered into {root}, got a manifest of the same name from "
            "elsewhere: rename it, or give --out"
        )


def _replaced(output: OutputFolder, manifest: Manifest, scenes: Path) -> list[str]:
    """What would be lost if the manifest took the place of the copy that has its name."""
    root, kept = output.root, _copy_of(output.root, manifest.path)
    if not kept.is_file() or kept.read_bytes() == manifest.content:
        return []
    try:
        known = run_names(kept)
    except InputError:
        return []  # damaged: it names nothing
    names = {run.run for run in manifest.runs}
    lost = [run for run in known if run not in names and output.record(run).is_file()]
    origin = _home(root, manifest.path)
    if origin is None or _is_at_home(root, manifest.path):
        # An edit, whatever was edited; but one that shares no run with its copy is another manifest.
        if not names.isdisjoint(known) or not lost:
            return []
        return [
            f"{manifest.path.name}: expected some run of the manifest of this name that was rendered into "
            f"{root} (such as {lost[0]}), got none: rename this one, or choose another folder"
        ]
    problems = _other_rows(kept, str(origin), root, manifest, scenes)
    if lost:
        problems.append(
            f"{manifest.path.name}: expected every run of {origin} that was rendered into {root} (such as {lost[0]}), "
            f"got a manifest of its name without {len(lost)} of them: rename this one, or choose another folder"
        )
    return problems


def _other_rows(copy: Path, name: str, root: Path, manifest: Manifest, scenes: Path) -> list[str]:
    return [
        f"{manifest.path.name}: expected run {run} as {name} has it in {root}, got another row"
        for run in conflicts(copy, scenes, manifest.runs)
    ]


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got: {error.strerror or error}") from None


def _copy_of(root: Path, manifest: Path) -> Path:
    return root / "manifests" / f"{manifest.stem}.csv"


def _home(root: Path, manifest: Path) -> Path | None:
    """Where the manifest that the copy of this name was made of lies; None where there is none, or nobody knows."""
    kept = _copy_of(root, manifest)
    way = _paths(root).get(kept.name) if kept.is_file() else None
    return None if way is None else Path(os.path.normpath(root.resolve() / way))


def _is_at_home(root: Path, manifest: Path) -> bool:
    """Whether a manifest lies where its copy was made, or is the copy."""
    return manifest.resolve() in (_home(root, manifest), _copy_of(root, manifest).resolve())


def _way(root: Path, manifest: Path) -> str:
    """From the folder to the manifest: a project that is moved whole keeps it."""
    return os.path.relpath(manifest.resolve(), root.resolve())


def _paths(root: Path) -> dict[str, str]:
    """The remembered paths by the copy's name; none in a folder that was rendered before they were kept."""
    try:
        paths = json.loads((root / PATHS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(paths, dict):
        return {}
    return {name: way for name, way in paths.items() if isinstance(way, str)}
