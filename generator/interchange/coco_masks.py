"""Convert COCO segmentations (polygons or run lengths) to pixel masks, and pixel masks to run lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import numbers
from generator.locating.edges import Similarity

# Larger masks are refused before they are unpacked: a few bytes can stand for any number of pixels.
MOST_PX = 2**28


def pixels_of(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Return the pixel mask (H, W) bool of a COCO segmentation.

    Args:
        segmentation: a list of polygons, or a dict of `size` and `counts` (run lengths: a list, or COCO's string).
        size: (W, H) of the picture in px.

    Raises:
        ValueError: the segmentation is invalid; the message states what was found instead.
    """
    try:
        if isinstance(segmentation, list):
            return _filled(segmentation, size)
        return _unrolled(segmentation, size)
    except KeyError as error:
        raise ValueError(f"no key {error}") from None
    except Exception as error:  # pycocotools raises many types
        raise ValueError(str(error)) from None


def cleaned(segmentation: Any) -> Any:
    """Return a COCO segmentation without its empty polygons; None if nothing remains, as of `[]` and `[[]]`."""
    if isinstance(segmentation, list):
        segmentation = [polygon for polygon in segmentation if polygon != []]
    return segmentation or None


def bounds_of(segmentation: Any) -> tuple[float, float, float, float] | None:
    """Return the box (x, y, width, height), px, around a COCO segmentation; None if it is invalid or has no pixel."""
    if isinstance(segmentation, list):
        polygons = [numbers(polygon) if isinstance(polygon, list) else None for polygon in segmentation]
        values = [value for polygon in polygons for value in polygon or ()]
        if None in polygons or len(values) < 6 or any(len(polygon or ()) % 2 for polygon in polygons):
            return None
        xs, ys = values[::2], values[1::2]
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    try:
        height, width = segmentation["size"]
        ys_, xs_ = np.nonzero(pixels_of(segmentation, (width, height)))
        left, top = float(xs_.min()), float(ys_.min())
        return left, top, float(xs_.max()) + 1 - left, float(ys_.max()) + 1 - top
    except (KeyError, TypeError, ValueError):
        return None


def outline_of(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Return points (n, 2), x and y in px, on the outline of a COCO segmentation, among them the outermost ones.

    They are the corners of polygons. Of run lengths, they are the middles of the sides of the first and the last pixel
    in each row: with corners of pixels, the box of a slanted shape would be too large after a turn.

    Args:
        segmentation: as in `pixels_of`; it has a pixel.
        size: (W, H) of the picture in px.

    Raises:
        ValueError: the segmentation is invalid.
    """
    if isinstance(segmentation, list):
        return np.concatenate([np.array(polygon, float).reshape(-1, 2) for polygon in segmentation])
    pixels = pixels_of(segmentation, size)
    rows = np.flatnonzero(pixels.any(axis=1))
    first, last = pixels[rows].argmax(axis=1), size[0] - 1 - pixels[rows, ::-1].argmax(axis=1)
    sides = np.array([(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.0)])
    corners = np.concatenate([np.stack([columns, rows], axis=1) for columns in (first, last)])
    points: np.ndarray = (corners[:, None] + sides).reshape(-1, 2)
    return points


def moved_segmentation(segmentation: Any, size: tuple[int, int], move: Similarity, out: tuple[int, int]) -> Any:
    """Return a COCO segmentation as it is in a resampled picture, in the form of `pixels_of`.

    Polygons remain polygons, unless one reaches so far beyond the picture that `pixels_of` would refuse it, or is so
    thin that none of its pixels would remain. Each pixel of the mask whose middle lies in the resampled picture is
    kept there, at its place, so that thin lines stay whole.

    Args:
        segmentation: as in `pixels_of`, valid for a picture of `size` px.
        size: (W, H) of the picture in px.
        move: map from px of the picture to px of the resampled one.
        out: (W, H) of the resampled picture in px.
    """

    def _is_lost(polygon: list[float], moved: list[float]) -> bool:
        if _is_far_outside(moved, out):
            return True
        return not _filled([moved], out).any() and bool(_landed(_filled([polygon], size), move, out).any())

    pixels = pixels_of(segmentation, size)
    if isinstance(segmentation, list):
        polygons = [move.apply(np.array(polygon, float).reshape(-1, 2)).ravel().tolist() for polygon in segmentation]
        if not any(map(_is_lost, segmentation, polygons)):
            return polygons
    back = move.inverse()
    (a, b), (c, d) = back.linear.tolist()
    coefficients = (a, b, back.shift.real, c, d, back.shift.imag)
    mask = Image.fromarray(pixels.astype(np.uint8))
    resampled = np.asarray(mask.transform(out, Image.Transform.AFFINE, coefficients)) > 0
    return run_lengths(resampled | _landed(pixels, move, out))


def _landed(pixels: np.ndarray, move: Similarity, out: tuple[int, int]) -> np.ndarray:
    """Return the pixels (H, W) bool of a resampled picture where middles of a mask's pixels lie."""
    rows, columns = np.nonzero(pixels)
    places = np.floor(move.apply(np.stack([columns, rows], axis=1) + 0.5)).astype(int)
    places = places[((places >= 0) & (places < out)).all(axis=1)]
    found = np.zeros((out[1], out[0]), bool)
    found[places[:, 1], places[:, 0]] = True
    return found


def run_lengths(pixels: np.ndarray) -> dict[str, Any]:
    """Encode a pixel mask (H, W) bool as COCO's compressed run lengths (`size` and `counts`)."""
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": code["size"], "counts": code["counts"].decode("ascii")}


def _filled(polygons: list[Any], size: tuple[int, int]) -> np.ndarray:
    from pycocotools import mask as coco_mask

    for polygon in polygons:
        edges = numbers(polygon) if isinstance(polygon, list) else None
        if edges is None or len(edges) < 6 or len(edges) % 2:
            raise ValueError(f"{shown(polygon)}, which is no polygon of three or more points")
        if _is_far_outside(edges, size):
            raise ValueError(f"a polygon far outside the picture of {size[0]} x {size[1]} px")
    code = coco_mask.merge(coco_mask.frPyObjects(polygons, size[1], size[0]))
    return np.asarray(coco_mask.decode(code), bool)


def _is_far_outside(edges: Sequence[float], size: tuple[int, int]) -> bool:
    return min(edges) < -max(size) or max(edges) > 2 * max(size)


def _unrolled(code: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    if list(code["size"]) != [size[1], size[0]]:
        raise ValueError(f"size {shown(code['size'])}, not the picture's [height, width] [{size[1]}, {size[0]}]")
    if size[0] * size[1] > MOST_PX:
        raise ValueError(f"size {shown(code['size'])}, more than {MOST_PX} px")
    given = code["counts"]
    runs = np.array(_decoded(given) if isinstance(given, str) else given, np.float64)
    if not ((runs >= 0) & (runs == np.floor(runs))).all() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths (counts) whose sum is not {size[1]} x {size[0]} px")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.int64))
    return flat.reshape(size[0], size[1]).T


def _decoded(text: str) -> list[int]:
    """Decode COCO's string of run lengths into numbers of px.

    A number has five bits per character, lowest first; from the fourth on, it is the difference from the one two
    before. Written here because pycocotools reads beyond the end of a damaged string.

    Raises:
        ValueError: a wrong character, or a string that ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"run lengths (counts) with the invalid character {letter!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths (counts) that are cut off within a number")
    return runs
