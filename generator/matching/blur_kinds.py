"""Which blur photographs have: none, of a lens out of focus, or by motion; its size, and the keys of a scene file.

The size follows from the width of edges (`generator.matching.blur`), the kind from renders with a blur of each kind:
beside an edge of the cavity floor there is often a pin that is nearer and blurred otherwise, which a render shows as a
photograph does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import least_squares

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.nuisance import Nuisance
from blender_scripts.geometry.optics import Camera, set_up_station
from blender_scripts.geometry.sensor import smear
from generator.matching.blur import FEWEST, FOLDS, Spreads, Widening, misfit, nearness, profile_of
from generator.matching.ranges import Quantity, jackknife_sd
from generator.matching.renders import Rendered, Shot, view_key
from generator.matching.shifts import Edges, measure

# Kinds of blur by a lens.
LENS_KINDS = ("even", "defocus")
# Below this variance, in units of its standard deviation, neither an even blur nor a motion is tried. Variance, px^2,
# that is assumed of a lens that may be in focus on the edges that are seen best.
_SEEN, _ASSUMED_VARIANCE = 2.0, 0.03
# Distance of the focus of an even blur, divided by that of the part. Planes in focus that are tried: shares of the
# part's depth, counted from its nearest edges; with which sizes; how far from the best of them others are tried.
_FAR, _PLANES, _SIZES, _ASIDE = 1.25, (-0.7, 0.0, 0.35, 1.0, 1.8), (1.0, 2.0), 0.35
# How far, rad, from the direction of a motion others are tried. Ratio of sizes that are tried, and most steps.
_TURN = 0.3
_STEP, _MOST_STEPS = 1.5, 4
# A kind is chosen over a simpler one if its renders agree better by so many standard deviations.
_BETTER = 2.0
# Residual sum of squares of any edge by rounding and noise, linear light.
_LEFT = 2e-6
# Largest distance, px, of an edge in a render from that in another one.
_REACH_PX = 1.5
# Largest expanded uncertainties of an opening and of the distance of a focus, as shares, with which a lens is stated as
# determined; least one of the distance, as a share of the part's depth.
_LARGEST, _FOCUS, _LEAST_U = 0.5, 0.03, 0.2
# Expanded uncertainty that all edges have in common: of a blur, as a share, and of a motion's direction, rad.
_SHAPE_U = 0.1
# Largest f-number of a scene file.
_LARGEST_NUMBER = 64.0
# Longest motion, px, and a picture of one bright pixel that it blurs.
_LONGEST_PX = 12.0
_STILL = Nuisance(**{each.name: 0.0 for each in fields(Nuisance)})
_IMPULSE = np.zeros((31, 31, 3), np.float32)
_IMPULSE[15, 15] = 1.0


@dataclass(frozen=True)
class Blur:
    """A blur.

    Attributes:
        kind: `none`, `defocus`, `motion`, or `even`: about the same everywhere, as of a lens with its focus far behind.
        size: opening of the lens, mm (telecentric: its diameter divided by its distance); of a motion its length, px.
        focus_or_azimuth: distance of the plane in focus, mm; of a motion its direction, rad.
        u: expanded uncertainty (k = 2) of the two.
    """

    kind: str
    size: float = 0.0
    focus_or_azimuth: float = 0.0
    u: tuple[float, float] = (0.0, 0.0)

    def doubted(self, other: Blur) -> Blur:
        """Return the blur with an uncertainty that holds the size of another estimate of it."""
        return replace(self, u=(math.hypot(self.u[0], self.size - other.size), self.u[1]))

    def scaled(self, variances: float) -> Blur:
        """Return a blur with `variances` times the variance, as far as one step of a search should go."""
        factor = math.sqrt(min(4.0, max(0.25, variances)))
        return replace(self, size=self.size * factor, u=(self.u[0] * factor, self.u[1]))


# Renders some photographs with a blur, without noise.
Renderer = Callable[[Blur], Sequence[Rendered]]
# Returns the costs (parts,) of a blur, from `_misfits`.
Agreement = Callable[[Blur], np.ndarray]
# The costs of a blur, and the blur.
_Tried = tuple[np.ndarray, Blur]


def choose(
    found: Widening, spread: Spreads, photographs: Sequence[np.ndarray], edges: Sequence[Edges], renderer: Renderer
) -> Blur:
    """Choose the blur whose renders agree best with some photographs; a simpler one, if it agrees about as well.

    With few edges that show contrast, as in very dark photographs, it is none.

    Args:
        found: how much wider edges are than in sharp renders.
        spread: the edges of all photographs.
        photographs: some photographs, (H, W, 3) uint8.
        edges: their edges, from sharp renders of the same poses.
        renderer: renders these photographs with a blur.
    """

    if len(spread.depths) < FEWEST:
        return Blur("none")
    sharp = renderer(Blur("none"))

    def agreement(blur: Blur) -> np.ndarray:
        return _misfits(photographs, sharp if blur.kind == "none" else renderer(blur), sharp, edges)

    chosen = Blur("none")
    costs = agreement(chosen)
    camera, others = sharp[0].camera, list[_Tried]()
    near, far = np.quantile(spread.depths, (0.05, 0.95)).tolist()

    def plane(focus: float, factor: float = 1.0) -> Blur:
        blur = _lens_blur("defocus", focus, found.mean, spread, camera)
        return replace(blur, size=blur.size * factor)

    seen = found.mean > _SEEN * found.mean_sd
    even = [_lens_blur("even", _FAR * float(spread.depths.mean()), found.mean, spread, camera)] if seen else []
    moved = fit_motion(found) if seen else None
    planes = [plane(near + share * (far - near), size) for share in _PLANES for size in _SIZES]
    for level in ([even], [planes, [moved] if moved else []]):
        for kind in level:
            tried = [(agreement(blur), blur) for blur in kind]
            if tried:
                cost, blur = _sized(*min(tried, key=lambda each: each[0].sum()), agreement)
                if _is_better(cost, costs):
                    costs, chosen, others = cost, blur, tried
    if chosen.kind == "motion":
        return _turned(chosen, costs, agreement)
    return chosen if chosen.kind != "defocus" else _focused(chosen, costs, agreement, plane, far - near, others)


def _turned(motion: Blur, costs: np.ndarray, agreement: Agreement) -> Blur:
    """Return a motion in the direction whose renders agree best; `costs` are those of `motion`."""
    before = motion.focus_or_azimuth
    beside = [agreement(replace(motion, focus_or_azimuth=before + side * _TURN)) for side in (-1.0, 1.0)]
    azimuth, u = _lowest(np.stack([beside[0], costs, beside[1]]), before, _TURN)
    return replace(motion, focus_or_azimuth=azimuth, u=(motion.u[0], math.hypot(u, _SHAPE_U)))


def _focused(
    lens: Blur,
    costs: np.ndarray,
    agreement: Agreement,
    plane: Callable[[float], Blur],
    depth: float,
    others: Sequence[_Tried],
) -> Blur:
    """Return a lens in focus where its renders agree best; edges stay about as wide.

    Args:
        lens, costs: the best one that was tried, and its costs.
        agreement: computes the costs of another one.
        plane: makes a lens in focus at a distance, mm, with the mean width of edges.
        depth: the part's depth, mm.
        others: all that were tried before.
    """
    step, factor = _ASIDE * depth, lens.size / plane(lens.focus_or_azimuth).size

    def at(focus: float) -> Blur:
        return replace(lens, size=factor * plane(focus).size, focus_or_azimuth=focus)

    beside = [agreement(at(lens.focus_or_azimuth + side * step)) for side in (-1.0, 1.0)]
    focus, u = _lowest(np.stack([beside[0], costs, beside[1]]), lens.focus_or_azimuth, step)
    blur, u = at(focus), math.hypot(u, _LEAST_U * depth)
    around = 0.5 * abs(at(focus + u).size - at(focus - u).size)
    far_off = [cost for cost, each in others if abs(each.focus_or_azimuth - lens.focus_or_azimuth) > 2.0 * step]
    if not all(_is_better(costs, cost) for cost in far_off):
        u = math.inf  # a focus before the part and one behind it can look alike
    return replace(blur, u=(math.hypot(_SHAPE_U * blur.size, around), u))


def _sized(costs: np.ndarray, blur: Blur, agreement: Agreement) -> _Tried:
    """Return the costs of a blur with the size whose renders agree best, and this blur; `costs` are those of `blur`."""
    known = {0: costs}  # by exponent of _STEP

    def cost_at(exponent: int) -> float:
        if exponent not in known:
            known[exponent] = agreement(replace(blur, size=blur.size * _STEP**exponent))
        return float(known[exponent].sum())

    best = 0
    for _ in range(_MOST_STEPS):
        lower = min((best - 1, best, best + 1), key=cost_at)
        if lower == best:
            break
        best = lower
    around = np.stack([known.get(best + side, known[best]) for side in (-1, 0, 1)])
    exponent, _ = _lowest(around, float(best), 1.0)

    def of(power: float) -> Blur:
        return replace(blur, size=blur.size * _STEP**power, u=(blur.u[0] * _STEP**power, blur.u[1]))

    cost = agreement(sized := of(exponent))
    return (cost, sized) if cost.sum() < known[best].sum() else (known[best], of(best))


def _is_better(cost: np.ndarray, known: np.ndarray) -> bool:
    gain = known - cost
    return bool(gain.sum() > _BETTER * math.sqrt(len(gain)) * gain.std(ddof=1))


def _misfits(
    photographs: Sequence[np.ndarray], renders: Sequence[Rendered], sharp: Sequence[Rendered], edges: Sequence[Edges]
) -> np.ndarray:
    """Return the sums of the logarithms of misfits over parts of each photograph's edges: (photographs * FOLDS,)."""
    sums = []
    for photograph, render, reference, each in zip(photographs, renders, sharp, edges, strict=True):
        # The blurred render's edges may lie a little beside those of the sharp one, as a photograph's do.
        own = measure(render.pixels, reference, _REACH_PX)
        shifts = _shifts_at(own, each)
        theirs = profile_of(photograph, each.pixels + each.shifts[:, None] * each.normals, each.normals)
        ours = profile_of(render.pixels, each.pixels + shifts[:, None] * each.normals, each.normals)
        left = np.log(misfit(theirs, ours) + _LEFT)
        sums += [float(left[part::FOLDS].sum()) for part in range(FOLDS)]
    return np.array(sums)


