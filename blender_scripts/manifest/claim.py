"""Choose the folder into which a manifest is rendered, and check that rendering would lose no files or pictures there.

A render folder keeps a copy of each manifest under manifests/ and of its scene files under scenes/, and the paths of
the originals in manifest_paths.json and scene_paths.json. A manifest may be edited and rendered again. A manifest of
the same name from another path is accepted only if it has every rendered run unchanged (docs/reference/records.md).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.output_path import check_parents
from blender_scripts.contract.photographs import SUFFIXES
from blender_scripts.manifest.output_folder import EXTRAS, PATHS, SCENE_PATHS, SCENES, OutputFolder, original_path
from blender_scripts.manifest.reader import conflicts, run_names, stream_runs
from blender_scripts.manifest.run import Manifest, Run

# Without --out a manifest is rendered into renders/NAME below the current folder.
RENDERS = Path("renders")


@dataclass(frozen=True)
class Claim:
    """A render folder that passed the checks of `claim`.

    Attributes:
        output: the render folder.
        manifest: the manifest to be rendered into it.
        scenes: folder of the manifest's scene files.
        is_default: whether the folder was chosen without --out; then only --force replaces finished pictures.
    """

    output: OutputFolder
    manifest: Manifest
    scenes: Path
    is_default: bool

    def save_inputs(self) -> None:
        """Create the render folder, and save in it the manifest, its scene files, and the paths of these originals.

        In the copy of a folder of photographs, pictures that the scene no longer names are deleted.

        Raises:
            InputError: a file cannot be read or written, or a CAD file or photograph has changed since it was checked.
        """
        folder, manifest = self.output.root, self.manifest
        self.output.create()
        kept = _copy_of(folder, manifest.path)
        # Whoever renders the copies themselves keeps the paths of the originals.
        from_copies = self.scenes.resolve() == (folder / SCENES).resolve()
        names = [] if from_copies else [f"{name}.toml" for name in manifest.connectors]
        with _writable(kept):
            # The paths first: after a crash the copy must not stand beside an earlier manifest's path.
            if not _is_original(folder, manifest.path):
                self.output.keep_paths(PATHS, {kept.name: _relative(folder, manifest.path)})
            self.output.keep_paths(SCENE_PATHS, {name: _relative(folder, self.scenes / name) for name in names})
            self.output.keep(kept, manifest.content)
            for name, content in self.scene_files() if names else ():
                self.output.keep(folder / SCENES / name, content)
            for connector in manifest.connectors.values() if names else ():
                if photographs := connector.backdrop.photographs if connector.backdrop else ():
                    # The scene's hash covers the folder: a picture that was taken out of it must not stay in the copy.
                    kept_in = (folder / SCENES / photographs[0].name).parent
                    for each in set(kept_in.iterdir()) - {folder / SCENES / p.name for p in photographs}:
                        if each.suffix.lower() in SUFFIXES:
                            each.unlink()

    def note_edited(self, chosen: Collection[str]) -> str | None:
        """Return a sentence for the user about rendered rows that were edited since and stay as they are; None: none.

        Rows of the folder's copies of other manifests count, too, with its copies of their scenes.

        Args:
            chosen: run names of the rows to be rendered.
        """
        return self.output.note_edited(self._rows(), chosen)

    def _rows(self) -> Iterator[tuple[Run, Connector]]:
        """Yield the rows of the manifest, then of the folder's copies of other manifests, each with its scene."""
        connectors = dict(self.manifest.connectors)
        for run in self.manifest.runs:
            yield run, connectors[run.scene]
        root, kept = self.output.root, _copy_of(self.output.root, self.manifest.path)
        files = {file.stem: file for file in (root / SCENES).glob("*.toml")}
        # These copies will be those of the manifest's scenes.
        files |= {name: self.scenes / f"{name}.toml" for name in connectors}
        for copy in sorted((root / "manifests").glob("*.csv")):
            if copy != kept:
                with contextlib.suppress(InputError):  # a damaged copy names no row
                    for run in stream_runs(copy, files):
                        if run.scene not in connectors:
                            connectors[run.scene] = read_connector(files[run.scene])
                        yield run, connectors[run.scene]

    def scene_files(self) -> Iterator[tuple[str, bytes]]:
        """Yield path in the scenes' folder and content of every file of the manifest's scenes.

        Raises:
            InputError: a CAD file or a photograph was changed since the scene was read.
        """
        for name, connector in self.manifest.connectors.items():
            yield f"{name}.toml", (self.scenes / f"{name}.toml").read_bytes()
            for file in (housing.cad.file for housing in connector.housings.values() if housing.cad):
                yield file.name, file.content()
            for photograph in connector.backdrop.photographs if connector.backdrop else ():
                yield photograph.name, photograph.content()


