"""Drawn pictures of a part, and golden references of them as a dataset has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from generator.soart import nsoart
from generator.soart.golden_reference import FOLDER, Reference, aligned
from tests.conftest import edited

PART = {"scene": "s", "housing": "plain", "terminal": "round", "camera": "center", "marking": "none"}


def drawn_part(seed: int, dx: float = 0.0, dy: float = 0.0, missing: bool = False) -> Image.Image:
    """A picture, 96 x 48 px: bright pins in dark cavities, moved by (dx, dy) px, with noise; a pin may be missing."""
    y, x = np.mgrid[0:48, 0:96] + 0.5
    grey = np.full((48, 96), 110.0)
    for row in range(2):
        for column in range(5):
            u, v = x - dx - (13 + 17.5 * column), y - dy - (14 + 20 * row)
            grey = np.where(np.maximum(abs(u), abs(v)) < 6, 30.0, grey)
            if not (missing and (row, column) == (0, 2)):
                grey += 190 * np.clip(3 - np.hypot(u, v), 0, 1)
    grey += np.random.default_rng(seed).normal(0, 2, grey.shape)
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def reference_of(pictures: dict[str, Image.Image]) -> Reference:
    anchor = np.asarray(next(iter(pictures.values())).convert("L"))
    total = sum((aligned(each, anchor) for each in pictures.values()), np.zeros(anchor.shape, np.uint32))
    return Reference(total, anchor, tuple(pictures))


def write_golden(folder: Path, cameras: Sequence[str] = ("center",)) -> dict[str, object]:
    """Write nsoart.json and the golden reference of each camera, from five good parts; returns the parameters."""
    (folder / FOLDER).mkdir()
    spaces, statistics, files = [], {}, {}
    for number, camera in enumerate(cameras):
        group = nsoart.group_of({**PART, "camera": camera})
        pictures = {f"t{seed}": drawn_part(seed + 10 * number, 0.3 * seed, -0.2 * seed) for seed in range(5)}
        reference, name = reference_of(pictures), f"{FOLDER}/reference-{number:03d}.npz"
        files[group] = name, reference.save(folder / name)
        spaces.append(nsoart.UnitSpace(group, "train", tuple(pictures)))
        statistics[group] = nsoart.MapStatistics()
        for run, picture in pictures.items():
            statistics[group].add(reference.maps(picture, run, 16, 1))
    parameters = nsoart.make_parameters(spaces, statistics, 16, 1, files)
    (folder / "nsoart.json").write_text(json.dumps(parameters))
    return parameters


def golden_run(trained: Path, references: Path, folder: Path, section: str) -> Path:
    """A copy of a trained run, with the golden references of another folder, that takes NSOART pictures.

    Its config.json states this in its part `section`.
    """
    shutil.copytree(trained, folder)
    shutil.copytree(references, folder, dirs_exist_ok=True)
    with edited(folder / "config.json") as document:
        document[section]["input"] = "nsoart"
    return folder
