"""Build a dataset from the records and pictures of a render folder.

Everything is checked before the dataset is written, and every fault is reported, not only the first: each row of the
manifests has a record that belongs to it; picture and mask exist and have the SHA-256 in the record; the picture
decodes and has the recorded size; boxes are valid, and are clipped to the picture. Rows are handled in two passes
(check, then attach pictures), in chunks of rows, by one process per core; between the passes only the names of the rows
stay in memory. After an interrupted build, the next build reuses its chunks. A dataset's folder gets its name when
complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract import wide_limits
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from blender_scripts.manifest.output_folder import EXTRAS, FOLDERS, SCENES
from generator.dataset.card import DatasetFacts, make_card
from generator.dataset.connectors import nominal_connectors
from generator.dataset.first_pass import FirstPass, first_pass
from generator.dataset.folder import BATCH_ROWS
from generator.dataset.golden_rows import golden_parameters
from generator.dataset.labels import OBSERVABLE_PX
from generator.dataset.record_rows import Labelling
from generator.dataset.render_folder import Rules, attach_images, unit_statistics
from generator.dataset.render_manifests import (
    RenderManifests,
    count_rows,
    extra_columns,
    log,
    manifest_paths,
    records_number,
    scene_names,
)
from generator.dataset.rows import features
from generator.dataset.scene_files import SceneFiles, find_scenes
from generator.dataset.writer import DatasetWriter, Spool
from generator.io.checksum import sha256_of
from generator.io.processes import InOrder, processes
from generator.io.source_code import code_sha256
from generator.soart import nsoart
from generator.soart.nsoart import STRIDE, WINDOW

# A process takes a second to start; with fewer chunks than this, one process does all the work.
CHUNKS_WORTH_A_POOL = 6


@dataclass(frozen=True)
class Options:
    """The options of a build.

    Attributes:
        limits: limits in mm that replace those of the scene, by name: `true_position_mm`, or for one pin
            `r1c2.true_position_mm`.
        grey: a picture is marked grey if a measure differs from its limit by at most this fraction of the limit.
        observable_px: a bend or a wrong height counts as visible in a picture if it moves the tip by at least this, px.
        partial: leave out manifest rows that have not been rendered, instead of raising an error.
        overwrite: replace the folder DATASET even if it is not a Pinsight dataset.
        license: licence identifier for the dataset card.
        answer: how `bbox_str`, the Florence-2 answer, names the classes: `short`, `words` or `hyphenated`.
        workers: number of processes; None: one per core.
        masks: add a column of instance masks (the value of a pixel is the number of its object).
        nsoart: what the column nsoart compares a picture's windows with: `self` (their mean) or `golden` (good parts).
    """

    limits: Mapping[str, float]
    grey: float = 0.0
    observable_px: float = OBSERVABLE_PX
    partial: bool = False
    overwrite: bool = False
    license: str = "other"
    answer: str = "short"
    workers: int | None = None
    masks: bool = False
    nsoart: str = nsoart.SELF

    def labelling(self, scenes: Mapping[str, Tolerance]) -> Labelling:
        """Return the settings by which pictures are labelled; `scenes`: tolerance of each scene, by its name."""
        return Labelling(dict(self.limits), self.grey, self.observable_px, self.answer, dict(scenes))


@dataclass(frozen=True)
class Inputs:
    """The inputs of a build, except the rows.

    Attributes:
        directory: the render folder.
        options: settings of the build.
        manifests: paths of the render folder's manifests.
        hashes: file name and SHA-256 of each manifest.
        files: the scene files.
        extras: names of the user's own columns.
        notes: lines for the user on the tolerance that applies.
    """

    directory: Path
    options: Options
    manifests: list[Path]
    hashes: list[tuple[str, str]]
    files: SceneFiles
    extras: list[str]
    notes: list[str]

    @classmethod
    def read(cls, directory: Path, scenes: Path | None, options: Options) -> Inputs:
        """Read manifests and scene files; arguments and errors are those of `build`."""
        manifests = manifest_paths(directory)
        files = find_scenes(directory, scene_names(manifests), scenes)
        notes = [*files.notes, *_check_limits(options.limits, files)]
        hashes = [(path.name, sha256_of(path)) for path in manifests]
        return cls(directory, options, manifests, hashes, files, extra_columns(manifests, files.rows), notes)

    def rules(self, spool: Spool) -> Rules:
        """Return the settings that hold for all rows; `spool`: store for chunks of rows."""
        labelling = self.options.labelling(self.files.tolerances)
        return Rules(self.directory, spool, labelling, tuple(self.extras), WINDOW, STRIDE, self.options.masks)

    def reader(self) -> RenderManifests:
        """Return a reader of the manifests' rows."""
        return RenderManifests(self.manifests, self.files.rows)

    def identity(self) -> dict[str, Any]:
        """Return all that the dataset depends on except the records, as JSON values."""
        limits = {scene: found.stated() for scene, found in self.files.tolerances.items()}
        return {
            "options": {
                **asdict(self.options),
                "limits": dict(self.options.limits),
                "overwrite": None,
                "workers": None,
            },
            "manifests": [list(each) for each in self.hashes],
            "scenes": {name: [each[0].sha256, limits.get(name)] for name, each in self.files.connectors.items()},
            "program": code_sha256(),
        }

    def source_sha256(self, records: int) -> str:
        """Return the SHA-256 of a build's inputs, given the sum of `record_number` over the records."""
        known = {name: value for name, value in self.identity().items() if name != "program"}
        return hashlib.sha256(json.dumps([known, f"{records:x}"], sort_keys=True).encode()).hexdigest()


