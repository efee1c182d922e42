"""`python -m generator match`: fit what a scene says of its station to photographs of good parts.

    python -m generator match photos/ --scene connector_3x9 -o matched.toml

Beside the scene file it writes matched.json, with intervals and all that was not determined, and matched.html, a page
with photographs beside renders of the fitted scene.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.connector import PICTURE_PX, SCENE_NAME, read_connector
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.scratch import Scratch
from blender_scripts.contract.station import CAMERAS
from blender_scripts.manifest.marking import too_wide, wrong_marking
from generator.doe.check import add_scenes_argument
from generator.io.certificate import CalibratedCamera, Certificate, read_certificate
from generator.io.checksum import sha256_of
from generator.io.number_option import check_workers, whole_number
from generator.io.output_file import check_file, write_together
from generator.io.photo_folder import photographs_in
from generator.io.pictures import is_picture, open_picture, pixels_sha256
from generator.io.wording import some_of
from generator.matching.fitting import Matched, Photo, match_photographs, photo_of
from generator.matching.page import make_page
from generator.matching.renders import Shot, write_scene
from generator.matching.scene_text import with_values

SCHEMA = "pinsight-match/1"
MOST_PHOTOGRAPHS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator match` to its parser."""
    add = parser.add_argument
    photos = "1 to 30 photographs of good parts by one camera of the station, or a folder of them"
    add("photos", nargs="+", type=Path, metavar="PHOTO", help=photos)
    add("--scene", required=True, metavar="NAME", help="the scene to begin from, a file of the folder --scenes")
    scene = "scene file to write; a JSON file and a page of the same name are written beside it"
    add("-o", "--output", type=Path, required=True, metavar="SCENE.toml", help=scene)
    add("--housing", metavar="NAME", help="the parts' housing (default: the scene's first)")
    add("--terminal", metavar="NAME", help="the parts' terminal or mix (default: the scene's first)")
    add("--camera", default="center", choices=CAMERAS, help="the camera that took the photographs (default: center)")
    lighting = "the light set-up of the photographs (default: the one of the scene that fits best)"
    add("--lighting", metavar="NAME", help=lighting)
    add("--marking", default="none", metavar="TEXT", help="print on the housings, as in a manifest (default: none)")
    lens = "calibration certificate by `generator calibrate`; focal length and distortion are then taken from it"
    add("--calibration", type=Path, metavar="FILE.json", help=lens)
    add("--workers", type=whole_number, metavar="N", help="number of renderer processes (default: one per core)")
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Fit the scene and write scene file, JSON file and page; returns 0."""
    files = _files(options.photos)
    inputs = [*files, *([options.calibration] if options.calibration else [])]
    _check_output(options.output, inputs)
    check_workers(options.workers)
    if not SCENE_NAME.fullmatch(options.scene):
        raise InputError(f"--scene: expected the name of a scene, without .toml, got {shown(options.scene)}")
    path = options.scenes / f"{options.scene}.toml"
    if options.output.resolve() == path.resolve():
        raise InputError(f"-o: expected another file than the scene {path}, got the same")
    connector = read_connector(path)
    housing = _named("--housing", options.housing, list(connector.housings))
    terminal = _named("--terminal", options.terminal, list(connector.terminal_names))
    if options.lighting is not None:
        _named("--lighting", options.lighting, list(connector.lightings))
    if wrong := wrong_marking(options.marking) or too_wide(options.marking, connector):
        raise InputError("--marking: expected {}, got {}".format(*wrong))
    photos = _photographs(files)
    height, width = photos[0].pixels.shape[:2]
    copies = _copies(photos)
    if options.calibration and connector.cameras[options.camera].field_mm:
        raise InputError(
            f"--calibration {options.calibration}: expected a pinhole camera {options.camera} in {path}, got a "
            "telecentric one; leave out --calibration, and field_mm is determined from the photographs"
        )
    certificate = None if options.calibration is None else read_certificate(options.calibration)
    lens, lens_sd = _lens(certificate, options.calibration, options.camera, width, height)
    original = path.read_bytes().decode("utf-8-sig")
    text = with_values(original, {("picture", "width"): width, ("picture", "height"): height}, path.name)
    with contextlib.closing(Scratch()) as scratch, tqdm(desc="matching", disable=not sys.stderr.isatty()) as bar:
        shot = Shot(
            path, text, housing, terminal, options.camera, options.lighting or "", options.marking, scratch.folder,
            options.workers or 0,
        )  # fmt: skip

        def say(step: str) -> None:
            bar.set_description(step)
            bar.update()
            if bar.disable:
                sys.stderr.write(f"... {step}\n")

        matched = match_photographs([each for each in photos if each.name not in copies], shot, lens, lens_sd, say)
        matched.left_out = {**copies, **matched.left_out}
        fitted_text = with_values(text, matched.values(), path.name)
        read_connector(write_scene(shot, "result", fitted_text))
    # A kill while the three files are written leaves the scene file alone: this tells it from the others' own.
    digest = hashlib.sha256(fitted_text.encode()).hexdigest()
    document = _document(matched, photos, files, options, certificate) | {"scene_file_sha256": digest}
    content = json.dumps(document, indent=1, allow_nan=False) + "\n"
    texts = {".toml": fitted_text, ".json": content, ".html": make_page(matched, document)}
    write_together({options.output.with_suffix(suffix): text.encode() for suffix, text in texts.items()})
    _report(matched, options.output)
    return 0


def _files(given: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            files += photographs_in(path)
        elif is_picture(path):
            files.append(path)
        else:
            got = "another kind of file" if path.exists() else "no such path"
            raise InputError(f"{path}: expected a photograph or a folder of them, got {got}")
    first: dict[Path, Path] = {}
    again = [str(file) for file in files if first.setdefault(file.resolve(), file) is not file]
    if again:
        sys.stderr.write(f"photographs that were given before, so that they count once: {some_of(again)}\n")
    files = list(first.values())
    if not 1 <= len(files) <= MOST_PHOTOGRAPHS:
        raise InputError(f"PHOTO: expected 1 to {MOST_PHOTOGRAPHS} photographs, got {len(files)}")
    return files


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    """Check that the three files can be written, and that a manifest can name the scene."""
    check_file(output, "-o", (".toml",), inputs)
    for suffix in (".json", ".html"):
        check_file(output.with_suffix(suffix), "-o", (suffix,), inputs)
    if not SCENE_NAME.fullmatch(output.stem):
        expected = "a scene's name (1 to 64 letters without accents, digits, _ and -) and .toml"
        raise InputError(f"-o: expected {expected}, got {shown(output.name)}")


def _photographs(files: Sequence[Path]) -> list[Photo]:
    """Open the photographs, all of one size. The name of a photograph is its file's, or if two have it, the path."""
    count = Counter(file.name for file in files)
    photos = []
    for file in files:
        photo = photo_of(file, open_picture(file, str(file)))
        photos.append(photo if count[file.name] == 1 else replace(photo, name=str(file)))
    height, width = photos[0].pixels.shape[:2]
    least, most = PICTURE_PX
    if not (least <= min(height, width) and max(height, width) <= most):
        raise InputError(f"{files[0]}: expected a photograph of {least} to {most} px a side, got {width} x {height} px")
    for file, photo in zip(files, photos, strict=True):
        if photo.pixels.shape[:2] != (height, width):
            size = "{1} x {0}".format(*photo.pixels.shape)
            raise InputError(f"{file}: expected {width} x {height} px, as the first photograph has, got {size} px")
    return photos


