"""Calibration targets: where their points lie in mm, how they are found in a picture, and how a target is drawn.

charuco   a chessboard with a marker in each white square; each corner is identified, so some may be out of view
dots      a regular grid of dark dots on white, as on glass targets; the whole grid must be in view

OpenCV finds the points ("Detection of ChArUco Boards", "findCirclesGrid", docs.opencv.org). Its pixel centres are at
whole numbers; here they are at half integers, so half a pixel is added.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from blender_scripts.contract.errors import InputError, shown

# A dot's diameter and the white border of a drawn target, as shares of the pitch.
_DOT, _BORDER = 0.5, 1.0
_LEAST_POINTS = 6
# Limits of a printed target: sides of the largest sheet, and the smallest pitch, mm. Sizes beyond them are likely to be
# in another unit, and the picture would need gigabytes of memory.
A0_MM = (841, 1189)
LEAST_PRINTED_MM = 0.1
_LEAST_PITCH_PX = 8


@dataclass(frozen=True)
class Target:
    """A flat calibration target.

    Attributes:
        kind: `charuco` or `dots`.
        columns, rows: number of squares (charuco) or dots, across and down.
        pitch_mm: side of a square, or distance between the centres of neighbouring dots.
        marker_mm: side of a marker; 0 for dots.
        dictionary: OpenCV's name of the dictionary of markers, such as DICT_4X4_50; empty for dots.
    """

    kind: str
    columns: int
    rows: int
    pitch_mm: float
    marker_mm: float = 0.0
    dictionary: str = ""

    @classmethod
    def of_text(cls, text: str) -> Target:
        """Return the target that the text of --target describes.

        The text has the form `charuco:11x8:10:7.5`, `charuco:11x8:10:7.5:DICT_5X5_100` or `dots:11x9:2`: columns x
        rows, then `pitch_mm`, and for charuco `marker_mm` and possibly the dictionary. Without it, DICT_4X4_50 is
        taken, for more than 100 squares DICT_4X4_250.

        Raises:
            InputError: the text is not of that form, or OpenCV has no such dictionary, or one with too few markers.
        """
        kind, *rest = text.split(":")
        try:
            columns, rows = (int(number) for number in rest[0].lower().split("x"))
            sizes = [float(number) for number in rest[1:3]]
            names = [name.upper() for name in rest[3:]]
            least = {"charuco": 3, "dots": 3}[kind]
            whole = len(sizes) == {"charuco": 2, "dots": 1}[kind] and len(names) <= (kind == "charuco")
            if not whole or min(columns, rows) < least or max(columns, rows) > 100 or not min(sizes) > 0.0:
                raise ValueError
            if not all(map(math.isfinite, sizes)):
                raise ValueError
            if kind == "dots":
                return cls(kind, columns, rows, sizes[0])
            if not sizes[1] < sizes[0]:
                raise ValueError
        except (ValueError, IndexError, KeyError):
            raise InputError(
                "--target: expected charuco:COLUMNSxROWS:SQUARE_MM:MARKER_MM[:DICTIONARY] or "
                "dots:COLUMNSxROWS:PITCH_MM, with 3 to 100 squares or dots a side, markers smaller than squares, got "
                f"{shown(text)}"
            ) from None
        name = names[0] if names else "DICT_4X4_250" if columns * rows > 100 else "DICT_4X4_50"
        if not name.startswith("DICT_") or not hasattr(cv2.aruco, name):
            raise InputError(f"--target: expected a marker dictionary of OpenCV, such as DICT_4X4_50, got {name}")
        target = cls(kind, columns, rows, sizes[0], sizes[1], name)
        available, needed = len(target._markers().bytesList), (columns * rows) // 2
        if needed > available:
            raise InputError(
                f"--target: expected a marker dictionary with at least {needed} markers, got {name} with {available}"
            )
        return target

    @property
    def points_mm(self) -> np.ndarray:
        """(N, 3) mm of all points: x right, y down, z = 0; origin: top left corner of the chessboard, or first dot."""
        columns, rows = (self.columns - 1, self.rows - 1) if self.kind == "charuco" else (self.columns, self.rows)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="xy"), axis=-1).reshape(-1, 2)
        start = 1.0 if self.kind == "charuco" else 0.0
        return np.concatenate([(grid + start) * self.pitch_mm, np.zeros((len(grid), 1))], axis=1)

    @property
    def diagonal_mm(self) -> float:
        """Distance between the first and the last point, which lie in opposite corners of the target, mm."""
        return float(np.linalg.norm(np.ptp(self.points_mm, axis=0)))

    def find(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the target's points in a picture.

        Args:
            grey: (H, W) uint8.

        Returns:
            Indices (n,) into `points_mm` of the points that were found, and their x and y (n, 2) in px, with pixel
            centres at half integers; n = 0 if fewer than 6 are found, or of a grid of dots not all.
        """
        numbers, pixels = self._corners(grey) if self.kind == "charuco" else self._dots(grey)
        if len(numbers) < _LEAST_POINTS:
            return np.zeros(0, int), np.zeros((0, 2))
        return numbers, pixels + 0.5

    def picture(self, px_per_mm: float) -> np.ndarray:
        """Draw the target, (H, W) uint8, its pitch rounded to whole px (at least 8), with a border of one pitch."""
        pitch = max(round(self.pitch_mm * px_per_mm), _LEAST_PITCH_PX)
        border = round(_BORDER * pitch)
        if self.kind == "charuco":
            size = (self.columns * pitch + 2 * border, self.rows * pitch + 2 * border)
            return np.asarray(self._board().generateImage(size, marginSize=border))
        width, height = ((number - 1) * pitch + 2 * border + pitch for number in (self.columns, self.rows))
        drawn = np.full((height, width), 255, np.uint8)
        for row in range(self.rows):
            for column in range(self.columns):
                # OpenCV's coordinates here are sixteenths of a pixel, from the middle of the first pixel.
                across, down = (round(16 * (border + (n + 0.5) * pitch - 0.5)) for n in (column, row))
                cv2.circle(drawn, (across, down), round(8 * _DOT * pitch), 0, cv2.FILLED, cv2.LINE_AA, shift=4)
        return drawn

    def check_printable(self, px_per_mm: float) -> None:
        """Check that a printer can print the target: its size, with the border, and that of its squares and markers.

        Args:
            px_per_mm: resolution of the drawing.

        Raises:
            InputError: the target is larger than A0, its pitch below 0.1 mm, or a cell of its markers below 1 px.
        """
        across, down = (number + 2.0 * _BORDER for number in (self.columns, self.rows))
        width, height = across * self.pitch_mm, down * self.pitch_mm
        expected = "--target: expected a target to print"
        unit = f"{'SQUARE_MM' if self.kind == 'charuco' else 'PITCH_MM'} in mm"
        if max(width, height) > A0_MM[1] or min(width, height) > A0_MM[0]:
            largest = math.floor(100 * min(A0_MM[1] / max(across, down), A0_MM[0] / min(across, down))) / 100
            raise InputError(
                f"{expected} of at most A0 ({A0_MM[0]} x {A0_MM[1]} mm) with its border, which is {unit} of at most "
                f"{largest:g}, got {self.pitch_mm:g}: {width:.0f} x {height:.0f} mm"
            )
        if self.pitch_mm < LEAST_PRINTED_MM:
            raise InputError(f"{expected} with {unit} of at least {LEAST_PRINTED_MM}, got {self.pitch_mm:g}")
        if self.kind == "charuco":
            cells = self._markers().markerSize + 2  # with the marker's black border
            least = cells * self.pitch_mm / max(round(self.pitch_mm * px_per_mm), _LEAST_PITCH_PX)
            if self.marker_mm < least:
                least = math.ceil(least * 1000) / 1000
                raise InputError(f"{expected} with MARKER_MM in mm of at least {least:g}, got {self.marker_mm:g}")

    def as_record(self) -> dict[str, Any]:
        """Return the attributes that apply to this kind of target, by name, for the certificate."""
        return {key: value for key, value in asdict(self).items() if value}

    def _markers(self) -> Any:
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))

    def _board(self) -> Any:
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.pitch_mm, self.marker_mm, self._markers())

    def _corners(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        corners, numbers, *_ = cv2.aruco.CharucoDetector(self._board()).detectBoard(grey)
        if numbers is None or len(numbers) < _LEAST_POINTS:
            return np.zeros(0, int), np.zeros((0, 2))
        # The detector's own corners are good to a few tenths of a pixel; the gradient's saddle point is exact.
        corners = np.asarray(corners, np.float32).reshape(-1, 1, 2)
        half = int(np.clip(0.25 * _spacing(corners[:, 0], numbers.ravel(), self.columns - 1), 2, 11))
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
        corners = cv2.cornerSubPix(grey, corners, (half, half), (-1, -1), criteria)
        return numbers.ravel().astype(int), corners.reshape(-1, 2).astype(float)

    def _dots(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        settings = cv2.SimpleBlobDetector.Params()
        settings.minArea, settings.maxArea = 12.0, grey.size / 50.0
        detector = cv2.SimpleBlobDetector.create(settings)
        found, centres = cv2.findCirclesGrid(
            grey, (self.columns, self.rows), flags=cv2.CALIB_CB_SYMMETRIC_GRID, blobDetector=detector
        )
        if not found:
            return np.zeros(0, int), np.zeros((0, 2))
        grid = np.asarray(centres, float).reshape(self.rows, self.columns, 2)
        # The grid looks the same after a half turn: cameras that stand upright agree on the corner that is top left.
        if (grid[0, -1] - grid[0, 0])[0] < 0.0:
            grid = grid[::-1, ::-1]
        return np.arange(self.columns * self.rows), grid.reshape(-1, 2)


def _spacing(corners: np.ndarray, numbers: np.ndarray, columns: int) -> float:
    """The smallest distance in px of two found corners that are neighbours in a row of the board; 8 without any."""
    place = dict(zip(numbers.tolist(), corners, strict=True))
    pairs = [(place[n], place[n + 1]) for n in place if n + 1 in place and (n + 1) % columns]
    return min((float(np.linalg.norm(a - b)) for a, b in pairs), default=8.0)