def claim(manifest: Manifest, scenes: Path, out: Path | None, force: bool) -> Claim:
    """Choose a manifest's render folder, check it, and return it; nothing is written.

    Args:
        manifest: the checked manifest.
        scenes: folder of its scene files.
        out: the render folder; None: renders/NAME for a manifest NAME.csv.
        force: replace also files that the renderer has not written.

    Raises:
        InputError: rendering would replace other files or rows, or leave finished rows without a manifest; or the
            folder's parents are missing.
    """
    root = default_folder(manifest.path) if out is None else out
    if not force:
        check_own(root, manifest)
    check_parents(root, "--out")
    output, kept = OutputFolder(root, create=False), _copy_of(root, manifest.path)
    problems = []
    for copy in sorted((root / "manifests").glob("*.csv")):
        if copy != kept:
            problems += _other_rows(copy, copy.name, root, manifest, scenes)
    with _writable(kept):
        if out is None:
            _check_same_original(root, manifest)
        problems += _losses(output, manifest, scenes)
    if problems:
        raise InputError(problems)
    return Claim(output, manifest, scenes, out is None)


def default_folder(manifest: Path) -> Path:
    """Return the render folder of a manifest NAME.csv where --out is not given: renders/NAME.

    Raises:
        InputError: the manifest's name begins with a dot.
    """
    if manifest.stem.startswith("."):
        raise InputError(f"{manifest.name}: expected --out DIR, as the manifest's name begins with a dot, got no --out")
    return RENDERS / manifest.stem


def check_own(root: Path, manifest: Manifest) -> None:
    """Check that rendering replaces no file that the renderer has not written.

    The renderer's are the files of rows that have a record in the folder, or that a manifest's copy in it names: such a
    row may have been interrupted.

    Args:
        root: the folder.
        manifest: the manifest to be rendered into it.

    Raises:
        InputError: a row would replace a file; the message names it.
    """
    names = {run.run for run in manifest.runs}
    kinds = {"images": "png", "masks": "png", "records": "json", **dict.fromkeys(EXTRAS, "npy")}
    files = (path for kind, suffix in kinds.items() for path in sorted((root / kind).glob(f"*.{suffix}")))
    if not (found := [path for path in files if path.stem in names]):
        return
    for copy in (root / "manifests").glob("*.csv"):
        with contextlib.suppress(InputError):  # a damaged copy names no row
            names.difference_update(run_names(copy))
    output = OutputFolder(root, create=False)
    strange = {path.stem for path in found if path.stem in names}
    strange = {run for run in strange if not output.has_record(run)}
    if foreign := [path for path in found if path.stem in strange]:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"--out {root}: expected a new folder, or one that the renderer made, got a folder with other files that "
            f"would be replaced ({foreign[0].relative_to(root)}{more}): choose another folder, or give --force"
        )


def _check_same_original(root: Path, manifest: Manifest) -> None:
    known = _original(root, manifest.path)
    if known is not None and not _is_original(root, manifest.path):
        raise InputError(
            f"{manifest.path}: expected {known}, whose pictures are in {root}, got another manifest of this name: "
            "rename the manifest, or give --out for another folder"
        )


def _losses(output: OutputFolder, manifest: Manifest, scenes: Path) -> list[str]:
    """Messages if the manifest would replace the folder's copy of the same name and lose or change finished rows."""
    root, kept = output.root, _copy_of(output.root, manifest.path)
    if not kept.is_file() or kept.read_bytes() == manifest.content:
        return []
    try:
        known = list(run_names(kept))
    except InputError:
        return []  # the copy is damaged: nothing to compare with
    names = {run.run for run in manifest.runs}
    lost = [run for run in known if run not in names and output.record(run).is_file()]
    origin = _original(root, manifest.path)
    if origin is None or _is_original(root, manifest.path):
        # Any edit is accepted, but a file that shares no run with its copy is another manifest.
        if not names.isdisjoint(known) or not lost:
            return []
        return [
            f"{manifest.path.name}: expected at least one of the runs that a manifest of this name has in {root} (such "
            f"as {lost[0]}), got none: rename the manifest, or give --out for another folder"
        ]
    problems = _other_rows(kept, str(origin), root, manifest, scenes)
    if lost:
        problems.append(
            f"{manifest.path.name}: expected all runs of {origin} that are finished in {root}, got a manifest without "
            f"{len(lost)} of these runs (such as {lost[0]}): rename the manifest, or give --out for another folder"
        )
    return problems


def _other_rows(copy: Path, name: str, root: Path, manifest: Manifest, scenes: Path) -> list[str]:
    return [
        f"{manifest.path.name}: expected a new run name, got {run}, which {name} in {root} has with other "
        "settings: rename the run, or give --out for another folder"
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


def _original(root: Path, manifest: Path) -> Path | None:
    """Path of the manifest from which the copy of the same name was made; None if no copy or no path is kept."""
    kept = _copy_of(root, manifest)
    return original_path(root, PATHS, kept.name) if kept.is_file() else None


def _is_original(root: Path, manifest: Path) -> bool:
    """Whether a manifest is the file that its copy was made from, or the copy itself."""
    return manifest.resolve() in (_original(root, manifest), _copy_of(root, manifest).resolve())


def _relative(root: Path, path: Path) -> str:
    """A path relative to the render folder, which stays valid when a project is moved as a whole."""
    return os.path.relpath(path.resolve(), root.resolve())
