"""The blur of photographs, from their edges beside those of a render that is sharp.

The render has the edges' own width (fillets, shadows, the pixels' filter); a blur of the lens or by motion adds to it.
The render is blurred by normal distributions of several variances, and the variance is sought with which the profiles
across its edges agree best with the photograph's. A lens that is not in focus blurs by the distance from the plane in
focus, a motion by the direction of the edge; both have keys in a scene file (`generator.matching.blur_kinds`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import convolve1d, gaussian_filter, minimum_filter

from blender_scripts.geometry.optics import Camera
from generator.io.srgb import coded, linear
from generator.matching.ranges import jackknife_sd
from generator.matching.renders import Rendered
from generator.matching.shifts import Edges, profiles

# Profiles across the edge: reach on each side and step, px; places along it that are averaged; standard deviation of
# the weights, px, as other edges are near.
_REACH_PX, _STEP_PX, _ALONG_PX, _WINDOW_PX = 4.0, 0.25, (-2.0, -1.0, 0.0, 1.0, 2.0), 2.0
_STEPS = np.arange(-_REACH_PX, _REACH_PX + 1e-9, _STEP_PX)
_WEIGHTS = np.exp(-0.5 * (_STEPS / _WINDOW_PX) ** 2)
# Variances of the blur that are tried, px^2; no larger one is found. A render that is sharper than another has a
# variance a little below 0.
VARIANCES = np.concatenate([np.arange(0.0, 0.39, 0.05), np.arange(0.4, 1.9, 0.2), np.arange(2.0, 6.01, 1.0)])
_LEAST_VARIANCE = -0.12
# Variance, px^2, of the filter by which the renderer makes pixels (Blackman-Harris, 3 px from end to end).
PIXEL_VARIANCE = 0.173
# Below this variance, px^2, samples of a normal distribution have too small a variance.
_SMALL_VARIANCE = 0.25
# Edges with less contrast than this, and those that are brighter than a pixel can show, linear light, do not count.
_LEAST_CONTRAST, _BURNT = 0.02, 0.95
# An edge with a surface nearer by more than this, mm, in a square of this many px about it, may be blurred as that is.
_NEARER_MM, _NEARER_PX = 1.0, 5
# Groups of edges: by depth and by direction; least edges of one; standard deviation of its variance, px^2, beside that
# by a jackknife over photographs.
_DEPTHS, _DIRECTIONS, FEWEST, _SD = 4, 4, 20, 0.015
FOLDS = 5


@dataclass(frozen=True)
class Spreads:
    """How well each of n edges agrees with the render's, blurred by each of `VARIANCES`.

    Attributes:
        misfits: (n, len(VARIANCES)) sums of squares that are left, linear light.
        depths: (n,) distance of each edge from the camera along its axis, mm.
        normals: (n, 2) unit vectors across the edges.
        folds: (n,) 0 to FOLDS - 1, by photograph; of fewer photographs than folds, one edge after the other.
        clear: (n,) whether no surface nearer to the camera is beside the edge.
        strengths: (n,) squares of the edges' contrast, linear light: how much each counts in `best`.
    """

    misfits: np.ndarray
    depths: np.ndarray
    normals: np.ndarray
    folds: np.ndarray
    clear: np.ndarray
    strengths: np.ndarray

    def best(self) -> float:
        """Return the variance, px^2, with which all edges together agree best; a little below 0 if sharper."""
        total = self.misfits.sum(axis=0)
        at = int(np.clip(total.argmin(), 1, len(total) - 2))
        bend = np.polyfit(VARIANCES[at - 1 : at + 2], total[at - 1 : at + 2], 2)
        found = -0.5 * bend[1] / bend[0] if bend[0] > 0 else VARIANCES[total.argmin()]
        return float(np.clip(found, _LEAST_VARIANCE, VARIANCES[-1]))

    def only(self, kept: np.ndarray) -> Spreads:
        """Return some of the edges; `kept`: (n,) bool."""
        return Spreads(*(getattr(self, each.name)[kept] for each in fields(self)))


def width_px(variance: float) -> float:
    """Return the standard deviation, px, of an edge that a blur of a variance, px^2, widens."""
    return math.sqrt(PIXEL_VARIANCE + variance)


def blurred(light: np.ndarray, variance: float) -> np.ndarray:
    """Blur a picture, (H, W) or (H, W, 3) in linear light, by a normal distribution of a variance, px^2."""
    if variance <= 0.0:
        return light
    if variance >= _SMALL_VARIANCE:
        sigma = math.sqrt(variance)
        return np.asarray(gaussian_filter(light, (sigma, sigma) + (0.0,) * (light.ndim - 2), mode="nearest"))
    taps = np.array([0.5 * variance, 1.0 - variance, 0.5 * variance])
    return np.asarray(convolve1d(convolve1d(light, taps, axis=0, mode="nearest"), taps, axis=1, mode="nearest"))


def blurred_picture(pixels: np.ndarray, variance: float) -> np.ndarray:
    """Blur a picture (H, W, 3), uint8 sRGB, by a normal distribution of a variance, px^2."""
    return np.asarray(np.rint(coded(blurred(linear(pixels), variance))), dtype=np.uint8) if variance > 0 else pixels


def spreads(
    photographs: Sequence[np.ndarray],
    renders: Sequence[Rendered],
    edges: Sequence[Edges],
    cameras: Sequence[Camera] | None = None,
) -> Spreads:
    """Compare the edges of photographs with those of sharp renders, blurred by `VARIANCES`.

    Args:
        photographs: (H, W, 3) uint8 each.
        renders: sharp renders, one for each photograph.
        edges: the edges of each render, as the photograph shows them.
        cameras: the camera of each photograph, from which distances are counted; None: those of the renders.
    """
    found: list[tuple[np.ndarray, ...]] = []
    for number, (photograph, render, each) in enumerate(zip(photographs, renders, edges, strict=True)):
        theirs = profile_of(photograph, each.pixels + each.shifts[:, None] * each.normals, each.normals)
        light = _grey(render.pixels)
        ours = [_across(blurred(light, variance), each.pixels, each.normals) for variance in VARIANCES]
        kept = (np.ptp(ours[0], axis=1) > _LEAST_CONTRAST) & (np.ptp(theirs, axis=1) > _LEAST_CONTRAST)
        kept &= (theirs.max(axis=1) < _BURNT) & (ours[0].max(axis=1) < _BURNT)
        misfits = np.stack([misfit(theirs[kept], one[kept]) for one in ours], axis=1)
        count = int(kept.sum())
        # A photograph is in one fold; of a few, each is divided.
        folds = np.full(count, number % FOLDS) if len(photographs) >= FOLDS else np.arange(count) % FOLDS
        depths = (cameras[number] if cameras else render.camera).depth(each.places)
        strengths = np.ptp(ours[0][kept], axis=1) ** 2
        found.append((misfits, depths[kept], each.normals[kept], folds, _clear(render, each)[kept], strengths))
    return Spreads(*(np.concatenate(part) for part in zip(*found, strict=True)))


def misfit(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Return (n,) the sums of squares that are left of profiles `theirs` after the best fit of `ours`, both (n, k).

    An offset, a factor and a small shift of each profile are fitted: a shift that was found with a sharp profile would
    hide some of the blur.
    """
    terms = np.stack([np.ones_like(ours), ours, np.gradient(ours, _STEP_PX, axis=1)], axis=2)
    weighted = terms * _WEIGHTS[:, None]
    normal = np.einsum("nka,nkb->nab", terms, weighted) + 1e-9 * np.eye(3)
    found = np.linalg.solve(normal, np.einsum("nka,nk->na", weighted, theirs)[..., None])[..., 0]
    left = theirs - np.einsum("nka,na->nk", terms, found)
    return np.asarray((_WEIGHTS * left**2).sum(axis=1))


