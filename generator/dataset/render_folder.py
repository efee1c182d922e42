"""Rows of a folder that was rendered into, checked and made ready for a dataset, some at a time.

Two passes over chunks of rows, each in any process. `examine` reads each record, picture and mask once: it names what
is wrong, and keeps what the dataset will say about the rows. `illustrate` adds the pictures, when the statistics of
good parts are known that the nsoart column needs. Both leave their result as files, and find it again after a crash
where nothing that it came from has changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features
from PIL import Image

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.geometry import lens, optics
from blender_scripts.manifest.reader import Run
from blender_scripts.manifest.record import read_record
from generator import bbox_str
from generator.dataset import labels
from generator.dataset.features import MANIFEST_COLUMNS, PICTURES, features
from generator.dataset.labels import (
    CLASSES,
    GONE_PIECES,
    OK,
    OTHERNG,
    PictureTruth,
    Tolerance,
    coco_box,
    label_picture,
)
from generator.soart import nsoart, soart3_maps

# The mask's boxes are rounded to a millionth of a pixel.
_ROUNDING_PX = 1e-3


@dataclass(frozen=True)
class Rules:
    """What a build does to every row.

    Attributes:
        directory: the folder that was rendered into.
        spool: where chunks keep their results.
        limits: tolerance limits in mm that replace the scene's, by name.
        grey: fraction of a limit within which a measure is flagged.
        observable_px: how far a bend or a retraction has to move a tip in a view to count as seen there.
        extras: the user's own columns.
        answer: how `bbox_str` names classes, of ANSWER_LABELS.
        window, stride: of nsoart, in px.
        masks: whether instance masks and key points go into the dataset.
    """

    directory: Path
    spool: Path
    limits: Mapping[str, float]
    grey: float
    observable_px: float
    extras: tuple[str, ...]
    answer: str
    window: int
    stride: int
    masks: bool = False

    def fingerprint(self) -> str:
        """Of everything but the rows that a chunk's result depends on, this code included."""
        settings = {**asdict(self), "directory": str(self.directory.resolve()), "spool": ""}
        return _sha256(json.dumps(settings, sort_keys=True).encode() + _code())


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one split. `manifests`: the file that each row stands in."""

    split: str
    number: int
    runs: tuple[Run, ...]
    manifests: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}"


@dataclass
class Findings:
    """What `examine` tells about a chunk; without its rows, so that many fit in memory.

    Attributes:
        key: of what the chunk's files were when it was examined.
        missing: rows without a record.
        rows: name, class, unit-space group and split of each row that goes into the dataset, in order.
        tolerances: (scene, file, limits) where a record's limits differ from those before it in the chunk.
        statistics: of the maps of the OK rows of training, by group.
        ceilings: of the boxes in answers: how many, the sum and the least of the IoU that a perfect answer reaches.
    """

    key: str = ""
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    tolerances: list[tuple[str, str, dict[str, float]]] = field(default_factory=list)
    other: bool = False
    grey_rows: int = 0
    hidden_rows: int = 0
    ceilings: tuple[int, float, float] = (0, 0.0, 1.0)
    renderers: list[str] = field(default_factory=list)
    blenders: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    statistics: list[tuple[tuple[str, ...], tuple[int, list[float], list[float]]]] = field(
        default_factory=list
    )


def examine(chunk: Chunk, rules: Rules) -> Findings:
    """Check a chunk's rows and keep everything about them but the pictures."""
    key = _chunk_key(chunk, rules)
    kept, told = rules.spool / f"{chunk.name}.rows", rules.spool / f"{chunk.name}.json"
    if (known := _read_findings(told, key)) is not None and (kept.is_file() or not known.rows):
        return known
    findings = Findings(key)
    rows: list[dict[str, Any]] = []
    statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
    for run, manifest in zip(chunk.runs, chunk.manifests, strict=True):
        row = _examine_row(run, manifest, rules, findings, statistics)
        if row is not None:
            rows.append(row)
    findings.statistics = [(group, found.as_numbers()) for group, found in statistics.items()]
    if not findings.problems:
        if rows:
            _write_table(kept, pa.Table.from_pylist(rows, schema=_light_schema(rules)))
        _write(told, json.dumps(asdict(findings)).encode())
    return findings


