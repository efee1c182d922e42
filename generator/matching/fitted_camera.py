"""What a scene file says of a camera and its placings, from the camera's fitted poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from blender_scripts.contract.connector import Connector
from generator.matching.geometry import DEPTH_SHARE, Fitted
from generator.matching.ranges import Quantity, Range, uniform_range
from generator.matching.renders import Shot, in_station, view_key

# Standard deviation of the size of all parts together as a share of the drawing's, and the least one of a single part.
SIZE_SHARE, PART_SHARE = 0.001, 0.002
# A focal length or distance with a larger expanded uncertainty, as a share of it, is not determined.
LARGEST_SHARE = 0.06
# Factor from a standard deviation of the focal length, from a jackknife over 8 groups of edges, to an interval of 95 %.
_COVERAGE = 2.4
# Least standard deviations of a single pose's turn and place across the axis, degrees and mm; factor on a turn's
# standard deviation by the fit, which takes neighbouring edges as independent.
_TURN_SD, _PLACE_SD, _SHARED = 0.03, 0.03, 3.0


@dataclass(frozen=True)
class FittedCamera:
    """The camera as a scene file states it.

    Attributes:
        ratio: focal length divided by distance.
        ratio_u: its expanded uncertainty (k = 2), as a share.
        quantities: all values for the scene file.
        unstated: what the photographs show and a scene file cannot state, one sentence each.
    """

    ratio: float
    ratio_u: float
    quantities: list[Quantity]
    unstated: list[str]


def fitted_camera(fitted: Fitted, connector: Connector, shot: Shot, width: int) -> FittedCamera:
    """Return what the fitted poses say of the camera.

    Args:
        fitted: the fit.
        connector: the scene.
        shot: the photographs' view.
        width: their width, px.
    """
    rig, nuisance = connector.cameras[shot.view], connector.nuisance
    angle, angle_sd = _angle(fitted, shot.view, rig.angle_deg, nuisance.tilt_deg)
    placed = [in_station(pose, shot.view, angle, rig.target_mm[2]) for pose in fitted.poses]
    leans = np.array([Rotation.from_matrix(turn).as_euler("xyz", degrees=True) for turn, _, _ in placed])
    targets = np.array([target for _, target, _ in placed])
    logs = np.log([distance for _, _, distance in placed])
    turn_sd = np.maximum(_SHARED * np.degrees(fitted.turn_sd), _TURN_SD)
    part_sd = max(connector.scatter.shrinkage, PART_SHARE)
    far = uniform_range(logs, part_sd, nuisance.distance_mm / rig.distance_mm)
    sideways = [uniform_range(targets[:, axis], _PLACE_SD, nuisance.shift_mm) for axis in (0, 1)]
    found = _lens(fitted, far, connector, shot, width)
    if shot.view != "center":
        found.append(Quantity(view_key(shot, "angle_deg"), rig.angle_deg, angle, 2.0 * angle_sd, "poses of the parts"))
    middle = [each.middle for each in sideways]
    u = 2.0 * max(each.middle_sd for each in sideways)
    found.append(
        Quantity(
            view_key(shot, "target_mm"), list(rig.target_mm), [*middle, rig.target_mm[2]], u, "places of the parts"
        )
    )
    turns = [uniform_range(leans[:, axis], turn_sd[axis], nuisance.tilt_deg) for axis in (0, 1)]
    rotation = uniform_range(leans[:, 2], turn_sd[2], nuisance.rotation_deg)
    *mean_turns, mean_rotation = (
        _less_known(*each) for each in zip([*turns, rotation], fitted.mean_turn_sd, strict=True)
    )
    spread = {
        "shift_mm": max(sideways, key=lambda each: each.half),
        "rotation_deg": rotation,
        "tilt_deg": max(turns, key=lambda each: each.half),
    }
    distance = math.exp(far.middle)
    spread["distance_mm"] = Range(distance, 0.0, far.half * distance, far.half_sd * distance)
    found += [_half(name, each, getattr(nuisance, name)) for name, each in spread.items()]
    ratio_sd = math.hypot(far.middle_sd, SIZE_SHARE, fitted.log_ratio_sd)
    width_mm = rig.field_mm or rig.sensor_width_mm
    ratio = fitted.focal_px * width_mm / width / distance
    return FittedCamera(ratio, 2.0 * ratio_sd, found, _unstated(mean_rotation, mean_turns, shot.view))


def _angle(fitted: Fitted, view: str, start: float, tilt: float) -> tuple[float, float]:
    """Angle of a side camera with which the parts' tilts have the middle 0, and its standard deviation, degrees."""
    if view == "center":
        return start, 0.0
    axis, sign = (1 if view in ("left", "right") else 0), (-1.0 if view in ("left", "bottom") else 1.0)
    if axis == 0:
        sign = -sign
    angle, sd = start, 0.0
    for _ in range(3):
        turns = [in_station(pose, view, angle, 0.0)[0] for pose in fitted.poses]
        leans = [float(Rotation.from_matrix(turn).as_euler("xyz", degrees=True)[axis]) for turn in turns]
        found = uniform_range(leans, max(_SHARED * math.degrees(fitted.turn_sd[axis]), _TURN_SD), tilt)
        angle, sd = min(75.0, max(1.0, angle - sign * found.middle)), found.middle_sd
    return angle, math.hypot(sd, math.degrees(fitted.mean_turn_sd[axis]))


