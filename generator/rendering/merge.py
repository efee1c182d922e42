"""Join the render folders of a manifest's shards into one, after checking every file.

A shard is a part of a manifest's rows that one machine rendered. The result is, byte for byte, the folder that one
machine would have rendered, unless shards of different Blender versions, processors or devices are accepted (--mixed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.output_path import check_parents
from blender_scripts.manifest.output_folder import EXTRAS, PATHS, SCENE_PATHS, SCENES, OutputFolder, original_paths
from blender_scripts.manifest.reader import run_names
from blender_scripts.manifest.record import made_with, read_record
from blender_scripts.manifest.render_settings import RenderSettings
from generator.io.checksum import sha256_of
from generator.rendering.shards import FOLDER, Finished

# So many faults are listed, then a count.
_LISTED = 20
BLENDER = "Blender"
VERSION = "renderer version"


@dataclass(frozen=True)
class Source:
    """A finished shard (`finished`: contents of its file) and the render folder (`output`) in which it lies."""

    output: OutputFolder
    finished: Finished


def merge_renders(folders: Sequence[Path], to: Path, mixed: bool) -> None:
    """Check all shards, then copy their files into one render folder.

    Args:
        folders: render folders, each with one or more finished shards.
        to: the render folder to write.
        mixed: accept shards of different Blender versions, processors or devices.

    Raises:
        InputError: what is missing, changed, foreign or given twice, at most 20 faults; nothing was copied then.
    """
    sources = list(_sources(folders))
    manifest = _check_together(sources, mixed)
    check_parents(to, "--to")
    target = OutputFolder(to, create=False)
    _check_target(target, sources)
    problems = [*_problems(sources), *_other_settings(sources, mixed)]
    if problems:
        more = [f"and {len(problems) - _LISTED} more faults"] if len(problems) > _LISTED else []
        raise InputError([*problems[:_LISTED], *more, "copy the faulty folders again, or render their shards again"])
    target.create()
    target.sweep()
    rows = [(each, run) for each in sources for run in each.finished.records]
    for each, run in tqdm(rows, "copying rows", unit="row", disable=not sys.stderr.isatty()):
        _copy(each.output, target, run)
    _keep_originals(sources[0].output, target, manifest)
    sys.stdout.write(f"wrote {target.root}: joined shards: {len(sources)}, rows: {len(rows)}\n")


def _sources(folders: Sequence[Path]) -> Iterator[Source]:
    """Yield the finished shards of all folders."""
    for folder in folders:
        paths = sorted((folder / FOLDER).glob("*.json"))
        if not paths:
            raise InputError(
                f"{folder}: expected a render folder with {FOLDER}/I_of_N.json, which `render --shard` writes when the "
                "shard is finished, got none: render the shard to its end"
            )
        for path in paths:
            yield Source(OutputFolder(folder, create=False), Finished.read(path))


def _check_together(sources: Sequence[Source], mixed: bool) -> Path:
    """Check that the shards are all those of one manifest; returns the path of a copy of it.

    Raises:
        InputError: with every reason why they are not.
    """
    first = sources[0]
    problems, seen = [], dict[int, Source]()
    for each in sources:
        what = (each.finished.manifest, each.finished.manifest_sha256, each.finished.count)
        if what != (first.finished.manifest, first.finished.manifest_sha256, first.finished.count):
            problems.append(
                f"{each.output.root}: expected one of {first.finished.count} shards of {first.finished.manifest}, as "
                f"in {first.output.root}, got shard {each.finished.shard} of {each.finished.manifest} (another or an "
                "edited manifest, or another number of shards): give only shards of one manifest"
            )
        made = (each.finished.blender, each.finished.cpu)
        if made != (first.finished.blender, first.finished.cpu) and not mixed:
            problems.append(
                f"{each.output.root}: expected a shard made by Blender {first.finished.blender} on "
                f"{first.finished.cpu}, as in {first.output.root}, got Blender {made[0]} on {made[1]}, whose pictures "
                "differ in the last bits: render this shard with that Blender and processor, or give --mixed"
            )
        if each.finished.index in seen:
            other = seen[each.finished.index].output.root
            again = f"expected shard {each.finished.shard} once, got it from {other} too: leave out one of the two"
            problems.append(f"{each.output.root}: {again}")
        seen[each.finished.index] = each
    missing = [str(index) for index in range(first.finished.count) if index not in seen]
    if missing and not problems:
        whole = f"{first.finished.count} shards of {first.finished.manifest}"
        indices = f"{', '.join(missing)} (counted from 0)"
        problems.append(f"expected {whole}, got all but those with the index {indices}: give their folders too")
    if problems:
        raise InputError(problems)
    return first.output.root / "manifests" / f"{Path(first.finished.manifest).stem}.csv"


def _check_target(target: OutputFolder, sources: Sequence[Source]) -> None:
    """Check that the folder to write holds nothing but files of an earlier merge of these shards, finished or not."""
    root = target.root
    if root.resolve() in {each.output.root.resolve() for each in sources}:
        raise InputError(f"--to {root}: expected a folder other than those of the shards, got the folder of a shard")
    known = {run for each in sources for run in each.finished.records}
    unfinished = set(target.leftovers())
    found = [path for path in sorted(root.glob("*/*")) if path.parent.name in ("images", "masks", "records", *EXTRAS)]
    foreign = [path for path in found if path.stem not in known and path not in unfinished]
    entries = sorted(set(root.iterdir()) - unfinished) if root.is_dir() else []
    others = [path for path in entries if path.name not in _OWN]
    if foreign or others:
        got = (foreign or others)[0].relative_to(root)
        raise InputError(
            f"--to {root}: expected a new folder, or that of an earlier merge of these shards, got {got} in it"
        )


_OWN = {"images", "masks", "records", "manifests", SCENES, PATHS, SCENE_PATHS, *EXTRAS}


def _problems(sources: Sequence[Source]) -> Iterator[str]:
    """Yield what is missing, changed or foreign, in every shard; manifests and scene files must be alike in all."""
    first = sources[0].output
    for each in sources:
        root, done = each.output.root, each.finished
        copy = root / "manifests" / f"{Path(done.manifest).stem}.csv"
        if not copy.is_file() or sha256_of(copy) != done.manifest_sha256:
            yield f"{copy}: expected the manifest from which shard {done.shard} was rendered, got another, or no file"
            continue
        names = list(run_names(copy))
        wanted = [names[row] for row in done.shard.rows(len(names))]
        for run in wanted:
            if run not in done.records:
                yield f"{root}: expected row {run} in shard {done.shard}, got none"
        for run in sorted(set(done.records) - set(wanted)):
            yield f"{root}: expected rows of shard {done.shard} only, got also row {run}"
        for path in _files(first.root / SCENES):
            mine = root / SCENES / path.relative_to(first.root / SCENES)
            if not mine.is_file() or mine.read_bytes() != path.read_bytes():
                yield f"{mine}: expected the same scene file as in {first.root}, got another content, or no file"
        for run in tqdm(done.records, f"checking {root.name}", unit="row", disable=not sys.stderr.isatty()):
            yield from _of_row(each, run)


def _of_row(source: Source, run: str) -> Iterator[str]:
    """Yield what is wrong with a row's files."""
    path = source.output.record(run)
    if not path.is_file():
        yield f"{path}: expected the record of a finished row, got no file: render the shard again"
        return
    if sha256_of(path) != source.finished.records[run]:
        yield f"{path}: expected the record as it was when the shard was finished, got a changed file: copy it again"
        return
    record = read_record(path)
    for file, known in _hashes(source.output, record).items():
        if not file.is_file():
            yield f"{file}: expected this file of row {run}, got none: render the shard again"
        elif sha256_of(file) != known:
            yield f"{file}: expected the SHA-256 that the record {path.name} states, got a changed file: copy it again"