def illustrate(chunk: str, key: str, rules: Rules, parameters: Mapping[str, Any]) -> tuple[Path, str]:
    """Add both pictures to an examined chunk.

    Args:
        chunk: its name.
        key: of `Findings`.
        parameters: contents of nsoart.json; the rows of its groups may be left out.

    Returns:
        The file with the rows as Arrow stores them, and the SHA-256 of its bytes.

    Raises:
        InputError: a picture has changed since it was examined.
    """
    whole, vouched = rules.spool / f"{chunk}.arrow", rules.spool / f"{chunk}.sha256"
    wanted = _sha256(f"{key} {json.dumps(parameters, sort_keys=True)}".encode())
    if vouched.is_file() and whole.is_file():
        found, _, digest = vouched.read_text("ascii").partition(" ")
        if found == wanted:
            return whole, digest
    table = read_table(rules.spool / f"{chunk}.rows")
    rows = table.select(["run", *nsoart.GROUP_BY, "image", "mask"]).to_pylist()
    images, charts, masks = [], [], []
    for row in rows:
        content, picture = _picture(rules.directory, row["run"], row["image"], None)
        chart = nsoart.nsoart_picture(picture, parameters, row)
        images.append({"bytes": content, "path": f"{row['run']}.png"})
        charts.append({"bytes": encoded_png(chart), "path": f"{row['run']}_nsoart.png"})
        if rules.masks:
            masks.append({"bytes": _mask(rules, row), "path": f"{row['run']}_mask.png"})
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    columns = {"image": images, "nsoart": charts, **({"mask": masks} if rules.masks else {})}
    arrays = [
        pa.array(columns[name], schema.field(name).type) if name in columns else table.column(name)
        for name in schema.names
    ]
    digest = _write_table(whole, pa.Table.from_arrays(arrays, schema=schema))
    _write(vouched, f"{wanted} {digest}".encode())
    return whole, digest


def unit_statistics(runs: Sequence[str], rules: Rules) -> nsoart.MapStatistics:
    """Statistics of the maps of rows that stand for good parts without being OK rows of training."""
    statistics = nsoart.MapStatistics()
    for run in runs:
        content = (rules.directory / "images" / f"{run}.png").read_bytes()
        statistics.add(nsoart.nsoart_maps(Image.open(io.BytesIO(content)), rules.window, rules.stride))
    return statistics


