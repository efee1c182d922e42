"""Where the time of one picture goes, by size and samples: scene, synchronisation, sampling, denoising, files, truth.

    python -m benchmarks.profile_render [--sizes 256x128,512x512] [--samples 2,16] [--repeats 5]

CPU milliseconds of one thread, the least of the repeats, for a picture of connector_3x9 with 27 pins. The module bpy
takes no option for Cycles' log, so the parts of Blender's render call are differences between calls. Synchronisation
(shaders, geometry, BVH): a call after a new scene minus a call without any change. Denoising: a call with the denoiser
minus a call without it. A second table has the time of synchronisation after one change. Progress is on stderr.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench_render import ROOT, say, write_manifest

if TYPE_CHECKING:
    from blender_scripts.manifest.run import Run
    from blender_scripts.scene.renderer import Renderer

# A picture so small that its samples cost nothing: what remains is the cost of a call.
SMALL = (16, 8)


def least_ms(call: Callable[[], object], repeats: int, before: Callable[[], object] = lambda: None) -> float:
    """Return the least CPU time in ms of `repeats` calls; `before` is called before each and not timed."""
    times = []
    for _ in range(repeats):
        before()
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


class Profile:
    """Measures the CPU time that a new `renderer` takes for a manifest row; each call is repeated `repeats` times."""

    def __init__(self, renderer: "Renderer", run: "Run", repeats: int) -> None:
        from blender_scripts.geometry.optics import set_up_station

        self.renderer, self.run, self.repeats = renderer, run, repeats
        self.tracer, self.stage = renderer.tracer, renderer.stage
        self.connector = renderer.connectors[run.scene]
        self.station = set_up_station(self.connector, run.camera, run.fixture, run.width, run.height)
        self.renderer.render(run, force=True)

    def lay_out(self) -> None:
        """Build the Blender scene of the manifest row anew."""
        from blender_scripts.manifest.make_part import make_part

        run = self.run
        part = make_part(self.connector, run.housing, run.terminal, run.marking, run.part, run.defects)
        self.stage.lay_out(part, run.lighting, self.station)

    def small(self) -> None:
        """Render a picture of the size `SMALL` with one sample per pixel."""
        self.tracer.picture(*SMALL, 1, 1)

    def picture(self) -> float:
        """Return the CPU ms of the picture's render call in an unchanged scene."""
        run, tracer = self.run, self.tracer
        tracer.picture(run.width, run.height, run.samples, 1)
        return least_ms(lambda: tracer.picture(run.width, run.height, run.samples, 1), self.repeats)

    def without_denoiser(self) -> tuple[float, float]:
        """Return the CPU ms of rendering the picture without denoiser, and of the same without writing a file."""
        import bpy

        from blender_scripts.scene import versions

        use = versions.use_denoiser
        versions.use_denoiser = lambda settings, on: use(settings, False)
        try:
            whole = self.picture()
            return whole, least_ms(lambda: bpy.ops.render.render(write_still=False), self.repeats)
        finally:
            versions.use_denoiser = use

    def stages(self) -> dict[str, float]:
        """Return the CPU ms of each stage of rendering the row's picture, by the stage's name."""
        from blender_scripts.scene.exr import read_exr

        repeats = self.repeats
        whole = least_ms(lambda: self.renderer.render(self.run, force=True), repeats)
        scene = least_ms(self.lay_out, 3 * repeats)
        self.small()
        call = least_ms(self.small, 3 * repeats)
        synchronised = least_ms(self.small, 3 * repeats, self.lay_out) - call
        denoised = self.picture()
        noisy, unwritten = self.without_denoiser()
        reading = least_ms(lambda: read_exr(self.tracer.scratch / "shot.exr"), 3 * repeats)
        found = {
            "scene in Python": scene,
            "synchronisation, BVH": synchronised,
            "a call without samples": call,
            "sampling": unwritten - call,
            "denoising": denoised - noisy,
            "EXR: write": noisy - unwritten - reading,
            "EXR: read": reading,
            "sensor, PNG": self.develop_and_encode(),
        }
        return {**found, "truth, record, files": whole - sum(found.values()), "whole": whole}

    def develop_and_encode(self) -> float:
        """Return the CPU ms of adding sensor noise to the rendered light and encoding the picture as PNG."""
        from blender_scripts.geometry.sensor import develop
        from blender_scripts.scene.png import encode_png

        light = self.tracer.picture(self.run.width, self.run.height, 1, 1)
        return least_ms(
            lambda: encode_png(develop(light, self.station.capture, "1/center", "profile/center")), self.repeats
        )

    def changes(self) -> dict[str, float]:
        """Return the CPU ms of rendering an unchanged scene, and how many more it takes after each kind of change."""
        import bpy

        def moved(name: str) -> Callable[[], None]:
            def move() -> None:
                bpy.data.objects[name].location.x += 1e-3

            return move

        def recoloured() -> None:
            tree = bpy.data.materials["ink"].node_tree
            colour = next(node for node in tree.nodes if node.type == "BSDF_DIFFUSE").inputs["Color"]
            colour.default_value[0] = 1.0 - colour.default_value[0]

        def overridden() -> None:
            self.stage.show("depth")
            self.small()
            self.stage.show(None)

        def override() -> None:
            self.stage.show("depth")

        self.lay_out()
        self.small()
        call = least_ms(self.small, self.repeats)
        tried: dict[str, Callable[[], None]] = {
            "camera moved": moved("camera"),
            "one pin moved": moved("pin 0001"),
            "lamp moved": moved("lamp 0"),
            "one colour changed": recoloured,
            "everything built anew": self.lay_out,
        }
        found = {name: least_ms(self.small, self.repeats, change) - call for name, change in tried.items()}
        found["depth in place of materials"] = least_ms(self.small, self.repeats, override) - call
        found["materials again"] = least_ms(self.small, self.repeats, overridden) - call
        return {"no change: the call itself": call, **found}