def _other_settings(sources: Sequence[Source], mixed: bool) -> Iterator[str]:
    """Yield by which setting the rows of a shard differ from the first row of all, one message per shard and setting.

    Rows of older renderers do not tell their device and whether they were denoised; a note says how many there are.
    """
    first: dict[str, str] | None = None
    unknown = 0
    for each in sources:
        told: set[str] = set()
        for run in each.finished.records:
            try:
                record = read_record(each.output.record(run))
            except InputError:
                continue  # named as a changed file
            settings = made_with(record)
            unknown += settings is None
            made = _stated(record, settings)
            first = {**made, **(first or {})}
            free = {BLENDER, "--device", *(["denoised"] if made[BLENDER] != first[BLENDER] else [])} if mixed else set()
            for key in [key for key in first if key in made and made[key] != first[key] and key not in free | told]:
                told.add(key)
                what = "version of Pinsight" if key == VERSION else "options"
                yield (
                    f"{each.output.root}: shard {each.finished.shard}, row {run}: expected {key} {first[key]}, as in "
                    f"{sources[0].output.root}, got {made[key]}: render all shards with the same {what}"
                )
    if unknown:
        sys.stderr.write(f"note: rows whose device and denoising are not known, so that they may differ: {unknown}\n")


def _stated(record: dict[str, Any], settings: RenderSettings | None) -> dict[str, str]:
    """Return by what and how a row was rendered: values, as texts, by name for messages."""
    stated = {
        VERSION: record["renderer"],
        BLENDER: record["blender"],
        "--mask-scale": str(record.get("mask_scale", "not stated")),
        "extra arrays (--depth, --normal)": ", ".join(record.get("extras_sha256", ())) or "none",
    }
    if settings is not None:
        stated |= {"--device": settings.device, "denoised": "yes" if settings.denoised else "no"}
    return stated


def _hashes(output: OutputFolder, record: dict[str, object]) -> dict[Path, object]:
    """Return the SHA-256 of each of a row's files but the record, by path."""
    run, extras = str(record["run"]), record.get("extras_sha256", {})
    assert isinstance(extras, dict)
    found: dict[Path, object] = {output.image(run): record["image_sha256"], output.mask(run): record["mask_sha256"]}
    return found | {output.extra(kind, run): known for kind, known in extras.items()}


def _copy(source: OutputFolder, target: OutputFolder, run: str) -> None:
    """Copy a row's files, the record last, as the renderer writes them."""
    record = read_record(source.record(run))
    for path in (*_hashes(source, record), source.record(run)):
        target.keep(target.root / path.relative_to(source.root), path.read_bytes())


def _keep_originals(source: OutputFolder, target: OutputFolder, manifest: Path) -> None:
    """Copy manifest and scene files, with the paths of their originals seen from the new folder."""
    for path in (manifest, *_files(source.root / SCENES)):
        target.keep(target.root / path.relative_to(source.root), path.read_bytes())
    for file, names in ((PATHS, {manifest.name}), (SCENE_PATHS, None)):
        paths = original_paths(source.root, file)
        kept = {name: path for name, path in paths.items() if names is None or name in names}
        target.keep_paths(file, {name: _seen_from(target.root, source.root, path) for name, path in kept.items()})


def _seen_from(target: Path, source: Path, path: str) -> str:
    return os.path.relpath(os.path.normpath(source.resolve() / path), target.resolve())


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