def read_table(path: Path) -> pa.Table:
    """A table that was written by `examine` or `illustrate`, without copying it into memory."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def shown_path(path: Path) -> str:
    """A file inside of the rendered folder, as a message names it."""
    return f"{path.parent.name}/{path.name}"


def _examine_row(
    run: Run,
    manifest: str,
    rules: Rules,
    findings: Findings,
    statistics: dict[tuple[str, ...], nsoart.MapStatistics],
) -> dict[str, Any] | None:
    path = rules.directory / "records" / f"{run.run}.json"
    if not path.is_file():
        findings.missing.append(
            f"{shown_path(path)}: expected the record of run {run.run} ({manifest}), got nothing"
        )
        return None
    wrong: list[str] = []
    try:
        record = read_record(path)
        wrong += _differences(record, run, manifest, path)
        wrong += _box_problems(record, path) or _number_problems(record, path)
        own = record["tolerance"]
        tolerance = Tolerance(own["true_position_mm"], own["retraction_mm"]).with_limits(rules.limits)
        truth = label_picture(record, tolerance, rules.grey, rules.observable_px)
        content = dataset_row(run, record, truth, rules.extras, rules.answer)
        for name, kind in (("renderer", findings.renderers), ("blender", findings.blenders)):
            if str(record[name]) not in kind:
                kind.append(str(record[name]))
    except InputError as error:
        findings.problems += error.problems
        return None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"key {error} missing" if isinstance(error, KeyError) else str(error)
        findings.problems += wrong or [f"{shown_path(path)}: expected a complete record, got: {reason}"]
        return None
    _take_tolerance(findings, run.scene, shown_path(path), tolerance)
    try:
        size = record["width"], record["height"]
        _, picture = _picture(rules.directory, run.run, record["image_sha256"], size)
        _check_mask(rules.directory, run.run, record["mask_sha256"])
    except InputError as error:
        wrong += error.problems
    findings.problems += wrong
    if wrong:
        return None
    group = nsoart.group_of(content)
    if truth.label == OK and run.split == "train":
        maps = nsoart.nsoart_maps(picture, rules.window, rules.stride)
        statistics.setdefault(group, nsoart.MapStatistics()).add(maps)
    findings.rows.append((run.run, truth.label, group))
    findings.other |= any(thing.category == OTHERNG for thing in truth.objects)
    findings.grey_rows += truth.grey
    findings.hidden_rows += not truth.observable
    count, total, least = findings.ceilings
    for thing in truth.found:
        reached = bbox_str.ceiling(thing.box, *size)
        count, total, least = count + 1, total + reached, min(least, reached)
    findings.ceilings = count, total, least
    if size not in findings.sizes:
        findings.sizes.append(size)
    return {**content, "image": record["image_sha256"], "mask": record["mask_sha256"]}


def dataset_row(
    run: Run, record: Mapping[str, Any], truth: PictureTruth, extras: Sequence[str], answer: str = "short"
) -> dict[str, Any]:
    """Everything that the dataset says about a picture, as Arrow stores it, without the pictures."""
    row = run.row()
    things = truth.objects
    width, height = int(record["width"]), int(record["height"])
    housing = record["housing"]["boxes"]["visible"]
    return {
        "label": CLASSES.index(truth.label),
        "verdict": int(truth.verdict == "NG"),
        "kinds": list(truth.kinds),
        "observable": truth.observable,
        "grey": truth.grey,
        "bbox_str": truth.answer(width, height, answer),
        "objects": {
            "id": [thing.id for thing in things],
            "bbox": [
                [thing.box[0], thing.box[1], thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]]
                for thing in things
            ],
            "category": [CLASSES.index(thing.category) for thing in things],
            "area": [thing.area for thing in things],
            "address": [thing.address for thing in things],
            "cavity": [thing.cavity for thing in things],
            "visible": [thing.visible for thing in things],
            "true_position_mm": [thing.true_position_mm for thing in things],
            "retraction_mm": [thing.retraction_mm for thing in things],
            "tip_px": [thing.tip_px for thing in things],
            "base_px": [thing.base_px for thing in things],
        },
        "housing_bbox": housing and coco_box(housing, (width, height)),
        "synthetic": True,
        "original": None,
        "augmentation": None,
        "width": width,
        "height": height,
        **{name: row[name] for name in MANIFEST_COLUMNS},
        **{name: str(run.extra.get(name, "")) for name in extras},
    }


def _take_tolerance(findings: Findings, scene: str, path: str, tolerance: Tolerance) -> None:
    limits = asdict(tolerance)
    last = next((known for name, _, known in reversed(findings.tolerances) if name == scene), None)
    if last != limits:
        findings.tolerances.append((scene, path, limits))


def _differences(record: Mapping[str, Any], run: Run, manifest: str, path: Path) -> list[str]:
    """How the row in a record differs from the row in its manifest."""
    expected, got = run.row(), dict(record["row"])
    problems = [
        f"{shown_path(path)}: expected {name} {expected.get(name)!r} as in {manifest}, got {got.get(name)!r}: "
        "render again"
        for name in [*expected, *(name for name in got if name not in expected)]
        if expected.get(name) != got.get(name)
    ]
    if record["run"] != run.run:
        problems.append(
            f"{shown_path(path)}: expected the record of run {run.run}, got that of {record['run']!r}"
        )
    return problems


def _box_problems(record: Mapping[str, Any], path: Path) -> list[str]:
    """Boxes that no picture can hold: what is seen of a thing is seen inside of the picture."""
    width, height = record["width"], record["height"]
    problems = []
    for thing in (*record["positions"], *record["other"]):
        where = f"{shown_path(path)}: {thing.get('address') or thing['kind']}"
        if not isinstance(thing["boxes"], dict):
            problems.append(f"{where}: expected boxes as an object, got {shown(thing['boxes'])}")
            continue
        for name, box in thing["boxes"].items():
            if box is None:
                continue
            if len(box) != 4 or not all(math.isfinite(edge) for edge in box):
                problems.append(f"{where}: expected the {name} box as four numbers, got {box}")
                continue
            x1, y1, x2, y2 = box
            if x2 < x1 or y2 < y1:
                problems.append(f"{where}: expected the {name} box with x1 <= x2 and y1 <= y2, got {box}")
            elif (
                name == "visible"
                and thing["kind"] not in GONE_PIECES
                and not (
                    x1 >= -_ROUNDING_PX
                    and y1 >= -_ROUNDING_PX
                    and x2 <= width + _ROUNDING_PX
                    and y2 <= height + _ROUNDING_PX
                )
            ):
                problems.append(
                    f"{where}: expected the visible box inside of {width} x {height} px, got {box}"
                )
    return problems


def _number_problems(record: Mapping[str, Any], path: Path) -> list[str]:
    """Positions that are not counted from 1, as the mask counts them, and numbers that measure nothing."""
    indices = [position["index"] for position in record["positions"]]
    if not indices or indices != list(range(1, len(indices) + 1)):
        return [f"{shown_path(path)}: expected positions with the indices 1, 2, …, got {shown(indices)}"]
    return [
        f"{shown_path(path)}: expected {name} as a finite number, got {value}"
        for name, value in _not_finite(record, "")
    ]


def _not_finite(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{name}[{number}]")


def _picture(
    directory: Path, run: str, sha256: str, size: tuple[int, int] | None
) -> tuple[bytes, Image.Image]:
    """A picture's bytes and pixels, checked against its record."""
    path = directory / "images" / f"{run}.png"
    content = _read_whole(path, f"the picture of run {run}", sha256)
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{shown_path(path)}: expected a picture that can be decoded, got: {error}"
        ) from None
    if size is not None and picture.size != size:
        raise InputError(f"{shown_path(path)}: expected {size[0]} x {size[1]} px, got {picture.size}")
    if picture.mode not in ("RGB", "L"):
        raise InputError(f"{shown_path(path)}: expected 8-bit RGB or grey, got Pillow mode {picture.mode}")
    return content, picture


