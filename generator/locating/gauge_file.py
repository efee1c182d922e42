"""Read the ONNX file of a gauge, which `python -m trainer.export` writes, and measure with it, without torch.

    held = read_gauge_file(Path("gauge.onnx"))
    drawing = held.drawing()
    found = inspect_part(held.gauge, drawing, {"center": picture}, held.tolerances[drawing.key[0]])

Needs the extra `gauge` (onnxruntime).
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance, stated_tolerance
from generator.io.onnx_session import open_onnx
from generator.locating.covariances import covariances
from generator.locating.crops import Crops
from generator.locating.drawings import Key, StatedDrawing, choose, parse_drawings
from generator.locating.factors import Factors, ValidationErrors
from generator.locating.fit import FitLimits
from generator.locating.gauge import Gauge
from generator.locating.likeness import Likeness
from generator.locating.locate import FoundPoints
from generator.locating.measure import SAG_DEVIATION
from generator.verdict.gates import PictureGates

FORMAT = "pinsight-gauge-onnx/5"
_FACTORS = ("together", "alone", "widening", "slopes")


class OnnxFinder:
    """The network of a gauge's ONNX file, in the form of a `generator.locating.locate.Finder`.

    Args:
        session: onnxruntime session of the file.
        side: side of a crop, px.
        scales: three factors by which the network's standard deviations are multiplied: for tips, for feet, for edges.
    """

    def __init__(self, session: Any, side: int, scales: tuple[float, float, float]) -> None:
        self._session, self._side, self._scales = session, side, scales

    @property
    def side(self) -> int:
        """Side of a crop, px."""
        return self._side

    def find(self, crops: Crops) -> FoundPoints:
        """Return the two points that the network finds in each crop, and the probability that a pin is present."""
        inputs = {
            "crops": np.ascontiguousarray(crops.pixels),
            "marks": crops.marks.astype(np.float32),
            "besides": crops.besides.astype(np.float32),
            "kinds": crops.kinds.astype(np.int64),
        }
        names = ["points", "sharpness", "present", "features"]
        points, sharpness, present, features = self._session.run(names, inputs)
        spread = covariances(sharpness.astype(float), crops.besides - crops.marks, crops.kinds, self._scales)
        return FoundPoints(points.astype(float), spread, present.astype(float), features)


@dataclass(frozen=True)
class GaugeFile:
    """The contents of a gauge's ONNX file.

    Attributes:
        name: name of the training run that was exported.
        weights_sha256: SHA-256 of the run's weights, in hex.
        gauge: the network with its factors, limits and gates, ready to measure.
        drawings: drawings of the connectors that the gauge can measure, by (scene, housing, terminal).
        tolerances: limits of the pins in mm, by scene; a scene without limits is missing.
    """

    name: str
    weights_sha256: str
    gauge: Gauge
    drawings: Mapping[Key, StatedDrawing]
    tolerances: Mapping[str, Tolerance]

    def drawing(
        self, scene: str | None = None, housing: str | None = None, terminal: str | None = None
    ) -> StatedDrawing:
        """Return the drawing with the given names, None: any; those that the training showed are preferred.

        Raises:
            InputError: no drawing fits, or several fit that would give different measures; the message lists them.
        """
        likeness = self.gauge.likeness
        return choose(self.drawings, scene, housing, terminal, likeness.trained if likeness is not None else None)


def read_gauge_file(path: Path, threads: int = 0) -> GaugeFile:
    """Read a gauge's ONNX file.

    Args:
        path: the file.
        threads: number of threads of onnxruntime; 0: one per core.

    Raises:
        InputError: onnxruntime is not installed, or `trainer.export` did not write the file from a gauge.
    """
    opened = open_onnx(path, "gauge", threads)
    stated = opened.stated
    if stated.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected a gauge's ONNX file of format {FORMAT}, got "
            f"{stated.get('format')!r}: export the run again with `python -m trainer.export`"
        )
    return _held(path, opened.session, stated)


def _held(path: Path, session: Any, stated: Mapping[str, str]) -> GaugeFile:
    try:
        factors = json.loads(stated["uncertainty"])
        in_mm = {name: factors[name] for name in _FACTORS}
        finder = OnnxFinder(session, int(stated["side"]), (factors["tip"], factors["foot"], factors["edge"]))
        gates = {
            view: PictureGates.of_bytes(io.BytesIO(base64.b64decode(text)), f"{path} gates of view {view}")
            for view, text in json.loads(stated["gates"]).items()
        }
        gauge = Gauge(
            finder,
            float(json.loads(stated["pitch_px"])),
            Factors(**in_mm, errors=_errors(path, stated), sag=float(factors.get("sag", SAG_DEVIATION))),
            FitLimits(factors["residual"], factors["inliers"], factors["sigma_px"]),
            gates,
            likeness=Likeness.of_bytes(io.BytesIO(base64.b64decode(stated["likeness"])), f"{path} likeness"),
        )
        limits = json.loads(stated["tolerance"]).items()
        tolerances = {scene: stated_tolerance(own, f"tolerance.{scene}") for scene, own in limits}
        drawings = parse_drawings(stated["connectors"], str(path))
        return GaugeFile(stated["name"], stated["weights_sha256"], gauge, drawings, tolerances)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected a gauge's file, got damaged metadata ({error}); export it again") from None


def _errors(path: Path, stated: Mapping[str, str]) -> ValidationErrors | None:
    """The errors of the validation parts; None if the gauge has none, as it was trained on single views."""
    text = stated["errors"]
    return ValidationErrors.of_bytes(io.BytesIO(base64.b64decode(text)), f"{path} errors") if text else None
