"""Calibration certificates of the nominal cameras of a drawing, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

SIZE = (512, 256)


def write_certificate(
    path: Path, cameras: Mapping[str, Mapping], deviations: Mapping[str, float] | None = None, /, **other
) -> Path:
    """Write a certificate of entries of connectors.json, the first one being the rig's.

    Args:
        path: the file.
        cameras: the entries by name.
        deviations: standard deviations of independent parameters; none: the covariance is zero.
        other: keys of the certificate that have other values.
    """
    deviations = deviations or {f"{next(iter(cameras))}.f": 0.0}
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
        "parameters": list(deviations),
        "covariance": np.diag(np.square(list(deviations.values()))).tolist(),
    }
    path.write_text(json.dumps({**document, **other}))
    return path
