"""Renderer: renders rows of a manifest, one after the other, in the running Blender."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from blender_scripts.contract import draws
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.scratch import Scratch
from blender_scripts.contract.world import WIDE, World
from blender_scripts.geometry.lens import Window, bend_picture, bend_samples
from blender_scripts.geometry.optics import Camera, Station, set_up_station, widened
from blender_scripts.geometry.part import Part
from blender_scripts.geometry.sensor import develop, smear
from blender_scripts.geometry.soiled_lens import defocus, through_dirt
from blender_scripts.geometry.surfaces import sight_of
from blender_scripts.geometry.whole_boxes import edges_box, flaw_boxes_of, pin_boxes_of
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.record import RENDERER, SCHEMA, row_sha256
from blender_scripts.manifest.render_settings import RenderSettings
from blender_scripts.manifest.run import Run
from blender_scripts.scene import jpeg, versions
from blender_scripts.scene.path_tracer import PathTracer
from blender_scripts.scene.png import encode_png
from blender_scripts.scene.stage import Stage
from blender_scripts.scene.truth import datum_truth, flaws_truth, measured_again, positions_truth, visible_parts


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


class Renderer:
    """Renders rows: writes the picture, mask and record of each.

    Making one resets Blender to factory settings and empties its scene.

    Args:
        connectors: the rows' scenes, by name.
        output: the render folder.
        mask_scale: K: each pixel of the mask is the most frequent value of K x K samples.
        threads: render threads, 0 = one per core.
        gpu: render on the graphics card.
        denoise: use the denoiser where this Blender has one.
        extras: kinds of extra arrays to write for each row, each one of output_folder.EXTRAS.
    """

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        output: OutputFolder,
        mask_scale: int = 1,
        threads: int = 0,
        gpu: bool = False,
        denoise: bool = True,
        extras: tuple[str, ...] = (),
    ) -> None:
        # Factory settings: none of the user's own settings, and no script in a file may run.
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.preferences.filepaths.use_scripts_auto_execute = False
        bpy.context.preferences.filepaths.use_auto_save_temporary_files = False
        self.connectors = connectors
        self.output = output
        self.mask_scale = mask_scale
        self.extras = extras
        self.scratch = Scratch()
        # Blender's temporary files too: this process ends without Blender's own clean-up.
        bpy.context.preferences.filepaths.temporary_directory = str(self.scratch.folder)
        self.tracer = PathTracer(self.scratch.folder, threads, gpu, denoise)
        self.stage = Stage()
        self.blender = versions.blender_version()

    def close(self) -> None:
        """Remove the temporary folder."""
        self.scratch.close()

    def render(self, run: Run, force: bool = False) -> bool:
        """Render a manifest row; returns whether it was rendered.

        A finished row is rendered only with `force`. Otherwise the keys of its record that no pixel depends on, such as
        the tolerance, are brought up to date.
        """
        head, connector = self.head(run), self.connectors[run.scene]
        if not force and (record := self.output.finished(run, head["row_sha256"])) is not None:
            self.output.refresh(record, self._unpictured(run, record))
            return False
        part = self._part(run)
        station = set_up_station(connector, run.camera, run.fixture, run.width, run.height)
        world = World(run.part, run.fixture, run.seed, run.camera) if run.world == WIDE else None
        station = widened(station, world) if world else station
        self.stage.lay_out(part, run.lighting, station, world)
        view = station.camera.undistorted().lens
        noise = draws.integer(run.seed, "noise", run.camera)
        light = self.tracer.picture(view.width, view.height, run.samples, noise)
        light = bend_picture(smear(light, station.motion_px), station.camera.lens)
        if world:
            light = defocus(light, world.value("defocus") * run.width)
            light = through_dirt(light, world.value("veil"), world.spots())

        truth, mask = self._truth(run, part, station)
        record = {
            **head,
            "camera": station.camera.as_record(),
            "tolerance": connector.tolerance.stated(),
            "datum": datum_truth(part),
            "housing": {"boxes": self._housing_boxes(run, station.camera)},
            **truth,
            **({"world": world.stated(pin.terminal.name for pin in part.pins)} if world else {}),
        }
        picture = develop(light, station.capture, f"{run.seed}/{run.camera}", f"{run.scene}/{run.camera}")
        quality = connector.sensor.jpeg_quality
        quality = world.jpeg_quality(quality) if world else quality
        if quality:
            picture = jpeg.through_jpeg(picture, quality, self.scratch.folder)
        extras = {kind: _npy(self._extra(kind, station)) for kind in self.extras}
        self.output.write(run.run, encode_png(picture), encode_png(mask), record, extras)
        return True

    def _part(self, run: Run) -> Part:
        return make_part(self.connectors[run.scene], run.housing, run.terminal, run.marking, run.part, run.defects)

    def _unpictured(self, run: Run, record: dict[str, Any]) -> dict[str, Any]:
        """What the keys of a finished row's record are now that may change without its picture."""
        connector = self.connectors[run.scene]
        now: dict[str, Any] = {"row": run.row(), "tolerance": connector.tolerance.stated()}
        known = record.get("datum", {})
        if known != {**known, **connector.datum.stated()}:
            part = self._part(run)
            now["datum"] = datum_truth(part)
            camera = set_up_station(connector, run.camera, run.fixture, run.width, run.height).camera
            now["positions"] = measured_again(record["positions"], part, camera)
        return now

    def _truth(self, run: Run, part: Part, station: Station) -> tuple[dict[str, Any], np.ndarray]:
        """The record's `positions` and `other`, and the mask (H, W) uint16."""
        camera, pins = station.camera, part.pins
        sight = sight_of(part, camera, self.stage.housing_triangles)
        seen = visible_parts(part, camera, sight)
        whole_boxes = pin_boxes_of(pins, camera)
        truth = {
            "positions": positions_truth(part, camera, whole_boxes, seen[: len(pins)]),
            "other": flaws_truth(part, flaw_boxes_of(part, camera), seen[len(pins) :]),
        }
        codes = np.arange(1, len(pins) + len(part.flaws) + 1, dtype=np.uint16)
        codes[[number for number, pin in enumerate(pins) if pin.missing]] = 0
        return truth, sight.draw(codes, run.width, run.height, self.mask_scale)

    def _extra(self, kind: str, station: Station) -> np.ndarray:
        """Depth along the optical axis in mm (H, W), or unit normals in world axes (H, W, 3); 0: no surface."""
        lens = station.camera.lens
        view = station.camera.undistorted().lens
        whole = Window(0, 0, view.width, view.height)
        self.stage.show(kind)
        seen = self.tracer.values(view.width, view.height, whole, colour=kind == "normal")
        self.stage.show(None)
        if kind == "normal":
            seen = np.where(np.any(seen > 0.0, axis=-1, keepdims=True), 2.0 * seen - 1.0, 0.0)
        if not lens.is_straight:
            seen = bend_samples(seen, lens, 1, Window(0, 0, lens.width, lens.height), whole)
        return seen.astype(np.float32)

    def head(self, run: Run) -> dict[str, Any]:
        """The first keys of a row's record, as known before rendering: "" in place of SHA-256 of picture and mask."""
        connector = self.connectors[run.scene]
        settings = RenderSettings(self.tracer.device, self.tracer.denoised, self.mask_scale, self.extras)
        text = settings.text(run.width, run.height, run.samples)
        return {
            "schema": SCHEMA,
            "run": run.run,
            "row": run.row(),
            "row_sha256": row_sha256(run, connector, self.blender, text),
            "renderer": RENDERER,
            "blender": self.blender,
            "image_sha256": "",
            "mask_sha256": "",
            "width": run.width,
            "height": run.height,
            "mask_scale": self.mask_scale,
            "scene_sha256": connector.sha256,
        }

    def _housing_boxes(self, run: Run, camera: Camera) -> dict[str, list[float] | None]:
        """The housing's boxes: nothing hides it, so its visible box is the amodal one clipped to the picture."""
        walls = self.stage.housing_walls
        whole = edges_box(walls.vertices, walls.edges, camera)
        low, high = ((max(whole[0], 0.0), max(whole[1], 0.0)), (min(whole[2], run.width), min(whole[3], run.height)))
        visible = [*low, *high] if low[0] < high[0] and low[1] < high[1] else None
        return {"visible": visible, "amodal": whole, "expected": whole}