def temporary_folders(profile: Profile) -> dict[str, float]:
    """Return the CPU ms of rendering the picture with Blender's temporary file `on disk` and `in memory`, by name."""
    found = {}
    for name, folder in (("on disk", tempfile.gettempdir()), ("in memory", "/dev/shm")):
        if Path(folder).is_dir() and os.access(folder, os.W_OK):
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                kept, profile.tracer.scratch = profile.tracer.scratch, Path(scratch)
                found[name] = profile.picture()
                profile.tracer.scratch = kept
    return found


def print_table(columns: list[str], rows: dict[str, list[float]]) -> None:
    """Print a header, and a line for each row: its name and values."""
    widths = [max(8, len(column)) for column in columns]
    first = max(len(name) for name in rows)
    print(" " * first + "".join(f"  {column:>{width}}" for column, width in zip(columns, widths, strict=True)))
    for name, values in rows.items():
        cells = (f"  {value:{width}.1f}" for value, width in zip(values, widths, strict=True))
        print(f"{name:{first}}{''.join(cells)}")


def _sizes(text: str) -> list[tuple[int, int]]:
    pairs = [tuple(map(int, size.split("x"))) for size in text.split(",")]
    return [(width, height) for width, height in pairs]


def main() -> int:
    """Print the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = parser.add_argument
    add("--sizes", type=_sizes, default=_sizes("256x128,512x512,1024x512"), help="sizes in px (default: %(default)s)")
    add("--samples", default="2,16", help="numbers of samples per pixel (default: 2,16)")
    add("--repeats", type=int, default=5, help="number of timed calls, of which the fastest counts (default: 5)")
    options = parser.parse_args()

    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.scene.renderer import Renderer

    columns: list[str] = []
    table: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for width, height in options.sizes:
            for samples in map(int, options.samples.split(",")):
                say(f"profiling {width} x {height} px with {samples} samples per pixel")
                manifest = read_manifest(write_manifest(Path(name), 1, width, height, samples), ROOT / "scenes")
                renderer = Renderer(manifest.connectors, OutputFolder(Path(name) / "out"), threads=1)
                profile = Profile(renderer, manifest.runs[0], options.repeats)
                columns.append(f"{width}x{height}/{samples}")
                for stage, took in profile.stages().items():
                    table.setdefault(stage, []).append(took)
                last = profile.changes(), temporary_folders(profile)
                renderer.close()
    print("CPU ms of one thread, by size in px / samples per pixel")
    print_table(columns, table)
    print("\nhow much longer the next render call takes after one change, CPU ms")
    print_table([""], {name: [took] for name, took in last[0].items()})
    print(f"\nrender call at {columns[-1]}, by the place of Blender's temporary file, CPU ms")
    print_table([""], {name: [took] for name, took in last[1].items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
