"""The blur of photographs, from their edges beside those of a render that is sharp.

The render has the edges' own width (fillets, shadows, the pixels' filter); a blur of the lens or by motion adds to it.
Each edge of the render is blurred by normal distributions of several variances, and the variance is sought with which
it agrees best with the photograph. A lens that is not in focus blurs by the distance from the plane in focus, a motion
by the direction of the edge; both have keys in a scene file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from blender_scripts.geometry.sensor import smear
from generator.io.srgb import linear
from generator.matching.ranges import Quantity, jackknife_sd
from generator.matching.renders import Rendered, Shot, view_key
from generator.matching.shifts import Edges, profiles

# Profiles across the edge: reach on each side and step, px; places along it that are averaged.
_REACH_PX, _STEP_PX, _ALONG_PX = 5.0, 0.25, (-2.0, -1.0, 0.0, 1.0, 2.0)
# Variances of the blur that are tried, px^2.
VARIANCES = np.concatenate([np.arange(0.0, 0.4, 0.02), np.arange(0.4, 4.01, 0.1)])
# Edges with less contrast than this, linear light, are too noisy.
_LEAST_CONTRAST = 0.02
# Groups of edges: by depth and by direction; least edges of one; standard deviation of its variance, px^2, beside that
# by a jackknife over photographs.
_DEPTHS, _DIRECTIONS, _FEWEST, _SD = 4, 4, 40, 0.015
# Largest expanded uncertainties of a lens's opening and of the distance of its focus, as shares, with which these are
# stated as determined. The distance of the focus, divided by that of the part, of a blur that is even.
_LARGEST, _FOCUS, _FAR = 0.5, 0.03, 1.25
# Expanded uncertainty that all edges have in common: of a blur, as a share, and of a motion's direction, rad.
_SHAPE_U = 0.1
# Largest f-number of a scene file.
_LARGEST_NUMBER = 64.0
_FOLDS = 5
# Longest motion, px, and a picture of one bright pixel that it blurs.
_LONGEST_PX = 12.0
_IMPULSE = np.zeros((31, 31, 3), np.float32)
_IMPULSE[15, 15] = 1.0


@dataclass(frozen=True)
class Spreads:
    """How well each of n edges agrees with the render's, blurred by each of `VARIANCES`.

    Attributes:
        misfits: (n, len(VARIANCES)) sums of squares, divided by that of the edge.
        depths: (n,) distance of each edge from the camera along its axis, mm.
        normals: (n, 2) unit vectors across the edges.
        photograph: (n,) number of the photograph.
    """

    misfits: np.ndarray
    depths: np.ndarray
    normals: np.ndarray
    photograph: np.ndarray

    def best(self) -> float:
        """Return the variance, px^2, with which all edges together agree best."""
        total = self.misfits.sum(axis=0)
        at = int(np.clip(total.argmin(), 1, len(total) - 2))
        bend = np.polyfit(VARIANCES[at - 1 : at + 2], total[at - 1 : at + 2], 2)
        found = -0.5 * bend[1] / bend[0] if bend[0] > 0 else VARIANCES[total.argmin()]
        return float(np.clip(found, 0.0, VARIANCES[-1]))

    def of(self, kept: np.ndarray) -> Spreads:
        """Return some of the edges; `kept`: (n,) bool."""
        return Spreads(self.misfits[kept], self.depths[kept], self.normals[kept], self.photograph[kept])


def spreads(photographs: Sequence[np.ndarray], renders: Sequence[Rendered], edges: Sequence[Edges]) -> Spreads:
    """Compare the edges of photographs (H, W, 3), uint8, with those of sharp renders, blurred by `VARIANCES`."""
    misfits, depths, normals, numbers = [], [], [], []
    steps = np.arange(-_REACH_PX, _REACH_PX + 1e-9, _STEP_PX)
    for number, (photograph, render, each) in enumerate(zip(photographs, renders, edges, strict=True)):
        theirs = _profiles(photograph, each.pixels + each.shifts[:, None] * each.normals, each.normals, steps)
        ours = _profiles(render.pixels, each.pixels, each.normals, steps)
        kept = (np.ptp(ours, axis=1) > _LEAST_CONTRAST) & (np.ptp(theirs, axis=1) > _LEAST_CONTRAST)
        ours, theirs = ours[kept], _centred(theirs[kept])
        total = (theirs**2).sum(axis=1)
        found = []
        for variance in VARIANCES:
            blurred = gaussian_filter1d(ours, math.sqrt(variance) / _STEP_PX, axis=1) if variance else ours
            blurred = _centred(blurred)
            gain = (blurred * theirs).sum(axis=1) / np.maximum((blurred**2).sum(axis=1), 1e-12)
            found.append(((theirs - gain[:, None] * blurred) ** 2).sum(axis=1) / total)
        misfits.append(np.stack(found, axis=1))
        depths.append(render.camera.depth(each.places[kept]))
        normals.append(each.normals[kept])
        numbers.append(np.full(int(kept.sum()), number))
    return Spreads(*(np.concatenate(part) for part in (misfits, depths, normals, numbers)))


def _profiles(pixels: np.ndarray, places: np.ndarray, normals: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return profiles(linear(pixels) @ (0.3, 0.4, 0.3), places, normals, steps, _ALONG_PX, order=3)


def _centred(profiles: np.ndarray) -> np.ndarray:
    found: np.ndarray = profiles - profiles.mean(axis=1, keepdims=True)
    return found


@dataclass(frozen=True)
class Widening:
    """By how much edges in photographs are wider than in renders of the sharp scene, for G groups of edges.

    Attributes:
        variance, sd: (G,) px^2, and its standard deviation.
        depths: (G,) mean distance from the camera, mm.
        across, mixed, down: (G,) means of the normals' x^2, 2 x y and y^2 (picture, y up).
        mean: mean variance over all edges, px^2, photographs minus renders.
    """

    variance: np.ndarray
    sd: np.ndarray
    depths: np.ndarray
    across: np.ndarray
    mixed: np.ndarray
    down: np.ndarray
    mean: float


def widening(photographs: Spreads, renders: Spreads) -> Widening:
    """Compare the spreads of photographs with those of renders of a sharp scene, which are measured in the same way.

    The render that both are compared with has noise of its own, by which even a sharp picture looks a little blurred.
    """
    edges = np.quantile(renders.depths, np.linspace(0.0, 1.0, _DEPTHS + 1)[1:-1])
    rows = []
    for group in range(_DEPTHS * _DIRECTIONS):
        ours, theirs = (each.of(_group(each, edges) == group) for each in (photographs, renders))
        if min(len(ours.depths), len(theirs.depths)) < _FEWEST:
            continue
        folds = []
        for fold in range(_FOLDS):
            pair = [each.of(each.photograph % _FOLDS != fold) for each in (ours, theirs)]
            if all(len(each.depths) for each in pair):
                folds.append(pair[0].best() - pair[1].best())
        sd = jackknife_sd(folds)
        x, y = ours.normals[:, 0], -ours.normals[:, 1]
        means = [float(np.mean(each)) for each in (ours.depths, x * x, 2.0 * x * y, y * y)]
        rows.append([ours.best() - theirs.best(), math.hypot(float(sd), _SD), *means])
    variance, sd, depths, across, mixed, down = np.array(rows).reshape(-1, 6).T
    return Widening(variance, sd, depths, across, mixed, down, photographs.best() - renders.best())


def _group(found: Spreads, edges: np.ndarray) -> np.ndarray:
    turn = np.mod(np.arctan2(-found.normals[:, 1], found.normals[:, 0]) + 0.5 * np.pi / _DIRECTIONS, np.pi)
    direction = np.minimum((turn / np.pi * _DIRECTIONS).astype(int), _DIRECTIONS - 1)
    group: np.ndarray = np.digitize(found.depths, edges) * _DIRECTIONS + direction
    return group


@dataclass(frozen=True)
class Blur:
    """The fitted blur.

    Attributes:
        kind: `none`, `defocus`, `motion`, or `even`: about the same everywhere, as of a lens with its focus far behind.
        first, second: opening of the lens, mm, and distance of the plane in focus, mm; or length of the motion, px, and
            its direction, rad.
        u: expanded uncertainty (k = 2) of the two.
        variance: variance, px^2, of the blur of all edges together.
    """

    kind: str
    first: float
    second: float
    u: tuple[float, float]
    variance: float


def fit_blur(found: Widening, focal_px: float) -> Blur:
    """Choose and fit a kind of blur, by the Bayesian information criterion; `focal_px`: focal length, px."""
    best = Blur("none", 0.0, 0.0, (0.0, 0.0), found.mean)
    count = len(found.variance)
    if count < 3:
        return best
    middle = float(np.mean(found.depths))
    least = float(np.sum((found.variance / found.sd) ** 2))
    # What no kind explains counts as noise.
    price = math.log(count) * math.sqrt(max(1.0, least / count))
    starts = {
        "even": [(3.0, _FAR * middle)],
        "defocus": [(5.0, middle + z) for z in (-8.0, -2.0, 2.0, 8.0)],
        "motion": [(1.5, azimuth) for azimuth in (0.1, 0.9, 1.6, 2.4)],
    }
    for kind, places in starts.items():
        tried = [_fitted(kind, found, found.variance, focal_px, place) for place in places]
        misfit, blur = min(tried, key=lambda each: each[0])
        cost = misfit + price * (1 if kind == "even" else 2)
        if cost < least and blur.first > 1e-3:
            best, least = blur, cost
    return best


def again(found: Widening, blur: Blur, focal_px: float) -> Blur:
    """Fit a blur again, to photographs beside renders that have this blur already; its kind stays.

    By how much a blurred edge looks wider depends on noise and on the edge. So the first fit, beside sharp renders, is
    a little wrong; what is left beside blurred ones is small.
    """
    variance = found.variance + _variances(blur.kind, found, focal_px, blur.first, blur.second)
    return _fitted(blur.kind, found, variance, focal_px, (blur.first, blur.second))[1]


def _fitted(
    kind: str, found: Widening, variance: np.ndarray, focal_px: float, start: tuple[float, float]
) -> tuple[float, Blur]:
    """Fit one kind of blur to the variances (G,) of the groups; returns its misfit, too."""
    free = 1 if kind == "even" else 2

    def off(x: np.ndarray) -> np.ndarray:
        first, second = float(x[0]), start[1] if free == 1 else float(x[1])
        errors: np.ndarray = (_variances(kind, found, focal_px, first, second) - variance) / found.sd
        return errors

    solved = least_squares(off, start[:free], diff_step=1e-4)
    first, second = float(solved.x[0]), start[1] if free == 1 else float(solved.x[1])
    worse = max(1.0, 2.0 * float(solved.cost) / max(len(variance) - free, 1))
    u = [*(2.0 * np.sqrt(np.diag(np.linalg.pinv(solved.jac.T @ solved.jac)) * worse)).tolist(), 0.0]
    sizes = math.hypot(u[0], _SHAPE_U * first), math.hypot(u[1], _SHAPE_U) if kind == "motion" else u[1]
    return 2.0 * float(solved.cost), Blur(kind, abs(first), second, sizes, found.mean)


def _variances(kind: str, found: Widening, focal_px: float, first: float, second: float) -> np.ndarray:
    """Variances (G,), px^2, of groups of edges by a blur."""
    if kind != "motion":
        diameter = focal_px * first * (1.0 / found.depths - 1.0 / second)
        by_lens: np.ndarray = diameter**2 / 16.0
        return by_lens
    # As the renderer blurs: a short motion is mixed from neighbouring pixels, and blurs by more than its length.
    length = min(abs(first), _LONGEST_PX)
    moved = smear(_IMPULSE, (length * math.cos(second), -length * math.sin(second)))[..., 0].astype(float)
    steps = np.arange(len(moved)) - len(moved) // 2
    across = float((moved.sum(axis=0) * steps**2).sum())
    down = float((moved.sum(axis=1) * steps**2).sum())
    mixed = -float(steps @ moved @ steps)
    by_motion: np.ndarray = across * found.across + mixed * found.mixed + down * found.down
    return by_motion


def blur_quantities(
    blur: Blur, shot: Shot, focal_mm: float, px_per_mm: float, placed: tuple[float, float]
) -> list[Quantity]:
    """Return what a blur says of a scene's camera.

    Args:
        blur: the fitted blur.
        shot: the photographs' view.
        focal_mm: focal length.
        px_per_mm: scale at the part.
        placed: z of the camera, mm in the station's axes, and cosine of the angle of its axis to Z.
    """
    camera = shot.connector().cameras[shot.view]
    said = "edges of the photographs beside those of a sharp render"
    values: dict[str, tuple[float, float] | None] = {"f_number": (0.0, 0.0), "focus_z_mm": None}
    values |= {"motion_mm": (0.0, 0.0), "motion_azimuth_deg": None}
    if blur.kind == "none":
        said = f"edges are as wide as in a sharp render (variance {blur.variance:.2f} px^2 more)"
    elif blur.kind == "motion":
        length, azimuth = blur.first / px_per_mm, math.degrees(blur.second) % 180.0
        values["motion_mm"] = length, length * blur.u[0] / blur.first
        values["motion_azimuth_deg"] = azimuth, math.degrees(blur.u[1])
    else:
        number = min(focal_mm / max(blur.first, 1e-6), _LARGEST_NUMBER)
        told = blur.kind == "defocus" and blur.u[0] < _LARGEST * blur.first and blur.u[1] < _FOCUS * blur.second
        values["f_number"] = number, number * blur.u[0] / blur.first if told else 0.0
        values["focus_z_mm"] = placed[0] - blur.second * placed[1], blur.u[1] if told else 0.0
        if not told:
            said = "not the lens's own: chosen so that edges are as wide as in the photographs; opening and focus"
            said += " cannot be told apart"
    found = []
    for name, value in values.items():
        old, key = float(getattr(camera, name)), view_key(shot, name)
        if value is None:
            found.append(Quantity(key, old, None, None, "without effect on the pictures"))
        else:
            found.append(Quantity(key, old, value[0], value[1] or None, said))
    return found
