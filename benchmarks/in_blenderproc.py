"""Render connector_3x9 with BlenderProc; prints the CPU seconds for all pictures, segmentation and COCO labels.

    USE_EXTERNAL_BPY_MODULE=1 python3.11 benchmarks/in_blenderproc.py CHECKOUT WIDTH HEIGHT SAMPLES PICTURES
    ... CHECKOUT WIDTH HEIGHT SAMPLES 1 --keep FILE [--window X1 Y1 X2 Y2]

Started by benchmarks.bench_render and beside_blenderproc in a Python that has bpy 4.5 and BlenderProc's packages.
Geometry, materials, lamps and cameras are this project's; samples, denoiser, adaptive sampling, passes and labels are
BlenderProc's defaults. All pictures show one part from the camera poses of the rows that this project renders, in one
render call: BlenderProc's best case. `--keep` saves one picture by the sRGB curve (not Filmic) as levels 0-255 in a
.npy file, without timing. `--window` renders only these pixels, neither denoised nor adaptively sampled.
"""

# ruff: noqa: E402  (BlenderProc has to be imported before everything else)
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, sys.argv[1])
import blenderproc as bproc

sys.path.insert(0, str(ROOT))
import argparse
import tempfile
import time
from typing import Any

import bpy
import numpy as np

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.optics import set_up_station
from blender_scripts.manifest.make_part import make_part
from blender_scripts.scene.path_tracer import render_window_only
from blender_scripts.scene.stage import Stage


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout")
    for name in ("width", "height", "samples", "pictures"):
        parser.add_argument(name, type=int)
    parser.add_argument("--keep", type=Path, help="do not time; save the picture in this .npy file")
    parser.add_argument("--window", type=int, nargs=4, help="edges x1 y1 x2 y2 in px: render only this window")
    return parser.parse_args()


def render(options: argparse.Namespace) -> dict[str, Any]:
    """Render; returns what BlenderProc returns: the pictures, and the segmentation unless `--keep` is given."""
    scene = bpy.context.scene
    if not options.keep:
        bproc.renderer.enable_segmentation_output(map_by=["category_id", "instance", "name"])
    else:
        bproc.renderer.set_output_format(view_transform="Standard")
    if options.window:
        bproc.renderer.set_denoiser(None)
        scene.use_nodes = False
        bproc.renderer.set_noise_threshold(0)
        render_window_only(scene.render, options.width, options.height, Window(*options.window))
    data: dict[str, Any] = bproc.renderer.render()
    return data


def main() -> int:
    """Render; then print the CPU seconds, or save the picture; returns the exit code."""
    options = read_options()
    bproc.init()
    connector = read_connector(ROOT / "scenes" / "connector_3x9.toml")
    stage = Stage()
    part = make_part(connector, "plain", "round", "numbers", 0, ())
    size = options.width, options.height
    stations = [set_up_station(connector, "center", fixture, *size) for fixture in range(options.pictures)]
    start = time.process_time()
    stage.lay_out(part, "ring", stations[0])
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    for station in stations:
        bproc.camera.add_camera_pose(np.array(station.camera.matrix_world))
    for thing in bproc.object.get_all_mesh_objects():
        thing.set_cp("category_id", int(thing.get_name().startswith("pin")))
    bproc.renderer.set_max_amount_of_samples(options.samples)
    data = render(options)
    if options.keep:
        np.save(options.keep, np.asarray(data["colors"][0])[..., :3])
        return 0
    with tempfile.TemporaryDirectory() as out:
        bproc.writer.write_coco_annotations(
            out,
            instance_segmaps=data["instance_segmaps"],
            instance_attribute_maps=data["instance_attribute_maps"],
            colors=data["colors"],
        )
    print(f"CPU seconds: {time.process_time() - start}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
