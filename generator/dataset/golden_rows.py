"""The golden references of a build: sums of aligned pictures of OK rows, and the statistics of their SOART3 maps.

A golden reference is the mean picture of a unit space: the good parts of one scene, housing, terminal, camera and
marking. If there are too few, good parts with any marking are taken, and if these are too few, with any housing as
well. Several processes go through the pictures of all unit spaces twice: first they align and sum them, then they
compare each picture with the mean of the others. Sums are whole numbers and statistics are merged by run name, so that
the order of the processes has no effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.folder import BATCH_ROWS
from generator.dataset.render_folder import Rules
from generator.io.pictures import open_picture
from generator.io.processes import InOrder
from generator.soart import nsoart
from generator.soart.golden_reference import FOLDER, Reference, aligned, read_reference

Part = tuple[int, tuple[str, ...]]


def golden_parameters(in_order: InOrder, spaces: nsoart.UnitSpaces, rules: Rules, folder: Path) -> dict[str, Any]:
    """Write the golden references (mean pictures of good parts) of a build; return the contents of nsoart.json.

    Args:
        in_order: function that runs calls in several processes, from `generator.io.processes.processes`.
        spaces: the rows of the build, by group (scene, housing, terminal, camera, marking).
        rules: settings of the build.
        folder: folder of the dataset; the references are written to its folder nsoart.

    Raises:
        InputError: fewer than two OK rows have a group's scene, terminal and camera, or shapes of pictures differ.
    """
    try:
        found = spaces.golden()
    except ValueError as error:
        raise InputError(
            f"--nsoart golden: {error}: render more such rows, or give --nsoart self, which needs no golden reference"
        ) from None
    members = list(dict.fromkeys(space.rows for space in found))  # groups may have one unit space in common
    parts: list[Part] = [
        (number, rows[first : first + BATCH_ROWS])
        for number, rows in enumerate(members)
        for first in range(0, len(rows), BATCH_ROWS)
    ]
    anchors = [np.asarray(_picture(rows[0], rules).convert("L")) for rows in members]
    totals = [np.zeros(anchor.shape, np.uint32) for anchor in anchors]
    for (number, _), total in in_order(_total, ((part, anchors[part[0]], rules) for part in parts)):
        totals[number] += total
    (folder / FOLDER).mkdir()
    files = []
    for number, (total, anchor, rows) in enumerate(zip(totals, anchors, members, strict=True)):
        name = f"{FOLDER}/reference-{number:03d}.npz"
        files.append((name, Reference(total, anchor, rows).save(folder / name)))
    statistics = [nsoart.MapStatistics() for _ in members]
    calls = ((part, folder / files[part[0]][0], files[part[0]][1], rules) for part in parts)
    for (number, _), numbers in in_order(_statistics, calls):
        for each in numbers:
            statistics[number].merge(nsoart.MapStatistics.from_numbers(each))
    by_group = {space.group: members.index(space.rows) for space in found}
    return nsoart.make_parameters(
        found,
        {group: statistics[number] for group, number in by_group.items()},
        rules.window,
        rules.stride,
        {group: files[number] for group, number in by_group.items()},
    )


def _picture(run: str, rules: Rules) -> Image.Image:
    return open_picture(rules.directory / "images" / f"{run}.png", f"the picture of run {run}")


def _total(part: Part, anchor: np.ndarray, rules: Rules) -> np.ndarray:
    """Sum the aligned pictures of some members: (h, w) uint32."""
    total = np.zeros(anchor.shape, np.uint32)
    for run in part[1]:
        try:
            total += aligned(_picture(run, rules), anchor)
        except ValueError as error:
            raise InputError(f"--nsoart golden: run {run}: {error}") from None
    return total


def _statistics(part: Part, path: Path, sha256: str, rules: Rules) -> list[tuple[int, list[float], list[float]]]:
    """Return the statistics of the SOART3 maps of some members, each compared with the mean of the others."""
    reference, found = read_reference(path, sha256), []
    for run in part[1]:
        one = nsoart.MapStatistics()
        one.add(reference.maps(_picture(run, rules), run, rules.window, rules.stride))
        found.append(one.as_numbers())
    return found
