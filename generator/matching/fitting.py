"""Fit a scene to photographs, step by step: camera, light, sensor, lens; then compare renders of it with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.optics import Camera
from generator.io.certificate import CalibratedCamera
from generator.matching.blur import VARIANCES, Spreads, blurred_picture, spreads, widening, width_px
from generator.matching.blur_kinds import LENS_KINDS, Blur, blur_quantities, choose
from generator.matching.differences import Differences, domain_auroc, noise_of, regions_of
from generator.matching.fitted_camera import FittedCamera, fitted_camera
from generator.matching.geometry import Fitted, fit
from generator.matching.light import LightFit, fit_light, light_quantities
from generator.matching.noise import SAME_PX, Sample, Transfer, flat_areas, noise_quantities, transfer
from generator.matching.ranges import Quantity, uniform_range
from generator.matching.regions import QUADRANTS, TABLE, labels_of, means
from generator.matching.renders import Rendered, Shot, Wanted, in_station, render_all, view_key
from generator.matching.scene_text import Key, with_values
from generator.matching.shifts import Edges, measure
from generator.matching.start import LEAST_SCORE, Starter
from generator.matching.twins import SAMPLES, Twins

# Largest shift, px, that is looked for in each round of the camera's fit; photographs of the fit of the light.
_REACH_PX = (6.0, 2.5, 1.5)
_LIGHT_PHOTOGRAPHS = 2
# A photograph that has a smaller share of a render's edges does not show the part, or not in this view: of photographs
# of the part it is 0.9, from another camera of the same station 0.4.
_LEAST_SHARE = 0.6
# Photographs by which the kind of blur is chosen, and pixels of all of them.
_BLUR_PHOTOGRAPHS, _BLUR_PIXELS = 3, 1 << 18
# Rounds of renders with the blur, of which the best is compared with all photographs; smallest variance, px^2, that a
# blur adds to renders, by which it can be corrected.
_BLUR_STEPS, _LEAST_ADDED = 3, 0.02


@dataclass(frozen=True)
class Photo:
    """A photograph: its name, its pixels (H, W, 3) uint8, and whether its file is compressed with losses."""

    name: str
    pixels: np.ndarray
    is_jpeg: bool


@dataclass
class Matched:
    """The result of a match.

    Attributes:
        used: the photographs in which the part was found.
        left_out: names of the others, each with the reason why it is not used.
        fitted, camera: the fit, and the camera as a scene file states it.
        lighting: name of the light set-up that fits best.
        misfits: misfits of all set-ups that were tried, by name.
        quantities: all values of the scene file that were looked at.
        notes: what cannot be determined or stated, in sentences.
        renders: renders of the fitted scene, one for each photograph.
        differences: how far these differ from the photographs.
    """

    used: list[Photo]
    left_out: dict[str, str]
    fitted: Fitted
    camera: FittedCamera
    lighting: str
    misfits: dict[str, float]
    quantities: list[Quantity]
    notes: list[str]
    renders: list[Rendered] = field(default_factory=list)
    differences: Differences | None = None

    def values(self) -> dict[Key, Any]:
        """Return those values of the scene file that the photographs determined, by table and key of the file."""
        return {each.key: each.value for each in self.quantities if each.value is not None}


class CameraFit(NamedTuple):
    """The camera and the light that were fitted to photographs.

    Attributes:
        used: the photographs that show the part as the camera does.
        left_out: names of the others, each with the reason.
        fitted: the camera.
        fits: the light set-ups that were tried, best first.
        renders, edges: the last round's, one for each photograph in `used`.
    """

    used: list[Photo]
    left_out: dict[str, str]
    fitted: Fitted
    fits: list[LightFit]
    renders: list[Rendered]
    edges: list[Edges]


Say = Callable[[str], None]


def match_photographs(
    photos: Sequence[Photo], shot: Shot, lens: CalibratedCamera | None, lens_sd: float, say: Say
) -> Matched:
    """Fit a scene to photographs.

    Args:
        photos: the photographs, all of one size, which is that in the text of `shot`.
        shot: the connector and how the photographs show it; `lighting` "" tries all light set-ups.
        lens: the calibrated camera; None: its lens is unknown.
        lens_sd: standard deviation of the logarithm of the calibrated focal length.
        say: is called with the name of each step.

    Raises:
        InputError: the part is in none of the photographs.
    """
    connector = shot.connector()
    seen = replace(shot, lighting=shot.lighting or next(iter(connector.lightings)))
    if lens is not None:
        rig = connector.cameras[shot.view]
        focal = lens.fx * connector.width / lens.width * rig.sensor_width_mm / connector.width
        known = {view_key(shot, "focal_mm"): focal, view_key(shot, "distortion"): list(lens.distortion)}
        shot = replace(shot, text=with_values(shot.text, known, shot.path.name))
        seen = replace(seen, text=shot.text)
    say("finding the part")
    used, poses, left_out = _start(photos, seen)
    done = _fit_camera(used, poses, shot, seen, lens, lens_sd, say)
    seen = replace(seen, lighting=done.fits[0].lighting)
    camera = fitted_camera(done.fitted, connector, shot, connector.width)
    found, notes = light_quantities(done.fits, connector, shot)
    if lens is not None:
        said = "calibration certificate"
        old = connector.cameras[shot.view]
        at = next(number for number, each in enumerate(camera.quantities) if each.key[-1] == "focal_mm")
        camera.quantities[at] = replace(camera.quantities[at], reason=said)
        found.append(Quantity(view_key(shot, "distortion"), list(old.distortion), list(lens.distortion), None, said))
    misfits = {each.lighting: each.misfit for each in done.fits}
    quantities, notes = [*camera.quantities, *found], [*notes, *camera.unstated]
    left_out |= done.left_out
    result = Matched(done.used, left_out, done.fitted, camera, seen.lighting, misfits, quantities, notes)
    say("sensor and lens")
    _sensor_and_lens(result, seen, done.renders, done.edges)
    labels = [labels_of(each, connector) for each in done.renders]
    result.quantities += _varied(done.used, done.renders, connector, labels) + _kept(connector, seen)
    return result


def _start(photos: Sequence[Photo], shot: Shot) -> tuple[list[Photo], list[np.ndarray], dict[str, str]]:
    (render,) = render_all(shot, [Wanted()], "start")
    starter = Starter(render)
    used, poses, scores = [], [], {}
    for photo in photos:
        pose, score = starter.pose(Image.fromarray(photo.pixels))
        if score < LEAST_SCORE:
            scores[photo.name] = score
        else:
            used.append(photo)
            poses.append(pose)
    if not used:
        best = max(scores.values())
        raise InputError(
            f"PHOTO: expected photographs of {shot.housing} {shot.terminal} by the camera {shot.view}, upright within "
            f"10 degrees and within a third of the size that the scene's camera gives, got none whose edges agree by "
            f"{LEAST_SCORE} or more with a render's (best: {best:.2f})"
        )
    left_out = {
        name: f"its edges agree by only {score:.2f} with a render's, not {LEAST_SCORE}"
        for name, score in scores.items()
    }
    return used, poses, left_out


def _fit_camera(
    used: list[Photo],
    poses: list[np.ndarray],
    shot: Shot,
    seen: Shot,
    lens: CalibratedCamera | None,
    lens_sd: float,
    say: Say,
) -> CameraFit:
    """Fit the camera in rounds; after the first, the light.

    Raises:
        InputError: all photographs lack many of the render's edges.
    """
    connector = seen.connector()
    values: dict[Key, Any] = {}
    lens_values: dict[Key, Any] = {}
    fits: list[LightFit] = []
    left_out: dict[str, str] = {}
    variance = 0.0
    for number, reach in enumerate(_REACH_PX):
        say(f"camera, round {number + 1} of {len(_REACH_PX)}")
        samples = SAMPLES if number else None
        wanted = [Wanted({**values, **lens_values, **_still(seen)}, pose, samples=samples) for pose in poses]
        renders = render_all(seen, wanted, f"round{number}")
        # Edges beside sharp ones appear elsewhere if they are blurred.
        alike = [replace(each, pixels=blurred_picture(each.pixels, variance)) for each in renders]
        edges = [measure(photo.pixels, render, reach) for photo, render in zip(used, alike, strict=True)]
        kept, others = _seen(used, edges, seen) if number else (list(range(len(used))), {})
        left_out |= others
        used = [used[i] for i in kept]
        renders, edges = [renders[i] for i in kept], [edges[i] for i in kept]
        if 0 < number < len(_REACH_PX) - 1:
            variance = spreads([photo.pixels for photo in used], renders, edges).best()
        fitted = fit([each.camera for each in renders], edges, connector.shell, None if lens is None else lens_sd)
        poses = fitted.poses
        lens_values = _lens_values(fitted, connector, seen)
        if number == 0 or others:
            say("light")
            some = np.linspace(0, len(used) - 1, min(_LIGHT_PHOTOGRAPHS, len(used))).round().astype(int).tolist()
            pictures, places = [used[i].pixels for i in some], [poses[i] for i in some]
            fits = fit_light(shot, pictures, places, lens_values, f"light{number}")
            found, _ = light_quantities(fits, connector, shot)
            values = {each.key: each.value for each in found if each.value is not None}
            seen = replace(seen, lighting=fits[0].lighting)
    return CameraFit(used, left_out, fitted, fits, renders, edges)


def _seen(used: Sequence[Photo], edges: Sequence[Edges], shot: Shot) -> tuple[list[int], dict[str, str]]:
    """Return the numbers of the photographs that show the part as the camera does; names of the others, and why."""
    kept = [number for number, each in enumerate(edges) if each.share >= _LEAST_SHARE]
    if not kept:
        best = max(each.share for each in edges)
        raise InputError(
            f"PHOTO: expected photographs of {shot.housing} {shot.terminal} by the camera {shot.view}, upright within "
            f"10 degrees, got none that has {_LEAST_SHARE:.0%} of the edges of a render (best: {best:.1%}): another "
            "part, housing or terminal, another camera, turned, or very blurred"
        )
    others = {
        used[number].name: f"it has only {each.share:.0%} of the edges of a render, not {_LEAST_SHARE:.0%}"
        for number, each in enumerate(edges)
        if number not in kept
    }
    return kept, others


def _still(shot: Shot) -> dict[Key, Any]:
    """Values of a camera without blur by its lens or by motion."""
    return {view_key(shot, "f_number"): 0.0, view_key(shot, "motion_mm"): 0.0}


def _lens_values(fitted: Fitted, connector: Connector, shot: Shot) -> dict[Key, Any]:
    rig = connector.cameras[shot.view]
    if rig.field_mm:
        return {view_key(shot, "field_mm"): connector.width / fitted.focal_px}
    return {view_key(shot, "focal_mm"): fitted.focal_px * rig.sensor_width_mm / connector.width}


def _sensor_and_lens(result: Matched, shot: Shot, renders: Sequence[Rendered], edges: Sequence[Edges]) -> None:
    """Fit noise and blur, render the fitted scene, and compare it with the photographs; adds to `result`."""
    connector, fitted = shot.connector(), result.fitted
    photographs = [photo.pixels for photo in result.used]
    values = result.values()
    lens_values = _lens_values(fitted, connector, shot)
    balance = values.get(("sensor", "white_balance"), connector.sensor.white_balance)
    noise = transfer(_samples(photographs, renders, fitted), balance)
    before = connector.sensor.full_well_e, connector.sensor.read_noise_e
    result.quantities += noise_quantities(noise, before, any(photo.is_jpeg for photo in result.used))
    look = {key: value for key, value in result.values().items() if key[0] not in ("camera", "nuisance", "scatter")}
    look |= lens_values

    heights, upright = _heights(result, connector, shot)
    twins = Twins(shot, look, fitted.poses, heights, upright)
    spread_pair = _lens(result, twins, renders, edges)
    result.differences = _differences(photographs, result.renders, renders, spread_pair, noise, balance, connector)


def _lens(result: Matched, twins: Twins, renders: Sequence[Rendered], edges: Sequence[Edges]) -> tuple[float, float]:
    """Fit the blur, and render the fitted scene; adds to `result`.

    Returns:
        How much wider edges are than in a sharp render, px^2: those of the photographs, and of the fitted scene.
    """
    shot, fitted, photographs = twins.shot, result.fitted, [photo.pixels for photo in result.used]
    connector = shot.connector()
    scene = shot.connector(result.values())
    lens = replace(renders[0].camera.lens, focal_px=fitted.focal_px)
    cameras = [
        replace(each.camera, matrix_world=pose, lens=lens) for each, pose in zip(renders, fitted.poses, strict=True)
    ]
    ours = spreads(photographs, renders, edges, cameras)
    sharp_twins = twins.render(_still(shot), "sharp")
    sharp = _spreads_of(sharp_twins, renders, cameras)
    wider = widening(ours, sharp, cameras[0])

    def lens_of(blur: Blur) -> list[Quantity]:
        place = float(np.median(twins.heights)), twins.upright
        found = blur_quantities(blur, shot, scene, _focal_mm(fitted, connector, shot), place, wider.mean)
        if blur.kind in LENS_KINDS and connector.samples < SAMPLES:
            said = "an open lens needs this many light paths"
            found.append(Quantity(("picture", "samples"), connector.samples, SAMPLES, None, said))
        return found

    def rendered(blur: Blur, name: str, clean: Sequence[int] = ()) -> list[Rendered]:
        values = _still(shot) | {each.key: each.value for each in lens_of(blur) if each.value is not None}
        return twins.render(values, name, blur.focus_or_azimuth if blur.kind in LENS_KINDS else None, clean)

    most = min(_BLUR_PHOTOGRAPHS, len(photographs), max(1, _BLUR_PIXELS // (connector.width * connector.height)))
    some = np.linspace(0, len(photographs) - 1, most + 2)[1:-1].round().astype(int).tolist()
    tries = itertools.count()
    of_some = [photographs[i] for i in some], [edges[i] for i in some]
    blur = choose(wider, ours, *of_some, lambda blur: rendered(blur, f"kind{next(tries)}", some))
    best, first = Blur("none"), blur
    result.renders, theirs = sharp_twins, sharp
    for step in range(_BLUR_STEPS if blur.kind != "none" else 0):
        tried = rendered(blur, f"blurred{step}")
        spread = _spreads_of(tried, renders, cameras)
        if abs(spread.best() - ours.best()) < abs(theirs.best() - ours.best()):
            best, result.renders, theirs = blur, tried, spread
        added = spread.best() - sharp.best()
        if added < _LEAST_ADDED or ours.best() - sharp.best() < _LEAST_ADDED:
            break
        blur = blur.scaled((ours.best() - sharp.best()) / added)
    result.quantities += lens_of(best.doubted(first) if best.kind != "none" else best)
    if ours.best() >= VARIANCES[-1]:
        result.notes.append(
            f"edges are wider than {width_px(VARIANCES[-1]):.1f} px (standard deviation), the largest width that is "
            "found: the size of the blur is too small"
        )
    return ours.best(), theirs.best()


def _spreads_of(others: Sequence[Rendered], renders: Sequence[Rendered], cameras: Sequence[Camera]) -> Spreads:
    pictures = [each.pixels for each in others]
    edges = [measure(picture, render, _REACH_PX[-1]) for picture, render in zip(pictures, renders, strict=True)]
    return spreads(pictures, renders, edges, cameras)


def _differences(
    photographs: Sequence[np.ndarray],
    others: Sequence[Rendered],
    renders: Sequence[Rendered],
    variances: tuple[float, float],
    noise: Transfer | None,
    balance: Sequence[float],
    connector: Connector,
) -> Differences:
    pictures = [each.pixels for each in others]
    labels = [labels_of(each, connector) for each in others]
    samples = [Sample(a, b.pixels, flat_areas(b.pixels)) for a, b in zip(pictures, renders, strict=True)]
    return Differences(
        regions_of(photographs, pictures, labels),
        (width_px(variances[0]), width_px(variances[1])),
        noise_of(noise, transfer(samples, balance)),
        domain_auroc(photographs, pictures),
    )


def _samples(photographs: Sequence[np.ndarray], renders: Sequence[Rendered], fitted: Fitted) -> list[Sample]:
    """Photographs with what they show without noise: a repeat where there is one, else a render."""
    corners = np.array([(x, y, z) for x in (-10.0, 10.0) for y in (-5.0, 5.0) for z in (-8.0, 0.0)])
    pixels = [
        replace(each.camera, matrix_world=pose).project(corners)
        for each, pose in zip(renders, fitted.poses, strict=True)
    ]
    found = []
    for number, (photograph, render) in enumerate(zip(photographs, renders, strict=True)):
        apart = [float(np.abs(pixels[other] - pixels[number]).max()) for other in range(number)]
        flat = flat_areas(render.pixels)
        if apart and min(apart) < SAME_PX:
            found.append(Sample(photograph, photographs[int(np.argmin(apart))], flat, is_repeat=True))
        else:
            found.append(Sample(photograph, render.pixels, flat))
    repeats = [each for each in found if each.is_repeat]
    return repeats if 2 * len(repeats) >= len(found) else found


def _focal_mm(fitted: Fitted, connector: Connector, shot: Shot) -> float:
    rig = connector.cameras[shot.view]
    return rig.focal_mm if rig.field_mm else fitted.focal_px * rig.sensor_width_mm / connector.width


def _heights(result: Matched, connector: Connector, shot: Shot) -> tuple[list[float], float]:
    """z of the camera on the station in each photograph, mm, and the cosine of the angle of its axis to Z."""
    rig = connector.cameras[shot.view]
    angle = float(result.values().get(view_key(shot, "angle_deg"), rig.angle_deg))
    upright = 1.0 if shot.view == "center" else float(np.cos(np.radians(angle)))
    distances = [in_station(pose, shot.view, angle, rig.target_mm[2])[2] for pose in result.fitted.poses]
    return [rig.target_mm[2] + upright * distance for distance in distances], upright


def _varied(
    used: Sequence[Photo], renders: Sequence[Rendered], connector: Connector, labels: Sequence[np.ndarray]
) -> list[Quantity]:
    """The ranges of exposure, white balance and table from photograph to photograph."""
    nuisance, rows = connector.nuisance, []
    for photo, render, label in zip(used, renders, labels, strict=True):
        ratio = np.log2(means(photo.pixels, label) / means(render.pixels, label))
        table, part = ratio[:QUADRANTS], ratio[(TABLE + 1) * QUADRANTS :]
        if np.isfinite(part).any() and np.isfinite(table).any():
            exposure, shade = float(np.nanmedian(part[:, 1])), float(np.nanmedian(table[:, 1]))
            warmth = float(np.nanmedian(ratio[:, 0] - ratio[:, 2])) * np.log(2.0) / 2.0
            rows.append((exposure, shade - exposure, warmth))
    found = []
    for number, name in enumerate(("exposure", "fixture_shade", "white_balance")):
        before = getattr(nuisance, name)
        key: Key = ("nuisance", name)
        if len(rows) < 5:
            found.append(Quantity(key, before, None, None, "fewer than 5 photographs"))
            continue
        each = uniform_range([row[number] for row in rows], (0.03, 0.03, 0.005)[number], before)
        if each.half_sd > 0.5 * each.half:
            found.append(Quantity(key, before, None, None, "too little spread"))
        else:
            said = "spread over the photographs, in which lamps and colours of single parts vary, too"
            found.append(Quantity(key, before, each.half, 2.0 * each.half_sd, said))
    return found


def _kept(connector: Connector, shot: Shot) -> list[Quantity]:
    """Values that no step determines, each with the reason."""
    rig, light = connector.cameras[shot.view], connector.lightings[shot.lighting]
    housing, key = connector.housings[shot.housing].walls, ("lighting", shot.lighting)
    place = "only the scene's own light set-ups are compared, none at other places or of other sizes"
    own: list[tuple[Key, Any, str]] = [
        ((*key, name), getattr(light, name), place) for name in ("height_mm", "radius_mm", "width_mm", "azimuth_deg")
    ]
    matt = "gloss cannot be told from the light's size"
    own += [
        (("housings", shot.housing, "roughness"), housing.roughness, matt),
        (view_key(shot, "vignetting"), rig.vignetting, "cannot be told from the light's fall-off"),
        (("nuisance", "light_power"), connector.nuisance.light_power, "counted as exposure"),
        (("nuisance", "light_azimuth_deg"), connector.nuisance.light_azimuth_deg, "not looked for"),
        (("nuisance", "focus_mm"), connector.nuisance.focus_mm, "not looked for in single photographs"),
        (("sensor", "hot_pixels"), connector.sensor.hot_pixels, "not looked for"),
    ]
    if shot.terminal in connector.terminals:
        terminal = connector.terminals[shot.terminal]
        said = "taken as the scene states it; the exposure and the white balance follow from it"
        own += [
            (("terminals", shot.terminal, "color"), list(terminal.color), said),
            (("terminals", shot.terminal, "roughness"), terminal.roughness, matt),
        ]
    return [Quantity(place, before, None, None, reason) for place, before, reason in own]


def photo_of(path: Path, picture: Image.Image) -> Photo:
    """Return a photograph; `picture` is its file `path`, opened."""
    with path.open("rb") as file:
        is_jpeg = file.read(2) == b"\xff\xd8"
    return Photo(path.name, np.asarray(picture.convert("RGB")), is_jpeg)
