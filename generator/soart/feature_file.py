"""Read the ONNX file of a feature network, written by `python -m trainer.export`, and compute features without torch.

    network = read_feature_file(Path("features.onnx"))
    network.features(picture)                            # (D, gh, gw) float32 of a picture (h, w[, 3]) in [0, 1]

Input of the file: `pixels` (N, 3, H, W), float32 in [0, 1], RGB, H and W multiples of `multiple`; the network itself
normalises them. Output: `features` (N, D, H / stride, W / stride). The metadata is checked when the file is read:
`format`, `name` and `kind` of the network, `weights_sha256`, `multiple`, `stride`, `mean` and `std` (for people).
Needs the extra `features` (onnxruntime).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError
from generator.io.onnx_session import OnnxSession, open_onnx

FORMAT = "pinsight-features-onnx/1"
NEEDED = ("name", "kind", "weights_sha256", "multiple", "stride")


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that computes features at each place of a picture.

    Attributes:
        name: name of the run or of the published weights.
        kind: what the features are, such as `vit-tokens`.
        sha256: SHA-256 of the ONNX file, in hex.
        multiple: sides of the network's input are multiples of this, px.
        stride: distance of two places, px.
        session: onnxruntime session of the file.
    """

    name: str
    kind: str
    sha256: str
    multiple: int
    stride: int
    session: Any

    def features(self, picture: np.ndarray) -> np.ndarray:
        """Compute the features of a picture.

        Args:
            picture: (h, w) grey or (h, w, 3) RGB, floats in [0, 1].

        Returns:
            (D, gh, gw) float32; place (0, 0) is the upper left square of `stride` px; gh = h / stride, rounded up.

        Raises:
            ValueError: the picture has another number of channels, or the network's output has a wrong shape.
        """
        if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3):
            raise ValueError(f"expected a picture of shape (h, w) or (h, w, 3), got {picture.shape}")
        height, width = picture.shape[:2]
        planes = np.broadcast_to(picture[None], (3, height, width)) if picture.ndim == 2 else picture.transpose(2, 0, 1)
        below, right = (-side % self.multiple for side in (height, width))
        pixels = np.pad(planes.astype(np.float32), ((0, 0), (0, below), (0, right)), mode="edge")
        found = np.asarray(self.session.run(["features"], {"pixels": pixels[None]})[0])
        expected = tuple(side // self.stride for side in pixels.shape[1:])
        if found.ndim != 4 or found.shape[2:] != expected or not np.isfinite(found).all():
            raise ValueError(f"expected finite features at {expected} places, got an array of shape {found.shape}")
        rows, columns = (-(-side // self.stride) for side in (height, width))
        kept: np.ndarray = found[0, :, :rows, :columns]
        return kept


def read_feature_file(path: Path) -> FeatureNetwork:
    """Read a feature network's ONNX file.

    Raises:
        InputError: onnxruntime is not installed, or `trainer.export` did not write the file as a feature network.
    """
    opened = open_onnx(path, "features")
    stated = opened.stated
    if stated.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected the ONNX file of a feature network, of format {FORMAT}, got {stated.get('format')!r}: "
            "write it with `python -m trainer.export --features`"
        )
    return _held(path, opened)


def _held(path: Path, opened: OnnxSession) -> FeatureNetwork:
    session, stated = opened.session, opened.stated
    if missing := [name for name in NEEDED if name not in stated]:
        raise InputError(f"{path}: expected metadata with {missing[0]}, got none; export it again")
    try:
        multiple, stride = int(stated["multiple"]), int(stated["stride"])
    except ValueError:
        multiple, stride = 0, 0
    if stride < 1 or multiple < 1 or multiple % stride:
        raise InputError(
            f"{path}: expected whole numbers multiple and stride, the first a multiple of the second, got "
            f"{stated['multiple']!r} and {stated['stride']!r}; export it again"
        )
    names = [[one.name for one in side] for side in (session.get_inputs(), session.get_outputs())]
    if names != [["pixels"], ["features"]]:
        raise InputError(f"{path}: expected the input pixels and the output features, got {names[0]} and {names[1]}")
    return FeatureNetwork(stated["name"], stated["kind"], opened.sha256, multiple, stride, session)
