"""`python -m generator calibrate`: calibrate a camera, or the cameras of a rig, from pictures of a target.

    python -m generator calibrate --print target.png --target charuco:11x8:10:7.5
    python -m generator calibrate photos/ --target charuco:11x8:10:7.5 -o camera.json
    python -m generator calibrate center=photos/center left=photos/left --target dots:11x9:2 -o rig.json

Take 10 to 30 pictures with each camera, with the target tilted by 15 to 45 degrees in all directions, and filling the
picture up to its corners. Pictures of several cameras that show the target at the same place need the same file name.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError, shown
from generator.calibrating.solve import DISTORTIONS, CameraModel, Sighting, Solution, solve
from generator.calibrating.target import A0_MM, LEAST_PRINTED_MM, Target
from generator.io.certificate import SCHEMA, dates, to_rig
from generator.io.number_option import number, whole_number
from generator.io.output_file import check_file, write_whole
from generator.io.photo_folder import photographs_in
from generator.io.pictures import is_picture, open_picture, pixels_sha256
from generator.io.wording import some_of
from generator.verdict.envelope import software

ONE_CAMERA = "center"
_FEWEST = 3
# What a warning is given for: fewer pictures, a smaller part of the picture with points, a weaker tilt, a focal length
# less certain (U, k = 2), a picture whose residual is so many times the median.
_FEW, _COVERED, _TILT_DEG, _FOCAL_U, _WORSE = 10, 0.6, 15.0, 0.003, 3.0
_GRID = 8
_PRINT_DPI = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator calibrate` to its parser."""
    photos = "pictures of the target, or folders of them; for a rig of cameras, CAMERA=FOLDER for each camera"
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help=photos)
    parser.add_argument(
        "--target",
        required=True,
        metavar="TARGET",
        help="chessboard with markers, charuco:COLUMNSxROWS:SQUARE_MM:MARKER_MM[:DICTIONARY] (number of squares, side "
        "of a square, side of a marker, marker dictionary of OpenCV), or grid of dots, dots:COLUMNSxROWS:PITCH_MM",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json", help="file for the calibration certificate")
    drawing = (
        f"only draw the target, as a picture to print: at most A0 ({A0_MM[0]} x {A0_MM[1]} mm) with a border of one "
        f"square or pitch, squares or pitch at least {LEAST_PRINTED_MM} mm"
    )
    parser.add_argument("--print", type=Path, metavar="FILE.png", help=drawing)
    parser.add_argument(
        "--distortion",
        default="auto",
        choices=("auto", *DISTORTIONS),
        help="terms of lens distortion to fit; auto: those with the smallest Bayesian information criterion (BIC)",
    )
    temperature = "temperature at calibration, degrees Celsius, to be written into the certificate"
    parser.add_argument("--temperature", type=number, metavar="C", help=temperature)
    parser.add_argument(
        "--valid-days",
        type=whole_number,
        default=365,
        metavar="N",
        help="days until the certificate expires (default 365)",
    )


def run(options: argparse.Namespace) -> int:
    """Calibrate and write the certificate, or only draw the target (--print); returns 0.

    Raises:
        InputError: an option or picture is wrong, or the pictures do not determine the cameras; no file is written.
    """
    target = Target.of_text(options.target)
    if options.print:
        check_file(options.print, "--print", (".png",))
        _print_target(target, options.print)
        return 0
    if options.output is None:
        raise InputError("-o: expected a file name for the certificate, such as camera.json, got nothing")
    if not 1 <= options.valid_days <= 36500:
        raise InputError(f"--valid-days: expected 1 to 36500 days, got {options.valid_days}")
    if options.temperature is not None and not -273.15 <= options.temperature <= 1000.0:
        raise InputError(f"--temperature: expected -273.15 to 1000 degrees Celsius, got {options.temperature:g}")
    files = _files(options.photos)
    check_file(options.output, "-o", (".json",), [path for paths in files.values() for path in paths])
    sightings, sizes, pictures = _look(files, target)
    solution = solve(sightings, sizes, options.distortion)
    warnings = _warnings(sightings, solution)
    document = _document(target, solution, sightings, pictures, warnings, options)
    write_whole(options.output, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())
    _report(document, options.output)
    return 0


def _print_target(target: Target, path: Path) -> None:
    target.check_printable(_PRINT_DPI / 25.4)
    drawn = Image.fromarray(target.picture(_PRINT_DPI / 25.4))
    # The resolution that makes a square its pitch, although squares are whole pixels.
    pitch = max(round(target.pitch_mm * _PRINT_DPI / 25.4), 8)
    dpi = 25.4 * pitch / target.pitch_mm
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", dpi=(dpi, dpi))
    write_whole(path, buffer.getvalue())
    width, height = (25.4 * side / dpi for side in drawn.size)
    print(f"wrote {path}: print it unscaled, {width:.1f} x {height:.1f} mm, and check a long distance on the print")


def _files(given: Sequence[str]) -> dict[str, list[Path]]:
    """The pictures by camera; without CAMERA= all are of one camera, `center`."""
    named = [text.partition("=") for text in given]
    rig = [bool(sign) and not Path(text).exists() for text, (_, sign, _) in zip(given, named, strict=True)]
    if not given or any(rig) != all(rig):
        raise InputError(
            "PHOTO: expected pictures or folders, or CAMERA=FOLDER for each camera, got " + shown(" ".join(given))
        )
    files: dict[str, list[Path]] = {}
    for text, (name, _, folder) in zip(given, named, strict=True):
        path = Path(folder if rig[0] else text)
        if not path.is_dir() and (rig[0] or not is_picture(path)):
            got = "no such path" if not path.exists() else "another kind of file"
            raise InputError(f"{path}: expected a folder of pictures{'' if rig[0] else ' or a picture'}, got {got}")
        camera = name if rig[0] else ONE_CAMERA
        if rig[0] and (camera in files or not camera.isidentifier()):
            raise InputError(
                f"{text}: expected CAMERA=FOLDER with a name for each camera that no other camera has (letters, digits "
                f"and _, no digit first), got the name {shown(camera)}"
            )
        files.setdefault(camera, []).extend(photographs_in(path) if path.is_dir() else [path])
    return files


def _look(
    files: Mapping[str, list[Path]], target: Target
) -> tuple[list[Sighting], dict[str, tuple[int, int]], list[dict[str, Any]]]:
    """Find the target in every picture: sightings, picture sizes by camera, and an entry for each picture."""
    sightings: list[Sighting] = []
    sizes: dict[str, tuple[int, int]] = {}
    pictures: list[dict[str, Any]] = []
    first: dict[str, tuple[str, Path]] = {}
    for camera, paths in files.items():
        for path in tqdm(paths, desc=f"finding the target in pictures of {camera}", unit="picture", disable=None):
            picture = open_picture(path, str(path))
            grey = np.asarray(picture.convert("L"))
            size = (grey.shape[1], grey.shape[0])
            if sizes.setdefault(camera, size) != size:
                expected = "{} x {}".format(*sizes[camera])
                raise InputError(
                    f"{path}: expected {expected} px, as the camera's first picture has, got {size[0]} x {size[1]} px"
                )
            numbers, pixels = target.find(grey)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            pictures.append({"file": path.name, "camera": camera, "sha256": sha256, "points": len(numbers)})
            own = camera, path
            by, original = first.setdefault(pixels_sha256(picture), own) if len(numbers) else own
            if (by, original) != own and len(files) > 1:
                raise InputError(
                    f"{path}: expected a picture of its own by camera {camera}, got a copy of {original}, by camera "
                    f"{by}: which placing of the target it shows is not known, so remove both"
                )
            if original != path:
                pictures[-1]["copy_of"] = original.name
            elif len(numbers):
                sightings.append(Sighting(camera, path.stem, target.points_mm[numbers], pixels))
        seen = sum(sighting.camera == camera for sighting in sightings)
        if seen < _FEWEST:
            raise InputError(
                f"camera {camera}: expected at least {_FEWEST} pictures that show the target {target.kind} "
                f"{target.columns} x {target.rows}, got {seen} of {len(paths)}"
            )
    doubled = [key for key, count in Counter((s.camera, s.placing) for s in sightings).items() if count > 1]
    if doubled:
        raise InputError(
            f"camera {doubled[0][0]}: expected pictures with different names, got two named {shown(doubled[0][1])}"
        )
    return sightings, sizes, pictures


def _warnings(sightings: Sequence[Sighting], solution: Solution) -> list[str]:
    """What makes the calibration weaker than it could be, one sentence each."""
    found = []
    for name, camera in solution.cameras.items():
        mine = [i for i, sighting in enumerate(sightings) if sighting.camera == name]
        pixels = np.concatenate([sightings[i].pixels for i in mine])
        covered = _covered(pixels, camera)
        tilted = int((solution.tilt_deg[mine] >= _TILT_DEG).sum())
        u_focal = 2.0 * np.sqrt(solution.covariance[(solution.names.index(f"{name}.f"),) * 2]) / camera.focal
        if len(mine) < _FEW:
            found.append(f"camera {name}: only {len(mine)} pictures show the target; take {_FEW} to 30")
        if covered < _COVERED:
            found.append(
                f"camera {name}: the target was seen in {covered:.0%} of the picture's area; show it in the corners too"
            )
        if tilted < _FEWEST:
            found.append(
                f"camera {name}: pictures with the target tilted by {_TILT_DEG:.0f} degrees or more: {tilted}; take "
                f"at least {_FEWEST}"
            )
        if u_focal > _FOCAL_U:
            found.append(
                f"camera {name}: the focal length has an expanded uncertainty (k = 2) of {u_focal:.2%}, more than "
                f"{_FOCAL_U:.2%}; take more pictures, with larger tilts"
            )
    median = float(np.median(solution.rms))
    for sighting, rms in zip(sightings, solution.rms, strict=True):
        if rms > _WORSE * median:
            found.append(
                f"picture {sighting.placing} of camera {sighting.camera}: residual {rms:.2f} px, median of all "
                f"pictures {median:.2f} px; check this picture"
            )
    return found


def _covered(pixels: np.ndarray, camera: CameraModel) -> float:
    """The share of a grid of 8 x 8 fields of the picture that hold points."""
    fields = np.floor(pixels / (camera.width, camera.height) * _GRID).clip(0, _GRID - 1)
    return len(np.unique(fields, axis=0)) / _GRID**2


def _document(
    target: Target,
    solution: Solution,
    sightings: Sequence[Sighting],
    pictures: list[dict[str, Any]],
    warnings: list[str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    places = {(s.camera, s.placing): i for i, s in enumerate(sightings)}
    for picture in pictures:
        at = places.get((picture["camera"], Path(picture["file"]).stem))
        # A picture without the target, or a copy, may differ from it in suffix only.
        if at is not None and picture["points"] and "copy_of" not in picture:
            picture |= {"rms_px": round(float(solution.rms[at]), 4), "tilt_deg": round(float(solution.tilt_deg[at]), 2)}
    u = 2.0 * np.sqrt(np.diag(solution.covariance))
    return {
        "schema": SCHEMA,
        **dates(options.valid_days),
        "temperature_c": options.temperature,
        "software": f"{software()}, OpenCV {cv2.__version__}",
        "target": target.as_record(),
        "cameras": {name: _camera_record(name, solution, sightings) for name in solution.cameras},
        "parameters": list(solution.names),
        "u": {name: float(value) for name, value in zip(solution.names, u, strict=True)},
        "covariance": solution.covariance.tolist(),
        "pictures": pictures,
        "warnings": warnings,
    }


def _camera_record(name: str, solution: Solution, sightings: Sequence[Sighting]) -> dict[str, Any]:
    camera = solution.cameras[name]
    mine = np.array([sighting.camera == name for sighting in sightings])
    counts = np.array([len(sighting.pixels) for sighting in sightings])[mine]
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.focal,
        "fy": camera.focal,
        "cx": camera.centre[0],
        "cy": camera.centre[1],
        "distortion": list(camera.distortion),
        "distortion_fitted": camera.fitted,
        "matrix_rig": to_rig(camera.pose),
        "pictures": int(mine.sum()),
        "points": int(counts.sum()),
        "rms_px": float(np.sqrt(np.average(solution.rms[mine] ** 2, weights=counts))),
    }


def _report(document: Mapping[str, Any], path: Path) -> None:
    unseen = [picture["file"] for picture in document["pictures"] if not picture["points"]]
    for name, camera in document["cameras"].items():
        u = document["u"][f"{name}.f"]
        print(
            f"camera {name}: focal length {camera['fx']:.2f} px (expanded uncertainty {u:.2f}, k = 2), principal point "
            f"{camera['cx']:.2f}, {camera['cy']:.2f} px, distortion {camera['distortion_fitted']}; {camera['points']} "
            f"points in {camera['pictures']} pictures, residual {camera['rms_px']:.3f} px"
        )
    if unseen:
        print(f"pictures not used, as the target was not found in them: {', '.join(unseen)}")
    if copies := [f"{each['file']} (of {each['copy_of']})" for each in document["pictures"] if "copy_of" in each]:
        print(f"pictures not used, as they are copies: {some_of(copies)}")
    for warning in document["warnings"]:
        print(f"warning: {warning}")
    print(f"wrote calibration certificate {path}, valid until {document['expires'][:10]}")