def profile_of(pixels: np.ndarray, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return (n, k) the light across n edges of a picture (H, W, 3), uint8; `places`, `normals`: (n, 2), px."""
    return _across(_grey(pixels), places, normals)


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(linear(pixels) @ (0.3, 0.4, 0.3))


def _across(light: np.ndarray, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return profiles(light, places, normals, _STEPS, _ALONG_PX, order=3)


def _clear(render: Rendered, edges: Edges) -> np.ndarray:
    near = minimum_filter(np.where(render.depth > 0.0, render.depth, np.inf), _NEARER_PX)
    columns, rows = np.floor(edges.pixels.T).astype(int)
    clear: np.ndarray = near[rows, columns] > render.camera.depth(edges.places) - _NEARER_MM
    return clear


@dataclass(frozen=True)
class Widening:
    """By how much edges in photographs are wider than in renders of the sharp scene, for G groups of clear edges.

    Attributes:
        variance, sd: (G,) px^2, and its standard deviation.
        near, near_square: (G,) means of the edges' `nearness` and of its square.
        across, mixed, down: (G,) means of the normals' x^2, 2 x y and y^2 (picture, y up).
        mean, mean_sd: mean variance over all edges, px^2, photographs minus renders, and its standard deviation.
    """

    variance: np.ndarray
    sd: np.ndarray
    near: np.ndarray
    near_square: np.ndarray
    across: np.ndarray
    mixed: np.ndarray
    down: np.ndarray
    mean: float
    mean_sd: float


def nearness(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Return what the blur by a lens is linear in: 1 / distance, 1/mm; for a telecentric camera the distance, mm."""
    return depth if camera.telecentric else 1.0 / depth


def widening(photographs: Spreads, renders: Spreads, camera: Camera) -> Widening:
    """Compare the spreads of photographs with those of renders of a sharp scene, which are measured in the same way.

    The render that both are compared with has noise of its own, by which even a sharp picture looks a little blurred.
    """
    ours, theirs = (each.only(each.clear) for each in (photographs, renders))
    rows = []
    edges = np.quantile(theirs.depths, np.linspace(0.0, 1.0, _DEPTHS + 1)[1:-1]) if len(theirs.depths) else []
    for group in range(_DEPTHS * _DIRECTIONS):
        own, other = (each.only(_group(each, edges) == group) for each in (ours, theirs))
        if min(len(own.depths), len(other.depths)) < FEWEST:
            continue
        sd = math.hypot(_sd(own, other), _SD)
        near = nearness(own.depths, camera)
        x, y = own.normals[:, 0], -own.normals[:, 1]
        means = [float(np.mean(each)) for each in (near, near**2, x * x, 2.0 * x * y, y * y)]
        rows.append([own.best() - other.best(), sd, *means])
    mean = photographs.best() - renders.best()
    variance, sds, nears, near_square, across, mixed, down = np.array(rows).reshape(-1, 7).T
    mean_sd = math.hypot(_sd(photographs, renders), _SD)
    return Widening(variance, sds, nears, near_square, across, mixed, down, mean, mean_sd)


def _sd(ours: Spreads, theirs: Spreads) -> float:
    """Return the standard deviation of a difference of variances, by a jackknife over the folds; infinite: unknown."""
    pairs = [[each.only(each.folds != fold) for each in (ours, theirs)] for fold in range(FOLDS)]
    found = [own.best() - other.best() for own, other in pairs if len(own.depths) and len(other.depths)]
    return float(jackknife_sd(found)) if len(found) > 1 else math.inf


def _group(found: Spreads, edges: np.ndarray | Sequence[float]) -> np.ndarray:
    turn = np.mod(np.arctan2(-found.normals[:, 1], found.normals[:, 0]) + 0.5 * np.pi / _DIRECTIONS, np.pi)
    direction = np.minimum((turn / np.pi * _DIRECTIONS).astype(int), _DIRECTIONS - 1)
    group: np.ndarray = np.digitize(found.depths, edges) * _DIRECTIONS + direction
    return group
