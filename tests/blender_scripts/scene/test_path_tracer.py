"""The path tracer: a picture depends on its settings only, and lies where the truth says."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_code

# A glowing rectangle seen from above, 2 px per mm: its edges lie at 10.3 and 50.9 px, 8.4 and 24.1 px.
_CODE = """
import hashlib, json, os, sys
sys.path.insert(0, {root!r})
import bpy
import numpy as np
from pathlib import Path
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.scene import materials, path_tracer
from blender_scripts.scene.objects import add_object, make_mesh
bpy.ops.wm.read_factory_settings(use_empty=True)
path_tracer.WITHOUT_DENOISER = 1
tracer = path_tracer.PathTracer(Path({scratch!r}), denoise=False, threads=1)
left, right, top, bottom = 10.3, 50.9, 8.4, 24.1
corners = [[x / 2 - 16, 8 - y / 2, 0] for x, y in ((left, bottom), (right, bottom), (right, top), (left, top))]
add_object("plate", make_mesh("plate", Mesh.of(np.array(corners), [(0, 1, 2, 3)]), materials.glow("plate", 1.0)))
camera = bpy.data.cameras.new("camera")
camera.type, camera.ortho_scale = "ORTHO", 32
bpy.context.scene.camera = add_object("camera", camera)
bpy.context.scene.camera.location = (0, 0, 10)
def middle(level):
    return [float((level.sum(axis=axis) * (np.arange(level.shape[1 - axis]) + 0.5)).sum() / level.sum())
            for axis in (0, 1)]
tracer.denoised = {fine}
fine = [tracer.picture(64, 31, samples, 1) for samples in (2, 4, 8, 16, 2)] if {fine} else []
tracer.denoised = False
shots = [tracer.picture(64, 32, samples, seed) for samples, seed in ((64, 1), (64, 1), (64, 2), (1, 2), (64, 1))]
level = shots[0].mean(axis=2)
answer = {{
    "fine": [[hashlib.sha256(shot.tobytes()).hexdigest(), *shot.shape, *middle(shot.mean(axis=2))] for shot in fine],
    "sha256": [hashlib.sha256(shot.tobytes()).hexdigest() for shot in shots],
    "mean": float(level.max()),
    "centre": middle(level),
    "edge": level[16, 8:13].tolist(),
}}
print("ANSWER" + json.dumps(answer), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("engine", ["bpy", "blender"])
def test_a_picture_depends_on_its_settings_only(engine: str, tmp_path: Path) -> None:
    done = run_code(engine, _CODE.format(root=str(ROOT), scratch=str(tmp_path), fine=engine == "bpy"), tmp_path)
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert lines, done.stderr
    answer = json.loads(lines[0].removeprefix("ANSWER"))
    first, again, other_seed, fewer, later = answer["sha256"]
    # Whatever was rendered before: Blender counts the updates of a scene, which under load are more.
    assert first == again == later
    assert len({first, other_seed, fewer}) == 3
    # Not shifted by part of a pixel, and edges are smooth: each sample has a place of its own within the pixel.
    assert answer["centre"] == pytest.approx([(10.3 + 50.9) / 2, (8.4 + 24.1) / 2], abs=0.02)
    assert answer["edge"] == pytest.approx([0.0, 0.0, 0.7, 1.0, 1.0], abs=0.06)
    # Denoised on a finer grid and reduced, the picture is of the size asked for and lies near the same place:
    # the denoiser moves such an edge by up to 0.1 px; samples in the centres of fine pixels only, by up to 0.3 px.
    # The last picture has the settings of the first, and the same bytes after those of more samples.
    fine = answer["fine"]
    assert (len(fine) == 5) == (engine == "bpy")  # Debian's Blender has no denoiser
    assert all(shot[1:4] == [31, 64, 3] for shot in fine)
    for shot in fine:
        assert shot[4:] == pytest.approx([(10.3 + 50.9) / 2, (8.4 + 24.1) / 2 - 0.5], abs=0.15)
    assert fine[:1] == fine[4:]
    assert len({shot[0] for shot in fine}) == (4 if engine == "bpy" else 0)
