"""Sheets of pictures, truth beside prediction: in training the same ones at epochs 0, 1, 4, 12, 36, … and the last."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from generator.io.drawing import Box, Cell, draw_boxes, enlargement, grid
from trainer.core.run_folder import replace_file
from trainer.core.split import Pictures
from trainer.florence2.answers import Found
from trainer.florence2.data import DetectionSplit
from trainer.florence2.truth import Truth

SHOWN = 6


def is_shown(epoch: int, last: int) -> bool:
    """Return whether an epoch gets a sheet: epochs 0, 1, 4, 12, 36, … (from 12 on times three), and the `last`."""
    if epoch in (0, 1, 4, last):
        return True
    step = 12
    while step < epoch:
        step *= 3
    return step == epoch


def fixed_rows(split: DetectionSplit, count: int = SHOWN) -> list[int]:
    """Choose at most `count` rows: a third without defect, the others spread over labels and over each label's rows."""
    ok = [i for i, t in enumerate(split.truths) if not t.answer]
    ng = [i for i, t in enumerate(split.truths) if t.answer]

    def spread(rows: Sequence[int], number: int) -> list[int]:
        number = min(number, len(rows))
        return [rows[(2 * k + 1) * len(rows) // (2 * number)] for k in range(number)]

    without = spread(ok, count // 3)
    # Rows are spread within each label, as a split may be sorted by label.
    by_label: dict[str, list[int]] = {}
    for row in ng:
        by_label.setdefault(split.truths[row].targets[0].label, []).append(row)
    with_defect: list[int] = []
    for number, (_, rows) in enumerate(sorted(by_label.items())):
        left = count - len(without) - len(with_defect)
        with_defect += spread(rows, -(-left // (len(by_label) - number)))
    return sorted([*without, *with_defect])


def _stored(pictures: Pictures, row: int, size: tuple[int, int]) -> Image.Image:
    pixels = pictures.batch([row])[0].permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.resize(size, Image.Resampling.LANCZOS) if picture.size != size else picture


def truth_and_prediction(
    split: DetectionSplit,
    found: Sequence[Sequence[Found]] | Mapping[int, Sequence[Found]],
    rows: Sequence[int],
    threshold: float,
) -> Image.Image:
    """Draw each row's picture twice: left true boxes, right boxes in `found[row]` of confidence >= `threshold`."""
    lines = []
    for row in rows:
        truth: Truth = split.truths[row]
        picture = _stored(split.pictures, row, truth.size)
        factor = enlargement(truth.size, 512)
        true = [Box(p.box, p.label, f"{p.address} {p.label}".strip()) for p in truth.targets]
        said = [Box(f.box, f.label, f"{f.label} {f.confidence:.2f}") for f in found[row] if f.confidence >= threshold]
        lines.append(
            [
                Cell(draw_boxes(picture, true, factor), [f"{truth.run}: truth{'' if true else ', OK'}"]),
                Cell(draw_boxes(picture, said, factor), [f"prediction{'' if said else ': OK'}"]),
            ]
        )
    return grid(lines)


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: sheet.save(temporary, format="PNG"))