def build(directory: Path, to: Path, scenes: Path | None, options: Options, replace: bool = True) -> DatasetFacts:
    """Build a dataset folder from a render folder; returns its counts and settings.

    Args:
        directory: the render folder, with images/, masks/, records/ and manifests/.
        to: the dataset folder.
        scenes: folder of the scene files; None: where they were when rendered, else their copies in the render folder.
        options: settings of the build.
        replace: whether a dataset in `to` may be replaced; False: `to` has to be new or empty.

    Raises:
        InputError: `to` may not be replaced, or manifests, scene files, options or rows have faults. One message lists
            all faults of the rows.
    """
    manifest_paths(directory)
    check_apart(to, directory, scenes)
    inputs = Inputs.read(directory, scenes, options)
    for note in inputs.notes:
        log(note)
    with DatasetWriter(to, directory, options.overwrite, replace=replace) as writer:
        rules = inputs.rules(writer.spool)
        lines = count_rows(inputs.manifests)
        with processes(options.workers, lines >= CHUNKS_WORTH_A_POOL * BATCH_ROWS) as in_order:
            found = first_pass(in_order, rules, inputs.reader(), lines)
            found.check(directory, options.partial)
            return write_dataset(in_order, inputs, found, writer, lambda _: rules)


def write_dataset(
    in_order: InOrder, inputs: Inputs, found: FirstPass, writer: DatasetWriter, rules_of: Callable[[str], Rules]
) -> DatasetFacts:
    """Do the second pass and write all files of the dataset; returns its counts and settings.

    Args:
        in_order: function that runs calls in processes, from `processes`.
        inputs: the inputs of the build.
        found: results of the first pass over all rows.
        writer: writer of the dataset.
        rules_of: called with a chunk's name; returns the build's settings, whose `spool` stores the chunk's rows.
    """
    options, rules = inputs.options, inputs.rules(writer.spool)
    parameters = parameters_of(in_order, found, rules, options, writer.building)
    writer.begin(features(found.other, rules.extras, rules.masks))
    moments = without_rows(parameters)
    with tqdm(total=found.rows, desc="dataset", unit="row", disable=None) as bar:
        chunks = found.chunks
        work = ((each.name, each.key, rules_of(each.name), moments, writer.building) for each in chunks)
        for each, (name, kept) in zip(chunks, in_order(attach_images, work), strict=True):
            table = rules_of(name).spool.table(name)
            writer.add(each.split, table, kept.sha256)
            bar.update(table.num_rows)
    connectors, notes = nominal_connectors(found.connectors, inputs.files.connectors)
    for note in notes:
        log(note)
    facts = DatasetFacts(
        counts=writer.counts,
        classes=writer.classes,
        tolerances=found.tolerances,
        limits=options.limits,
        grey=options.grey,
        grey_rows=found.grey_rows,
        observable_px=options.observable_px,
        hidden_rows=found.hidden_rows,
        blank_rows=found.blank_rows,
        unseen_rows=found.unseen_rows,
        missing_rows=found.missing,
        manifests=inputs.hashes,
        renderers=sorted(found.renderers),
        blenders=sorted(found.blenders),
        sizes=sorted(found.sizes),
        extras=inputs.extras,
        nsoart=parameters,
        license=options.license,
        content_sha256=writer.content_sha256,
        answer=options.answer,
        ceilings=found.ceilings,
        connectors=len(connectors),
        source_sha256=inputs.source_sha256(found.records),
        code_sha256=code_sha256(),
    )
    writer.finish(make_card(facts), parameters, connectors)
    return facts