def _shifts_at(found: Edges, wanted: Edges) -> np.ndarray:
    """Return (n,) the shifts of those edges of `found` that are nearest to each of `wanted`; 0 if none is near."""
    if not len(found.pixels):
        return np.zeros(len(wanted.pixels))
    away = np.linalg.norm(wanted.pixels[:, None] - found.pixels, axis=2)
    nearest = away.argmin(axis=1)
    same = (away.min(axis=1) < 1.0) & (np.abs((wanted.normals * found.normals[nearest]).sum(axis=1)) > 0.9)
    return np.where(same, found.shifts[nearest], 0.0)


def _lens_blur(kind: str, focus: float, variance: float, spread: Spreads, camera: Camera) -> Blur:
    """Return the blur of a lens in focus at a distance, mm, with a mean variance, px^2, of the edges of `spread`."""
    away = nearness(spread.depths, camera) - nearness(np.array(focus), camera)
    unit = camera.lens.focal_px**2 / 16.0 * float(np.average(away**2, weights=spread.strengths))
    return Blur(kind, math.sqrt(max(variance, _ASSUMED_VARIANCE) / max(unit, 1e-12)), focus)


def _lowest(costs: np.ndarray, middle: float, step: float) -> tuple[float, float]:
    """Return where a parabola through costs (3, parts), at `middle` and `step` beside it, is lowest, and U (k = 2)."""

    def lowest(total: np.ndarray) -> float:
        bend = total[0] - 2.0 * total[1] + total[2]
        offset = 0.5 * (total[0] - total[2]) / bend if bend > 1e-9 else math.copysign(1.0, total[0] - total[2])
        return middle + step * min(1.0, max(-1.0, float(offset)))

    parts = np.arange(costs.shape[1]) % FOLDS
    sd = float(jackknife_sd([lowest(costs[:, parts != part].sum(axis=1)) for part in range(FOLDS)]))
    return lowest(costs.sum(axis=1)), 2.0 * sd