def _copies(photos: Sequence[Photo]) -> dict[str, str]:
    """Return why photographs are left out as copies, by name: their noise is that of the original, no other sample."""
    first: dict[str, str] = {}
    named = [(photo.name, pixels_sha256(Image.fromarray(photo.pixels))) for photo in photos]
    originals = {name: first.setdefault(sha256, name) for name, sha256 in named}
    return {
        name: f"it has the same pixels as {original}, and a copy shows nothing more"
        for name, original in originals.items()
        if name != original
    }


def _named(option: str, name: str | None, offered: list[str]) -> str:
    if name is not None and name not in offered:
        raise InputError(f"{option}: expected one of {', '.join(offered)}, got {shown(name)}")
    return name or offered[0]


def _lens(
    certificate: Certificate | None, path: Path, view: str, width: int, height: int
) -> tuple[CalibratedCamera | None, float]:
    """The calibrated camera of the photographs, and the standard deviation of the logarithm of its focal length."""
    if certificate is None:
        return None, 0.0
    if certificate.expiry:
        sys.stderr.write(f"WARNING: --calibration {path}: {certificate.expiry}\n")
    if view not in certificate.cameras:
        listed = ", ".join(certificate.cameras)
        raise InputError(f"--calibration {path}: expected a camera {view}, as --camera states, got {listed}")
    lens = certificate.cameras[view]
    if abs(lens.width * height - lens.height * width) > 0.01 * lens.width * height:
        raise InputError(
            f"--calibration {path}: expected pictures with the photographs' ratio of width to height, {width} to "
            f"{height}, got {lens.width} to {lens.height}"
        )
    at = certificate.parameters.index(f"{view}.f")
    return lens, math.sqrt(float(certificate.covariance[at, at])) / lens.fx


