"""Facts of a dataset's row for evaluation: the part, its factors, its defects with address, kind and size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import MEASURES
from trainer.core.dataset_columns import part_name
from trainer.core.defect_size import size_of
from trainer.core.held_out import group_of, positions_by_scene
from trainer.core.split import IGNORED, Split

# Columns that are not evaluated as factors, possible causes of mistakes: names, seeds, the truth itself, settings of
# the renderer.
NO_FACTORS = {
    *("run", "split", "part", "seed", "fixture", "defects", "samples", "width", "height"),
    *("label", "verdict", "kinds", "observable", "grey", "objects", "bbox_str", "image", "nsoart"),
    *("housing_bbox", "camera_json", "tolerance_json", "mask", "original", "file"),
}
MOST_LEVELS = 12
# Names of the factors that are computed from each row.
COMPUTED = ("position", "size", "kinds")


@dataclass(frozen=True)
class Facts:
    """Facts of one dataset row (one picture), or of one part from the rows of its views.

    Args:
        part: Name of the part, from `part_name`: the same for all pictures of the part.
        scene: Name of the scene, which is one connector type.
        kinds: Kinds of the defects out of tolerance, such as `bent+retracted`; `OK` without a defect, `unknown` if the
            picture is NG and its kind of defect is not recorded.
        addresses: Address (such as `r1c2`) of each visible defect; an empty string for a defect without one.
        measure: Measure (such as `true_position_mm`) that is the size of the defect; empty if `size_mm` is None.
        size_mm: Size of the only visible defect in mm; None if the defect has no size, or not exactly one is visible.
        factors: Text of each column that may be a cause of mistakes, by column; empty where unknown.
    """

    part: str
    scene: str
    kinds: str
    addresses: tuple[str, ...]
    measure: str
    size_mm: float | None
    factors: Mapping[str, str]


def _defects(split: Split, index: int, ok_index: int) -> list[int]:
    return [i for i, c in enumerate(split.categories[index].tolist()) if c not in (ok_index, IGNORED)]


def facts(split: Split, ok_index: int) -> list[Facts]:
    """Return the `Facts` of each example of a split: of each picture, or with --views of each part."""
    out = []
    for index, row in enumerate(split.rows):
        scene = str(row.get("scene") or "")
        # A photograph may be NG without a kind. The label is read from the split, which has the network's numbers.
        unnamed = row.get("kinds") is None and int(split.labels[index // split.views]) != ok_index
        objects = (split.objects[index] if split.objects else None) or ()
        found = [objects[i] for i in _defects(split, index, ok_index)]
        measure, size = size_of(found, json.loads(row.get("tolerance_json") or "{}"))
        out.append(
            Facts(
                part=part_name(row, split.runs[index]),
                scene=scene,
                kinds="+".join(sorted(set(row.get("kinds") or []))) or ("unknown" if unnamed else "OK"),
                addresses=tuple(each.address or "" for each in found),
                measure=measure,
                size_mm=size,
                factors={k: "" if v is None else str(v) for k, v in row.items() if k not in NO_FACTORS},
            )
        )
    if split.views > 1:
        return [of_part(out[at : at + split.views]) for at in range(0, len(out), split.views)]
    return out


def of_part(rows: Sequence[Facts]) -> Facts:
    """Join the facts of the pictures of one part into the facts of the part.

    Kinds and addresses are those of all pictures together. If all visible defects are at one address, `size_mm` is
    that of the first picture with a size; otherwise it is None. A factor that differs between pictures becomes empty.
    """
    kinds = {kind for row in rows for kind in row.kinds.split("+")} - {"OK"}
    addresses = tuple(dict.fromkeys(address for row in rows for address in row.addresses))
    alone = len(addresses) == 1 and all(len(row.addresses) <= 1 for row in rows)
    sized = next((row for row in rows if alone and row.measure), None)
    return replace(
        rows[0],
        kinds="+".join(sorted(kinds)) or "OK",
        addresses=addresses,
        measure=sized.measure if sized else "",
        size_mm=sized.size_mm if sized else None,
        factors={
            name: value if all(row.factors.get(name) == value for row in rows) else ""
            for name, value in rows[0].factors.items()
        },
    )


def defect_positions(split: Split, ok_index: int) -> dict[str, list[str]]:
    """Return by scene (connector type) the addresses of the pins that are visibly defective in any picture of a split.

    `ok_index` is the label of OK.
    """
    return positions_by_scene((row.scene, row.addresses) for row in facts(split, ok_index))


def position_group(row: Facts, positions: Mapping[str, Sequence[str]]) -> str:
    """Return `OK` for a row without a defect, otherwise the group of its defects (`held_out.group_of`), such as `seen`.

    `positions`: addresses of the pins that were defective in training, by scene.
    """
    return "OK" if row.kinds == "OK" and not row.addresses else group_of(row.scene, row.addresses, positions)


def size_levels(rows: Sequence[Facts], levels: int = 3) -> list[str]:
    """Return for each row a text such as `true_position_mm 0.20 to 0.85`, the range that contains its defect's size.

    The sizes of each measure are divided into `levels` ranges with about equal numbers of rows. The text is empty for
    a row without a size, and if fewer than 2 * `levels` rows have a size of this measure.
    """
    out = [""] * len(rows)
    for measure in MEASURES:
        held = [i for i, row in enumerate(rows) if row.measure == measure]
        if len(held) < 2 * levels:
            continue
        sizes = np.array([rows[i].size_mm for i in held], dtype=float)
        edges = np.quantile(sizes, np.linspace(0, 1, levels + 1))
        for i, size in zip(held, sizes, strict=True):
            bin_ = int(np.clip(np.searchsorted(edges, size, side="right") - 1, 0, levels - 1))
            out[i] = f"{measure} {edges[bin_]:.2f} to {edges[bin_ + 1]:.2f}"
    return out


def column_names(rows: Sequence[Facts]) -> dict[str, str]:
    """Return for each column of a dataset the name under which it is reported as a factor (possible cause of mistakes).

    It is the column's name; ` (column)` is added if a factor that is computed from the rows has this name.
    """
    columns = sorted({name for row in rows for name in row.factors})
    taken, named = {*COMPUTED, *columns}, {}
    for column in columns:
        name = column
        while name in COMPUTED or (name != column and name in taken):
            name += " (column)"
        taken.add(name)
        named[column] = name
    return named


def factor_levels(rows: Sequence[Facts], positions: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the rows' values as text by factor (possible cause of mistakes), for factors with 2 to 12 known values.

    Args:
        rows: From `facts`.
        positions: Addresses of the pins that were defective in training, by scene.
    """
    computed = ([position_group(row, positions) for row in rows], size_levels(rows), [row.kinds for row in rows])
    table = dict(zip(COMPUTED, computed, strict=True))
    for column, name in column_names(rows).items():
        table[name] = [row.factors.get(column, "") for row in rows]
    return {name: values for name, values in table.items() if 2 <= len(set(values) - {""}) <= MOST_LEVELS}


def kept_rows(split: Split, which: str) -> np.ndarray:
    """Return which examples of a split `--rows` keeps: (N,) bool.

    Args:
        split: The split.
        which: `all`; `observable`: without NG examples whose defects no view can show; `clear`: in addition without
            examples that have a pin in the grey zone (measures close to the tolerance).
    """
    if not split.rows:
        return np.ones(len(split), dtype=bool)
    rows, views = split.rows, split.views
    return np.array([keeps(rows[at : at + views], which) for at in range(0, len(rows), views)], dtype=bool)


def keeps(pictures: Sequence[Mapping[str, Any]], which: str) -> bool:
    """Return whether `--rows` keeps an example, given the columns of its pictures; `which` as in `kept_rows`."""
    is_hidden = all(row.get("observable") is False for row in pictures)
    is_grey = any(row.get("grey") is True for row in pictures)
    return which == "all" or not (is_hidden or (is_grey and which == "clear"))
