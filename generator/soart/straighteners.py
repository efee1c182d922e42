"""Make what straightens the photographs of `generator inspect --model`, and compare it with that of a unit space."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError
from generator.locating.cameras import chosen_camera
from generator.locating.drawings import StatedDrawing
from generator.locating.gauge_file import GaugeFile, read_gauge_file
from generator.locating.straightening import Straightener
from generator.soart.inspection import STRAIGHTENED

# Options of which connector and camera the photographs show.
OF_MODEL = ("scene", "housing", "terminal", "camera")


def straightener_of(options: argparse.Namespace) -> Straightener | None:
    """Return what straightens all photographs; None without --model.

    Raises:
        InputError: the gauge cannot be read, or has no such connector or camera.
    """
    if options.model is None:
        return None
    held, drawing = _held(options)
    return _straightener(held, drawing, chosen_camera(drawing.cameras, options.camera, "--camera"))


def straighteners_of(options: argparse.Namespace, views: Sequence[str]) -> dict[str, Straightener]:
    """Return what straightens the photographs of each view; empty without --model; raises like `straightener_of`."""
    if options.model is None:
        return {}
    held, drawing = _held(options)
    return {view: _straightener(held, drawing, view) for view in views}


def check_agreement(place: Path, notes: Mapping[str, Any], straightener: Straightener | None, view: str = "") -> None:
    """Check that a saved unit space was made of pictures that were straightened in the same way, or of none.

    Args:
        place: the unit space's file.
        notes: notes of its model; `straightened` is the `Straightener.key`.
        straightener: what will straighten the photographs; None: they are compared as they are.
        view: name of the unit space's view, if there are several.

    Raises:
        InputError: they differ.
    """
    saved, given = notes.get(STRAIGHTENED), None if straightener is None else straightener.key
    if saved == given:
        return
    raise InputError(
        f"{place}: {f'view {view}: ' if view else ''}expected the options --model, --scene, --housing, --terminal and "
        f"--camera with which it was made ({_words(saved)}), got {_words(given)}"
    )


def _words(key: Mapping[str, Any] | None) -> str:
    if not isinstance(key, Mapping):
        return "no --model"
    return f"gauge {str(key.get('gauge'))[:8]}, connector {' '.join(key.get('connector', []))}, view {key.get('view')}"


def _held(options: argparse.Namespace) -> tuple[GaugeFile, StatedDrawing]:
    held = read_gauge_file(options.model)
    return held, held.drawing(options.scene, options.housing, options.terminal)


def _straightener(held: GaugeFile, drawing: StatedDrawing, view: str) -> Straightener:
    return Straightener(held.gauge, held.weights_sha256, drawing, view)