def fit_motion(found: Widening) -> Blur | None:
    """Fit a motion to the variances of groups of edges by their direction; None: too few groups."""
    if len(found.variance) < 3:
        return None

    def off(x: np.ndarray) -> np.ndarray:
        errors: np.ndarray = (_motion_variances(found, float(x[0]), float(x[1])) - found.variance) / found.sd
        return errors

    tried = [least_squares(off, (1.5, azimuth), diff_step=1e-4) for azimuth in (0.1, 0.9, 1.6, 2.4)]
    solved = min(tried, key=lambda each: float(each.cost))
    worse = max(1.0, 2.0 * float(solved.cost) / max(len(found.variance) - 2, 1))
    u = (2.0 * np.sqrt(np.diag(np.linalg.pinv(solved.jac.T @ solved.jac)) * worse)).tolist()
    length, azimuth = abs(float(solved.x[0])), float(solved.x[1])
    if length < 1e-3:
        return None
    return Blur("motion", length, azimuth, (math.hypot(u[0], _SHAPE_U * length), math.hypot(u[1], _SHAPE_U)))


def _motion_variances(found: Widening, length_px: float, azimuth: float) -> np.ndarray:
    """Variances (G,), px^2, of groups of edges by a motion."""
    length = min(abs(length_px), _LONGEST_PX)
    moved = smear(_IMPULSE, (length * math.cos(azimuth), -length * math.sin(azimuth)))[..., 0].astype(float)
    steps = np.arange(len(moved)) - len(moved) // 2
    across = float((moved.sum(axis=0) * steps**2).sum())
    down = float((moved.sum(axis=1) * steps**2).sum())
    mixed = -float(steps @ moved @ steps)
    by_motion: np.ndarray = across * found.across + mixed * found.mixed + down * found.down
    return by_motion


