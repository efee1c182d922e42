"""Sheets of the same fixed pictures with truth and prediction, before training and at epochs 1, 4, 12, 36, …"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trainer.core.run_folder import replace_file
from trainer.core.split import Pictures
from trainer.florence2.answers import Found
from trainer.florence2.data import DetectionSplit
from trainer.florence2.drawing import draw_boxes
from trainer.florence2.truth import Truth

SHOWN = 6
BAR = 22


def is_shown(epoch: int, last: int) -> bool:
    """Whether an epoch gets a sheet: 0, 1, 4, 12, then three times the one before, and the last."""
    if epoch in (0, 1, 4, last):
        return True
    step = 12
    while step < epoch:
        step *= 3
    return step == epoch


def fixed_rows(split: DetectionSplit, count: int = SHOWN) -> list[int]:
    """Rows to show: one in three without a defect, the others spread over the split and the labels."""
    ok = [i for i, t in enumerate(split.truths) if not t.answer]
    ng = [i for i, t in enumerate(split.truths) if t.answer]

    def spread(rows: Sequence[int], number: int) -> list[int]:
        number = min(number, len(rows))
        return [rows[(2 * k + 1) * len(rows) // (2 * number)] for k in range(number)]

    without = spread(ok, count // 3)
    # The labels in turn, for a split may be ordered by them.
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


def _cell(
    picture: Image.Image, boxes: Sequence[tuple[Sequence[float], str, str]], title: str, factor: int
) -> Image.Image:
    body = draw_boxes(picture, boxes, factor)
    cell = Image.new("RGB", (body.width, body.height + BAR), "white")
    font = ImageFont.load_default(size=14)
    ImageDraw.Draw(cell).text((4, BAR // 2), title, fill="black", font=font, anchor="lm")
    cell.paste(body, (0, BAR))
    return cell


def truth_and_prediction(
    split: DetectionSplit,
    found: Sequence[Sequence[Found]] | Mapping[int, Sequence[Found]],
    rows: Sequence[int],
    threshold: float,
) -> Image.Image:
    """One line per picture: truth on the left, what the model says at a threshold on the right; `found` by row."""
    lines = []
    for row in rows:
        truth: Truth = split.truths[row]
        picture = _stored(split.pictures, row, truth.size)
        factor = max(1, -(-512 // truth.size[0]))
        true = [(p.box, p.label, f"{p.address} {p.label}".strip()) for p in truth.targets]
        said = [(f.box, f.label, f"{f.label} {f.confidence:.0%}") for f in found[row] if f.confidence >= threshold]
        lines.append(
            (
                _cell(picture, true, f"{truth.run}: truth{'' if true else ', OK'}", factor),
                _cell(picture, said, f"prediction{'' if said else ': OK'}", factor),
            )
        )
    width = max(sum(cell.width for cell in line) + 6 for line in lines)
    sheet = Image.new("RGB", (width, sum(line[0].height + 6 for line in lines)), "white")
    y = 0
    for line in lines:
        x = 0
        for cell in line:
            sheet.paste(cell, (x, y))
            x += cell.width + 6
        y += line[0].height + 6
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: sheet.save(temporary, format="PNG"))
