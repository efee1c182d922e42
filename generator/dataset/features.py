"""The columns of a dataset, declared: without that, `datasets` guesses types from the first rows it sees."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import ClassLabel, Features, Image, List, Value

from generator.dataset.labels import CLASSES, OTHERNG, VERDICTS

# Columns of pictures; a dataset may lack `mask`.
PICTURES = ("image", "nsoart", "mask")
# What a row is, beside what its picture shows; the manifest's own columns, in its order.
MANIFEST_COLUMNS = {
    "run": "string",
    "split": "string",
    "part": "int64",
    "seed": "int64",
    "scene": "string",
    "housing": "string",
    "terminal": "string",
    "defects": "string",
    "camera": "string",
    "lighting": "string",
    "marking": "string",
    "samples": "int64",
}


def class_names(other: bool) -> tuple[str, ...]:
    """The classes a dataset declares; OTHERNG only where there are other defects."""
    return CLASSES if other else tuple(name for name in CLASSES if name != OTHERNG)


def features(other: bool, extras: Sequence[str] = (), masks: bool = False) -> Features:
    """The columns and their types.

    Args:
        other: whether the dataset holds defects of class OTHERNG.
        extras: names of the user's own manifest columns, carried as text.
        masks: whether instance masks and key points are among them.
    """
    names = list(class_names(other))
    point = List(List(Value("float32")))
    return Features(
        {
            "image": Image(),
            "nsoart": Image(),
            **({"mask": Image()} if masks else {}),
            "label": ClassLabel(names=names),
            "verdict": ClassLabel(names=list(VERDICTS)),
            "kinds": List(Value("string")),
            "observable": Value("bool"),
            "grey": Value("bool"),
            "bbox_str": Value("string"),
            # A dict of lists, as viewers and the usual detection examples expect it; bbox is COCO's xywh in px.
            "objects": {
                "id": List(Value("int64")),
                "bbox": List(List(Value("float32"), length=4)),
                "category": List(ClassLabel(names=names)),
                "area": List(Value("float32")),
                "address": List(Value("string")),
                "cavity": List(Value("string")),
                "visible": List(Value("float32")),
                # Double precision: relabelling compares them with a limit.
                "true_position_mm": List(Value("float64")),
                "retraction_mm": List(Value("float64")),
                **({"tip_px": point, "base_px": point} if masks else {}),
            },
            "housing_bbox": List(Value("float32")),
            "synthetic": Value("bool"),
            "original": Value("string"),
            "augmentation": Value("string"),
            "width": Value("int64"),
            "height": Value("int64"),
            **{name: Value(kind) for name, kind in MANIFEST_COLUMNS.items()},
            **{name: Value("string") for name in extras},
        }
    )