def _document(
    matched: Matched,
    photos: list[Photo],
    files: list[Path],
    options: argparse.Namespace,
    certificate: Certificate | None,
) -> dict[str, Any]:
    used = {photo.name: pose for photo, pose in zip(matched.used, matched.fitted.poses, strict=True)}
    ratio, u = matched.camera.ratio, matched.camera.ratio * matched.camera.ratio_u
    listed = []
    for file, photo in zip(files, photos, strict=True):
        entry: dict[str, Any] = {"file": photo.name, "sha256": sha256_of(file)}
        pose = used.get(photo.name)
        entry["camera_matrix"] = None if pose is None else np.round(pose, 6).tolist()
        listed.append(entry | {"not_used": matched.left_out.get(photo.name)})
    return {
        "schema": SCHEMA,
        "scene": options.scene,
        "camera": options.camera,
        "lighting": matched.lighting,
        "lighting_misfits": {name: round(value, 3) for name, value in matched.misfits.items()},
        "calibration": certificate
        and {
            "file": options.calibration.name,
            "sha256": sha256_of(options.calibration),
            "expires": f"{certificate.expires:%Y-%m-%d}",
            "expired": certificate.is_expired(),
        },
        "photographs": listed,
        "focal_px": matched.fitted.focal_px,
        "focal_over_distance": {"value": ratio, "u": u, "interval": [ratio - u, ratio + u]},
        "edges": {"points": matched.fitted.points, "median_residual_px": matched.fitted.residual_px},
        "quantities": [each.document() for each in matched.quantities],
        "notes": matched.notes,
        "differences": matched.differences.document() if matched.differences else None,
    }


def _report(matched: Matched, output: Path) -> None:
    lines = [f"{name}: not used: {reason}" for name, reason in matched.left_out.items()]
    ratio = matched.camera.ratio
    lines.append(f"focal length / distance: {ratio:.5f} (U {matched.camera.ratio_u:.2%})")
    for each in matched.quantities:
        name = ".".join(each.key)
        if each.value is None:
            lines.append(f"{name}: not determined ({each.reason})")
        else:
            u = "" if each.u is None else f" (U {each.u:.2g})"
            value = each.value if isinstance(each.value, list) else [each.value]
            lines.append(f"{name}: {', '.join(f'{number:.4g}' for number in value)}{u}")
    lines += [*matched.notes, f"wrote {output}, {output.with_suffix('.json').name}, {output.with_suffix('.html').name}"]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