def _check_limits(limits: Mapping[str, float], files: SceneFiles) -> list[str]:
    """Return notes on the limits of `--tolerance`, on limits of single pins that it replaces, and on too wide limits.

    Raises:
        InputError: `--tolerance` has limits of a pin that no scene has.
    """
    connectors = [each[-1] for each in files.connectors.values()]
    known = {position.address for each in connectors for position in each.positions}
    addresses = [address for address in dict.fromkeys(name.rpartition(".")[0] for name in limits) if address]
    unknown = [address for address in addresses if address not in known]
    if unknown:
        names = ", ".join(sorted(files.connectors))
        raise InputError(
            f"--tolerance: expected addresses (row and position, as in r1c2) of pins of scene {names}, "
            f"got {', '.join(unknown)}"
        )
    given = ", ".join(f"{name}={limit:g}" for name, limit in limits.items())
    notes = [f"--tolerance: {given}, in place of the scene's limit"] * bool(limits)
    for each in connectors:
        notes += [f"WARNING: --tolerance, scene {each.name}: {text}" for text in wide_limits.of_connector(limits, each)]
        stated = each.tolerance.flat().items()
        kept = {name: limit for name, limit in stated if limits.keys().isdisjoint({name, name.rpartition(".")[2]})}
        notes += [f"WARNING: [tolerance] of scene {each.name}: {text}" for text in wide_limits.of_connector(kept, each)]
        for name in limits:
            if replaced := [address for address, at in each.tolerance.at.items() if name in at]:
                notes.append(
                    f"scene {each.name}: {name} of --tolerance applies to every pin, also to {', '.join(replaced)}, in "
                    "place of their own limits in the scene file"
                )
    return notes


def check_apart(to: Path, directory: Path, scenes: Path | None) -> None:
    """Raise InputError if `to` lies in an input folder or holds `scenes`; the writer raises if `to` holds renders."""
    place = to.resolve()
    if scenes is not None and scenes.resolve().is_relative_to(place):
        raise InputError(f"--to {to}: expected a folder for the dataset alone, got one that contains the scene files")
    inputs = [directory / name for name in (*FOLDERS, *EXTRAS, SCENES)]
    for folder in (*inputs, *([] if scenes is None else [scenes])):
        if place.is_relative_to(folder.resolve()):
            raise InputError(f"--to {to}: expected a folder outside of {folder}, which the build reads, got one in it")


def parameters_of(in_order: InOrder, found: FirstPass, rules: Rules, options: Options, to: Path) -> dict[str, Any]:
    """Return the contents of nsoart.json; with `--nsoart golden`, also write the golden references to `to`/nsoart."""
    if options.nsoart == nsoart.GOLDEN:
        return golden_parameters(in_order, found.spaces, rules, to)
    spaces = found.spaces.found()
    for space in spaces:
        if space.source in ("few", "all"):
            found.statistics[space.group] = unit_statistics(space.rows, rules)
    return nsoart.make_parameters(spaces, found.statistics, WINDOW, STRIDE)


def without_rows(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return contents of nsoart.json without the names of the unit spaces' rows.

    Computing an NSOART picture does not need these names, and every chunk gets a copy of the contents.
    """
    groups = [{name: group[name] for name in group if name != "rows"} for group in parameters["groups"]]
    return {**parameters, "groups": groups}


def source_sha256(directory: Path, scenes: Path | None, options: Options) -> str:
    """Return the SHA-256 of the inputs of `build` with these arguments: its files, and options that change the dataset.

    Raises:
        InputError: manifests or scene files cannot be read.
    """
    inputs = Inputs.read(directory, scenes, options)
    return inputs.source_sha256(records_number(directory, inputs.manifests))
