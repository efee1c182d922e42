"""Render connector_3x9 with BlenderProc; prints the CPU seconds of all pictures with segmentation and COCO labels.

    USE_EXTERNAL_BPY_MODULE=1 python3.11 benchmarks/in_blenderproc.py CHECKOUT WIDTH HEIGHT SAMPLES PICTURES

Started by benchmarks.bench_render in a Python that has bpy 4.5 and BlenderProc's packages. Geometry, materials, lamps
and cameras are this project's; samples, denoiser, adaptive sampling, passes and labels are BlenderProc's defaults. All
pictures show one part from the camera poses of the rows that this project renders, in one render call: its best case.
"""

# ruff: noqa: E402  (BlenderProc has to be imported before everything else)
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, sys.argv[1])
import blenderproc as bproc

sys.path.insert(0, str(ROOT))
import tempfile
import time

import bpy
import numpy as np

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.optics import set_up_station
from blender_scripts.manifest.make_part import make_part
from blender_scripts.scene.stage import Stage


def main() -> int:
    width, height, samples, pictures = map(int, sys.argv[2:6])
    bproc.init()
    connector = read_connector(ROOT / "scenes" / "connector_3x9.toml")
    stage = Stage()
    part = make_part(connector, "plain", "round", "numbers", 0, ())
    stations = [set_up_station(connector, "center", fixture, width, height) for fixture in range(pictures)]
    start = time.process_time()
    stage.lay_out(part, "ring", stations[0])
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = width, height
    for station in stations:
        bproc.camera.add_camera_pose(np.array(station.camera.matrix_world))
    for thing in bproc.object.get_all_mesh_objects():
        thing.set_cp("category_id", int(thing.get_name().startswith("pin")))
    bproc.renderer.set_max_amount_of_samples(samples)
    bproc.renderer.enable_segmentation_output(map_by=["category_id", "instance", "name"])
    data = bproc.renderer.render()
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