def _mask(rules: Rules, row: Mapping[str, Any]) -> bytes:
    path = rules.directory / "masks" / f"{row['run']}.png"
    return _read_whole(path, f"the mask of run {row['run']}", row["mask"])


def _check_mask(directory: Path, run: str, sha256: str) -> None:
    _read_whole(directory / "masks" / f"{run}.png", f"the mask of run {run}", sha256)


def _read_whole(path: Path, what: str, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{shown_path(path)}: expected {what}, got nothing") from None
    except OSError as error:
        raise InputError(f"{shown_path(path)}: expected {what}, got: {error.strerror}") from None
    digest = _sha256(content)
    if digest != sha256:
        raise InputError(
            f"{shown_path(path)}: expected the bytes that were rendered (SHA-256 {sha256[:12]}…), "
            f"got {digest[:12]}… ({len(content)} bytes)"
        )
    return content


def _light_schema(rules: Rules) -> pa.Schema:
    """Of a row between the two passes: the SHA-256 of picture and mask in place of them."""
    declared = features(True, rules.extras, rules.masks)
    columns = {name: kind for name, kind in declared.items() if name not in PICTURES}
    schema = Features(columns).arrow_schema.remove_metadata()
    for name in ("image", "mask"):
        schema = schema.append(pa.field(name, pa.string()))
    return schema


def _chunk_key(chunk: Chunk, rules: Rules) -> str:
    """Of the chunk's rows, and of the size and time of each of their files."""
    parts: list[Any] = [rules.fingerprint(), chunk.name]
    for run, manifest in zip(chunk.runs, chunk.manifests, strict=True):
        parts.append([run.row(), manifest])
        for folder, suffix in (("records", "json"), ("images", "png"), ("masks", "png")):
            try:
                found = (rules.directory / folder / f"{run.run}.{suffix}").stat()
                parts.append([found.st_size, found.st_mtime_ns, found.st_ino])
            except OSError:
                parts.append(None)
    return _sha256(json.dumps(parts).encode())


def _read_findings(path: Path, key: str) -> Findings | None:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if told["key"] != key:
        return None
    found = Findings(**told)
    found.rows = [(run, label, tuple(group)) for run, label, group in found.rows]
    found.ceilings = tuple(told["ceilings"])
    found.sizes = [(width, height) for width, height in found.sizes]
    found.statistics = [(tuple(group), numbers) for group, numbers in found.statistics]
    return found


@cache
def _code() -> bytes:
    """The bytes of the modules that decide what a row becomes."""
    modules = (bbox_str, labels, nsoart, soart3_maps, lens, optics)
    paths = [Path(str(module.__file__)) for module in modules] + [Path(__file__)]
    return b"".join(path.read_bytes() for path in paths)


def _write_table(path: Path, table: pa.Table) -> str:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return _write(path, sink.getvalue())


def _write(path: Path, content: bytes) -> str:
    """Write a file that is there whole or not at all; its SHA-256."""
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
    return _sha256(content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encoded_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Run lengths of filtered lines (Pillow's type 3): a quarter of the default's time, and files of the same size.
    picture.save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()
