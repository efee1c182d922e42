"""Calibration certificates of the nominal cameras of a drawing, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from generator.io.certificate import LENS, PLACE

SIZE = (512, 256)
# Standard deviation of a parameter, far below any effect: a certificate states all of them.
NEGLIGIBLE = 1e-9


def complete(cameras: Sequence[str], parameters: Sequence[str] = (), covariance: Sequence | None = None) -> dict:
    """Return `parameters` and `covariance` of a certificate: those given, and NEGLIGIBLE ones that it needs besides."""
    needed = [f"{camera}.{own}" for camera in cameras for own in LENS[:3]]
    needed += [f"{camera}.{own}" for camera in cameras[1:] for own in PLACE]
    names = [*parameters, *(name for name in needed if name not in parameters)]
    whole = np.diag(np.full(len(names), NEGLIGIBLE**2))
    if covariance is not None:
        whole[: len(parameters), : len(parameters)] = covariance
    return {"parameters": names, "covariance": whole.tolist()}


def write_certificate(
    path: Path, cameras: Mapping[str, Mapping], deviations: Mapping[str, float] | None = None, /, **other
) -> Path:
    """Write a certificate of entries of connectors.json, the first one being the rig's.

    Args:
        path: the file.
        cameras: the entries by name.
        deviations: standard deviations of independent parameters; the others are NEGLIGIBLE.
        other: keys of the certificate that have other values.
    """
    deviations = deviations or {}
    first = np.linalg.inv(next(iter(cameras.values()))["matrix"])
    stated = {
        name: {
            "width": SIZE[0],
            "height": SIZE[1],
            "fx": entry["fx_per_width"] * SIZE[0],
            "fy": entry["fx_per_width"] * SIZE[0],
            "cx": 0.5 * SIZE[0],
            "cy": 0.5 * SIZE[1],
            "distortion": entry["distortion"],
            "matrix_rig": (first @ np.array(entry["matrix"])).tolist(),
        }
        for name, entry in cameras.items()
    }
    document = {
        "schema": "pinsight-camera/1",
        "made": "2026-01-02T03:04:05Z",
        "expires": "2999-01-02T03:04:05Z",
        "temperature_c": 21.5,
        "cameras": stated,
        **complete(list(cameras), list(deviations), np.diag(np.square(list(deviations.values())))),
    }
    path.write_text(json.dumps({**document, **other}))
    return path