def _lens(fitted: Fitted, far: Range, connector: Connector, shot: Shot, width: int) -> list[Quantity]:
    """Focal length and distance: each apart if determined, else such that their ratio is right."""
    rig, key = connector.cameras[shot.view], (view_key(shot, "focal_mm"), view_key(shot, "distance_mm"))
    if rig.field_mm:
        field = width / fitted.focal_px
        u = 2.0 * math.hypot(SIZE_SHARE, fitted.log_ratio_sd) * field
        said = "a telecentric picture does not depend on the distance"
        return [
            Quantity(view_key(shot, "field_mm"), rig.field_mm, field, u, "size of the parts"),
            Quantity(key[1], rig.distance_mm, None, None, said),
        ]
    focal, distance = fitted.focal_px * rig.sensor_width_mm / width, math.exp(far.middle)
    share = _COVERAGE * fitted.log_focal_sd
    apart = math.hypot(share, 2.0 * math.hypot(far.middle_sd, SIZE_SHARE))
    if max(share, apart) > LARGEST_SHARE:
        kept = rig.focal_mm / focal
        said = f"alone known only to {share:.0%}; the ratio of focal length and distance is determined"
        return [
            Quantity(key[0], rig.focal_mm, None, None, said),
            Quantity(
                key[1], rig.distance_mm, distance * kept, None, "chosen for the ratio, with the scene's focal length"
            ),
        ]
    said = f"perspective of the part, whose depth is taken as the drawing's within {DEPTH_SHARE:.1%} (1 sd)"
    return [
        Quantity(key[0], rig.focal_mm, focal, share * focal, said),
        Quantity(key[1], rig.distance_mm, distance, apart * distance, said),
    ]


def _less_known(found: Range, mean_sd: float) -> Range:
    """A range of turns, degrees, whose middle has another standard deviation, rad, in addition."""
    return replace(found, middle_sd=math.hypot(found.middle_sd, math.degrees(mean_sd)))


def _half(name: str, found: Range, before: float) -> Quantity:
    if found.half_sd > 0.5 * found.half:
        return Quantity(("nuisance", name), before, None, None, "too few photographs, or too little spread")
    return Quantity(("nuisance", name), before, found.half, 2.0 * found.half_sd, "spread over the photographs")


def _unstated(rotation: Range, turns: Sequence[Range], view: str) -> list[str]:
    """Mean turns of the parts under the camera, which no key of a scene file states."""
    axes = [("rotation about the optical axis", rotation)]
    names = ("tilt about X", "tilt about Y")
    own = {"center": (0, 1), "left": (0,), "right": (0,)}.get(view, (1,))
    axes += [(names[axis], turns[axis]) for axis in own]
    return [
        f"mean {name} {each.middle:.2f} degrees (U {2.0 * each.middle_sd:.2f}): a scene file has no key for it"
        for name, each in axes
        if abs(each.middle) > 3.0 * each.middle_sd + 0.1
    ]
