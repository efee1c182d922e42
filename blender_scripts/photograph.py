"""From linear light to the 8-bit picture that a camera delivers."""

from __future__ import annotations

import numpy as np

# Linear light is clipped like a sensor, then coded by the sRGB transfer function (IEC 61966-2-1).
_STEPS = 1 << 14
_LEVELS = np.linspace(0.0, 1.0, _STEPS)
_CODED = np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, 1.055 * np.power(_LEVELS, 1.0 / 2.4) - 0.055)
_TABLE = np.rint(255.0 * _CODED).astype(np.uint8)


def develop(light: np.ndarray, exposure: float) -> np.ndarray:
    """Linear RGB (H, W, 3) times exposure, clipped at 1, to sRGB uint8."""
    level = np.nan_to_num(light * exposure, nan=0.0, posinf=1.0, neginf=0.0)
    return _TABLE[(np.clip(level, 0.0, 1.0) * (_STEPS - 1) + 0.5).astype(np.int32)]
