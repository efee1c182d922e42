"""Renders rows of a manifest, one after the other, in this Blender."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import bpy

from . import draws, versions
from .connector import Connector
from .manifest import Manifest, Run
from .optics import set_up_station
from .output_folder import OutputFolder
from .path_tracer import PathTracer
from .photograph import develop
from .placement import place_pins
from .png import encode_png
from .record import RENDERER, SCHEMA, row_sha256
from .stage import Stage
from .truth import Mask, Outlines, box_of, positions_truth, project_pins


class Renderer:
    """Turns rows into pictures, masks and records.

    Args:
        manifest: the checked manifest.
        output: where its rows go.
        mask_scale: mask pixels per picture pixel.
        threads: render threads, 0 = one per core.
        gpu: render on the graphics card.
        denoise: use the denoiser where this Blender has one.
    """

    def __init__(
        self,
        manifest: Manifest,
        output: OutputFolder,
        mask_scale: int = 4,
        threads: int = 0,
        gpu: bool = False,
        denoise: bool = True,
    ) -> None:
        # Factory settings: nothing of the user's own set-up, and no script in a file may run.
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.preferences.filepaths.use_scripts_auto_execute = False
        bpy.context.preferences.filepaths.use_auto_save_temporary_files = False
        self.manifest = manifest
        self.output = output
        self.mask_scale = mask_scale
        self.scratch = Path(tempfile.mkdtemp(prefix="pinsight-"))
        self.tracer = PathTracer(self.scratch, threads, gpu, denoise)
        self.stage = Stage()
        self.blender = versions.blender_version()

    def close(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _sha256(self, run: Run) -> str:
        settings = f"{self.tracer.fingerprint} mask {self.mask_scale}"
        return row_sha256(run, self.manifest.connectors[run.scene], self.blender, settings)

    def render(self, run: Run, force: bool = False) -> bool:
        """Render one row unless it is finished; whether it was rendered."""
        sha256 = self._sha256(run)
        if not force and self.output.is_finished(run, sha256):
            return False
        connector = self.manifest.connectors[run.scene]
        pins = place_pins(connector, run.terminal, run.part, run.defects)
        station = set_up_station(
            connector.camera, connector.nuisance, run.camera, run.seed, run.width, run.height
        )
        self.stage.lay_out(connector, run.housing, run.marking, run.lighting, pins, station)
        noise = draws.integer(run.seed, "noise", run.camera)
        light = self.tracer.picture(run.width, run.height, run.samples, noise)

        outlines = project_pins(connector, pins, station.camera)
        mask = self._mask(outlines, run)
        record = {
            **self._head(run, sha256, connector),
            "camera": station.camera.as_record(),
            "tolerance": {
                "true_position_mm": connector.tolerance.true_position_mm,
                "retraction_mm": connector.tolerance.retraction_mm,
            },
            "housing": {
                "boxes": self._housing_boxes(run, station.camera.project(self.stage.housing_vertices))
            },
            "positions": positions_truth(pins, station.camera, outlines, mask),
            "other": [],
        }
        picture = develop(light, station.exposure)
        indices = mask.picture(run.width, run.height, len(pins))
        self.output.write(run.run, encode_png(picture), encode_png(indices), record)
        return True

    def _mask(self, outlines: Outlines, run: Run) -> Mask:
        scale = self.mask_scale
        bands = []
        self.stage.show_indices(True)
        for band in outlines.bands(run.width, run.height):
            corners = (scale * edge for edge in (band.x1, band.y1, band.x2, band.y2))
            bands.append((band, self.tracer.indices(run.width * scale, run.height * scale, *corners)))
        self.stage.show_indices(False)
        return Mask(scale, bands)

    def _head(self, run: Run, sha256: str, connector: Connector) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "run": run.run,
            "row": run.row(),
            "row_sha256": sha256,
            "renderer": RENDERER,
            "blender": self.blender,
            "image_sha256": "",
            "mask_sha256": "",
            "width": run.width,
            "height": run.height,
            "mask_scale": self.mask_scale,
            "scene_sha256": connector.sha256,
        }

    @staticmethod
    def _housing_boxes(run: Run, points: Any) -> dict[str, list[float] | None]:
        """Nothing stands before a housing that could hide its outline: it is visible where it is in the picture."""
        whole = box_of(points)
        low, high = (
            (max(whole[0], 0.0), max(whole[1], 0.0)),
            (min(whole[2], run.width), min(whole[3], run.height)),
        )
        visible = [*low, *high] if low[0] < high[0] and low[1] < high[1] else None
        return {"visible": visible, "amodal": whole, "expected": whole}