def px_per_mm(connector: Connector, view: str) -> np.ndarray:
    """Return (2, 2) how the picture moves, px to the right and down, for 1 mm of motion along X and along Y."""
    moves = []
    for azimuth in (0.0, 90.0):
        rig = replace(connector.cameras[view], motion_mm=1.0, motion_azimuth_deg=azimuth)
        still = replace(connector, cameras={**connector.cameras, view: rig}, nuisance=_STILL)
        moves.append(set_up_station(still, view, 0, connector.width, connector.height).motion_px)
    return np.array(moves).T


def blur_quantities(
    blur: Blur, shot: Shot, connector: Connector, focal_mm: float, placed: tuple[float, float], variance: float
) -> list[Quantity]:
    """Return what a blur says of a scene's camera.

    Args:
        blur: the fitted blur.
        shot: the photographs' view.
        connector: the scene with the fitted camera.
        focal_mm: focal length.
        placed: z of the camera, mm in the station's axes, and cosine of the angle of its axis to Z.
        variance: by how much edges are wider than in sharp renders, px^2.
    """
    camera, before = connector.cameras[shot.view], shot.connector().cameras[shot.view]
    said = "edges of the photographs beside those of renders with this blur, with another, and without"
    values: dict[str, tuple[float, float] | None] = {"f_number": (0.0, 0.0), "focus_z_mm": None}
    values |= {"motion_mm": (0.0, 0.0), "motion_azimuth_deg": None}
    if blur.kind == "none":
        said = f"edges are as wide as in a sharp render (variance {variance:.2f} px^2 more)"
    elif blur.kind == "motion":
        px = blur.size * np.array([math.cos(blur.focus_or_azimuth), -math.sin(blur.focus_or_azimuth)])
        moved = np.linalg.solve(px_per_mm(connector, shot.view), px)
        length, azimuth = float(np.hypot(*moved)), math.degrees(math.atan2(moved[1], moved[0])) % 180.0
        values["motion_mm"] = length, length * blur.u[0] / blur.size
        values["motion_azimuth_deg"] = azimuth, math.degrees(blur.u[1])
    else:
        opening = max(blur.size, 1e-9)
        ratio = camera.sensor_width_mm / camera.field_mm / opening if camera.field_mm else focal_mm / opening
        number = min(ratio, _LARGEST_NUMBER)
        told = blur.kind == "defocus" and blur.u[0] < _LARGEST * opening and blur.u[1] < _FOCUS * blur.focus_or_azimuth
        values["f_number"] = number, number * blur.u[0] / opening if told else 0.0
        values["focus_z_mm"] = placed[0] - blur.focus_or_azimuth * placed[1], blur.u[1] if told else 0.0
        if not told:
            said = "not the lens's own: chosen so that edges are as wide as in the photographs; opening and focus"
            said += " cannot be told apart"
    found = []
    for name, value in values.items():
        old, key = float(getattr(before, name)), view_key(shot, name)
        if value is None:
            found.append(Quantity(key, old, None, None, "without effect on the pictures"))
        else:
            found.append(Quantity(key, old, value[0], value[1] or None, said))
    return found
