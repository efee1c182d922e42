"""The row types of a dataset: PictureRow for a picture, ObjectRow for each object in it.

`build`, `import` and `augment` make rows; the trainers read them. `features` derives the columns from the two classes.
To add a column of an object, add a field to ObjectRow; for one of a picture, add a field to PictureRow and a line to
`columns_of` and `row_of`. Set the new column's value in dataset/record_rows.py (renders) and interchange/photo_rows.py
(photographs), and add its name to RESERVED in manifest/run.py, as manifests may not use it.

An unknown value is None. Columns that an older dataset lacks (`missing_columns`) count as None, `synthetic` as True.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from datasets import ClassLabel, Features, Image, List, Value

from blender_scripts.contract.station import MODELS, PINHOLE, is_telecentric
from generator import bbox_str
from generator.dataset.labels import ANSWER_LABELS, CLASSES, OTHERNG, VERDICTS

Box = tuple[float, float, float, float]
Point = tuple[float, float]

# Columns that hold pictures, as bytes, and are not fields of PictureRow; `nsoart`: texture maps standardised by good
# parts; `mask`: pixels of each object (a dataset may lack it).
PICTURES = ("image", "nsoart", "mask")
# The columns of every manifest and their types, in the manifest's order.
MANIFEST_COLUMNS = {
    "run": "string",
    "split": "string",
    "part": "int64",
    "seed": "int64",
    "fixture": "int64",
    "scene": "string",
    "housing": "string",
    "terminal": "string",
    "defects": "string",
    "camera": "string",
    "lighting": "string",
    "marking": "string",
    "samples": "int64",
    "world": "string",
}
# Those that datasets of older versions lack.
NEWER = ("fixture", "world")
_CLASS = "class"  # placeholder: `features` puts ClassLabel with the dataset's classes in its place


def _column(feature: object, **options: Any) -> Any:
    """Declare a dataclass field as a column of this type; `default` makes it optional."""
    return field(metadata={"feature": feature}, **options)


_TEXT, _FLAG, _WHOLE = Value("string"), Value("bool"), Value("int64")
# Double precision, since labels depend on comparing measures with limits.
_MM = _LENGTH_PX = Value("float64")
_PX = List(Value("float32"))
_TEXTS = List(_TEXT)
_BBOX = {"bbox": List(Value("float32"), length=4), "area": Value("float32")}
_CAMERA, _TOLERANCE, _HOUSING = {"camera_json": _TEXT}, {"tolerance_json": _TEXT}, {"housing_bbox": _PX}
_MANIFEST = {name: Value(kind) for name, kind in MANIFEST_COLUMNS.items()}


@dataclass(frozen=True)
class ObjectRow:
    """One object in a picture: a pin position of the connector, a foreign body, a crack or a print defect.

    Attributes:
        id: the object's pixel value in the instance mask.
        box: xyxy in px, clipped to the picture; for an NG position, around what shows the defect. Stored as `bbox`
            (COCO's xywh) and `area` (px^2).
        category: class of the object, one of CLASSES.
        kinds: kinds of defect that make it NG; () for a good object, None where they are not known.
        in_answer: whether `bbox_str`, the Florence-2 answer, has the object's box.
        address: row and position of the pin, both from 1, such as r2c5; for another object, the address of the position
            it lies at (r1c1-r1c2 for two, "" for none).
        cavity: label of the cavity on the drawing.
        visible: share of the object that is visible, 0 to 1; for a missing pin, the visible share of its cavity. If the
            object reaches beyond the picture, times the share of its box's area in the picture.
        dx_mm, dy_mm: offset of the tip from its nominal position, along X (to the right, seen from the centre camera)
            and Y (upwards). This and the other measures are None for a missing pin and for an object that is no pin.
        true_position_mm: diametral position error of the tip, 2 sqrt(dx^2 + dy^2).
        retraction_mm: depth of the terminal below its nominal height in its cavity; negative where it protrudes.
        tilt_deg: angle between the pin's direction at its tip and the mating direction, degrees.
        tip_px, base_px: (x, y) of the pin's tip and foot (at the cavity floor), px; in renders they may lie outside the
            picture. A missing pin has no tip (None), but a foot: where it should be. Both are None for an object that
            is no pin, on photographs, and where an augmented copy does not show the point.
        moved_px: by how many px the bend or wrong height of an NG pin moves its tip in this picture; None for a good
            pin, for any other kind of defect or object, and where it is not known, as on photographs.
    """

    id: int | None = _column(_WHOLE)
    box: Box = _column(_BBOX)
    category: str = _column(_CLASS)
    kinds: tuple[str, ...] | None = _column(_TEXTS, default=None)
    in_answer: bool | None = _column(_FLAG, default=None)
    address: str | None = _column(_TEXT, default=None)
    cavity: str | None = _column(_TEXT, default=None)
    visible: float | None = _column(Value("float32"), default=None)
    dx_mm: float | None = _column(_MM, default=None)
    dy_mm: float | None = _column(_MM, default=None)
    true_position_mm: float | None = _column(_MM, default=None)
    retraction_mm: float | None = _column(_MM, default=None)
    tilt_deg: float | None = _column(_MM, default=None)
    tip_px: Point | None = _column(_PX, default=None)
    base_px: Point | None = _column(_PX, default=None)
    moved_px: float | None = _column(_LENGTH_PX, default=None)

    @property
    def area(self) -> float:
        """Area of the box, px^2."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def protrusion_mm(self) -> float | None:
        """Height of the terminal above its nominal height, mm; negative where it is retracted, None if not known."""
        return None if self.retraction_mm is None else -self.retraction_mm

    @property
    def is_position(self) -> bool:
        """Whether the object is a pin position of the connector, not a foreign body, crack or print defect.

        A foreign body may have the address of the position it lies at, but has no measures.
        """
        return bool(self.address) and (self.category != OTHERNG or self.true_position_mm is not None)


@dataclass(frozen=True)
class CameraRow:
    """The camera of one picture; stored as JSON in `camera_json`.

    Attributes:
        matrix_world: (4, 4) from Blender's camera axes (looking along -Z, Y up) to the axes in which the part is
            measured, mm: the world's axes, with the origin shifted so that this part's datum lies as on the drawing.
        fx, fy, cx, cy: focal lengths and principal point in px, edge convention: the picture is [0, W] x [0, H]. Of a
            telecentric camera, fx and fy are px per mm.
        distortion: OpenCV's coefficients k1, k2, p1, p2, k3.
        model: pinhole or telecentric (parallel rays: points are not divided by their depth).
    """

    matrix_world: tuple[tuple[float, ...], ...]
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    model: str = PINHOLE

    @classmethod
    def of(cls, camera: Mapping[str, Any]) -> CameraRow:
        """Make a CameraRow from a record's `camera` or from parsed `camera_json`."""
        return cls(
            tuple(tuple(map(float, line)) for line in camera["matrix_world"]),
            float(camera["fx"]),
            float(camera["fy"]),
            float(camera["cx"]),
            float(camera["cy"]),
            tuple(map(float, camera["distortion"])),
            MODELS[is_telecentric(camera)],
        )

    def as_json(self) -> str:
        """Return the attributes as a JSON object, as in `camera_json`."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class PictureRow:
    """One picture of a dataset: its class under one tolerance, its objects, its camera, its manifest row.

    Attributes:
        label: class of the picture, one of CLASSES; `verdict` follows from it.
        kinds: every kind of defect of the part; None where a labeller did not state them.
        observable: whether at least one of the part's defects is visible in this view; for a good part, whether any of
            its pins is. False for a picture that is black or white.
        grey: whether a measure lies so close to its limit that OK and NG can hardly be told apart; None: not measured.
        bbox_str: the answer that Florence-2 learns for the task `<OD>` (object detection); see `answer`.
        objects: objects in the picture; None where they are not known.
        camera: None where it is not known, as for a photograph without calibration.
        tolerance: limits in mm that decided `label`, as `Tolerance.complete` returns them; None: none were applied.
        housing_box: box of the housing's visible part, xyxy in px, clipped to the picture; None: hidden or unknown.
        synthetic: whether the picture was rendered.
        original, augmentation: of an augmented copy, the run name of the row that was copied, and how it was changed:
            left, right (halves), reverse, plus90, light or warp; None for a picture that is no copy.
        width, height: size in px.
        manifest: values of the manifest's columns, MANIFEST_COLUMNS, by name.
        extras: values of the user's own columns of the manifest, by name.
    """

    label: str = _column(_CLASS)
    kinds: tuple[str, ...] | None = _column(_TEXTS)
    observable: bool | None = _column(_FLAG)
    grey: bool | None = _column(_FLAG, default=None)
    bbox_str: str | None = _column(_TEXT)
    objects: tuple[ObjectRow, ...] | None = _column("objects")
    camera: CameraRow | None = _column(_CAMERA, default=None)
    tolerance: Mapping[str, Any] | None = _column(_TOLERANCE, default=None)
    housing_box: Box | None = _column(_HOUSING, default=None)
    synthetic: bool = _column(_FLAG)
    original: str | None = _column(_TEXT, default=None)
    augmentation: str | None = _column(_TEXT, default=None)
    width: int = _column(_WHOLE)
    height: int = _column(_WHOLE)
    manifest: Mapping[str, Any] = _column(_MANIFEST)
    extras: Mapping[str, str] = _column("extras", default_factory=dict)

    @property
    def verdict(self) -> str:
        """OK or NG (any class but OK)."""
        return VERDICTS[int(self.label != "OK")]


def class_names(other: bool) -> tuple[str, ...]:
    """Return the names of a dataset's classes, in the order of their numbers; OTHERNG only if `other` is true."""
    return CLASSES if other else tuple(name for name in CLASSES if name != OTHERNG)


def features(other: bool, extras: Sequence[str] = (), masks: bool = False) -> Features:
    """Return a dataset's columns and their types, derived from PictureRow and ObjectRow.

    Args:
        other: whether the dataset holds defects of class OTHERNG.
        extras: names of the user's own manifest columns, stored as text.
        masks: whether the dataset has a column of instance masks.
    """
    label = ClassLabel(names=list(class_names(other)))
    columns: dict[str, object] = {"image": Image(), "nsoart": Image()}
    if masks:
        columns["mask"] = Image()
    for each in dataclasses.fields(PictureRow):
        feature = each.metadata["feature"]
        if feature == _CLASS:
            columns |= {"label": label, "verdict": ClassLabel(names=list(VERDICTS))}
        elif feature == "objects":
            # A dict of lists, as the Hub's viewer and the usual detection examples expect.
            columns["objects"] = {name: List(kind) for name, kind in _object_columns(label).items()}
        elif feature == "extras":
            columns |= dict.fromkeys(extras, _TEXT)
        elif isinstance(feature, dict):
            columns |= feature
        else:
            columns[each.name] = feature
    return Features(columns)


@cache
def _declared() -> Features:
    return features(True)


def _object_columns(label: ClassLabel) -> dict[str, object]:
    columns: dict[str, object] = {}
    for each in dataclasses.fields(ObjectRow):
        feature = each.metadata["feature"]
        if isinstance(feature, dict):
            columns |= feature
        else:
            columns[each.name] = label if feature == _CLASS else feature
    return columns


def missing_columns(present: Mapping[str, Any]) -> list[str]:
    """Return the names of Pinsight's columns that a dataset lacks; `objects.NAME`: a list in the column `objects`.

    Args:
        present: features (columns and types) of a dataset that an older version or another program made.
    """
    wanted = features(True)
    lacking = [name for name in wanted if name not in present]
    objects = present.get("objects")
    inner = getattr(objects, "feature", objects)
    if isinstance(inner, Mapping):
        lacking += [f"objects.{name}" for name in wanted["objects"] if name not in inner]
    return lacking


def missing_note(name: object, present: Mapping[str, Any]) -> str | None:
    """Return a message that names the columns of Pinsight that a dataset lacks; None if it has all.

    Args:
        name: name of the dataset, for the message.
        present: features (columns and types) of the dataset.
    """
    lacking = missing_columns(present)
    if not lacking:
        return None
    return f"{name}: an older dataset without the columns {', '.join(lacking)}: their values count as unknown"


def all_columns(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored row, completed by the columns that an older dataset lacks: `synthetic` True, all others None."""
    objects = stored.get("objects")
    if objects is not None and objects.get("bbox") is not None:
        unknown = [None] * len(objects["bbox"])
        objects = {name: objects.get(name, unknown) for name in _declared()["objects"]}
    return {**dict.fromkeys(_declared()), "synthetic": True, **stored, "objects": objects}


def columns_of(row: PictureRow) -> dict[str, Any]:
    """Return a row's columns, except pictures, in the form that Arrow stores: classes as indices, boxes as xywh."""
    return {
        "label": CLASSES.index(row.label),
        "verdict": VERDICTS.index(row.verdict),
        "kinds": None if row.kinds is None else list(row.kinds),
        "observable": row.observable,
        "grey": row.grey,
        "bbox_str": row.bbox_str,
        "objects": None if row.objects is None else object_columns_of(row.objects),
        "camera_json": None if row.camera is None else row.camera.as_json(),
        "tolerance_json": None if row.tolerance is None else json.dumps(dict(row.tolerance), sort_keys=True),
        "housing_bbox": None if row.housing_box is None else _xywh(row.housing_box),
        **{name: getattr(row, name) for name in ("synthetic", "original", "augmentation", "width", "height")},
        **{name: row.manifest.get(name) for name in MANIFEST_COLUMNS},
        **row.extras,
    }


def object_columns_of(objects: Sequence[ObjectRow]) -> dict[str, list[Any]]:
    """Return objects in the form of the column `objects`: a dict with one list for each field."""
    plain = [f.name for f in dataclasses.fields(ObjectRow) if f.name not in ("box", "category", "kinds")]
    return {
        "bbox": [_xywh(each.box) for each in objects],
        "area": [each.area for each in objects],
        "category": [CLASSES.index(each.category) for each in objects],
        "kinds": [None if each.kinds is None else list(each.kinds) for each in objects],
        **{name: [getattr(each, name) for each in objects] for name in plain},
    }


def row_of(columns: Mapping[str, Any], extras: Sequence[str] = ()) -> PictureRow:
    """Convert a stored row to a PictureRow; values of missing columns become None (`synthetic`: True).

    Args:
        columns: a row as stored, with classes as numbers.
        extras: names of the user's own columns.
    """
    camera, tolerance = columns.get("camera_json"), columns.get("tolerance_json")
    housing = columns.get("housing_bbox")
    kinds = columns.get("kinds")
    return PictureRow(
        label=CLASSES[columns["label"]],
        kinds=None if kinds is None else tuple(kinds),
        observable=columns.get("observable"),
        grey=columns.get("grey"),
        bbox_str=columns.get("bbox_str"),
        objects=objects_of(columns),
        camera=None if camera is None else CameraRow.of(json.loads(camera)),
        tolerance=None if tolerance is None else json.loads(tolerance),
        housing_box=None if housing is None else _xyxy(housing),
        synthetic=bool(columns.get("synthetic", True)),
        original=columns.get("original"),
        augmentation=columns.get("augmentation"),
        width=columns["width"],
        height=columns["height"],
        manifest={name: columns.get(name) for name in MANIFEST_COLUMNS},
        extras={name: columns[name] for name in extras},
    )


def objects_of(columns: Mapping[str, Any], classes: Sequence[str] = CLASSES) -> tuple[ObjectRow, ...] | None:
    """Return the objects of a stored row; None if they are not known, or if one has no known box or class.

    Args:
        columns: a row as stored, with classes as numbers; a number outside `classes`, such as -1, means unknown.
        classes: names of the dataset's classes, by number.
    """
    stored = columns.get("objects") or {}
    if any(stored.get(name) is None or None in stored[name] for name in ("bbox", "category")):
        return None
    if not all(0 <= category < len(classes) for category in stored["category"]):
        return None
    count = len(stored["bbox"])
    plain = [f.name for f in dataclasses.fields(ObjectRow) if f.name not in ("box", "category")]
    values = {name: stored.get(name) or [None] * count for name in plain}
    found = []
    for at in range(count):
        fields = {name: values[name][at] for name in plain}
        for name in ("kinds", "tip_px", "base_px"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        found.append(ObjectRow(box=_xyxy(stored["bbox"][at]), category=classes[stored["category"][at]], **fields))
    return tuple(found)


def answer(objects: Iterable[ObjectRow], size: tuple[int, int], style: str = "short") -> str:
    """Return the text with which Florence-2 has to answer for a picture: class and box of each object `in_answer`.

    Args:
        objects: objects of the picture.
        size: (W, H) of the picture in px.
        style: how classes are named: `short` (BENDNG), `words` (bent pin) or `hyphenated` (BEND-NG).
    """
    found = [each for each in objects if each.in_answer]
    names = ANSWER_LABELS[style]
    return bbox_str.encode([each.box for each in found], [names[each.category] for each in found], *size)


def clipped(box: Iterable[float], size: tuple[int, int]) -> Box:
    """Clip a box xyxy to a picture of (W, H) px; a box outside of it becomes a point or line on the picture's edge."""
    width, height = size
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return (min(max(x1, 0.0), width), min(max(y1, 0.0), height), min(max(x2, 0.0), width), min(max(y2, 0.0), height))


def shown_part(box: Iterable[float] | None, size: tuple[int, int]) -> Box | None:
    """Clip a box xyxy to a picture of (W, H) px; None if it lies outside, or if `box` is None."""
    if box is None:
        return None
    x1, y1, x2, y2 = clipped(box, size)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _xywh(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _xyxy(box: Sequence[float]) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height
