"""An independent measurement of the truth: renders at 8 times the picture's size, pin by pin, against the records.

    python tests/blender_scripts/scene/truth_reference.py --rows 200 --seed 1          (a Python with bpy)
    blender -b -P tests/blender_scripts/scene/truth_reference.py -- --rows 200 --scene dsub_9

Rows are random over cameras, apertures, lenses, housings, terminals and defects. The reference never projects a vertex
and never inverts a lens: it renders the undistorted view 8 times finer (32 times where a box depends on a sliver's
thickness), and moves the edges of the pixels it finds through the distortion formula. Prints one JSON object.
"""

import argparse
import contextlib
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from blender_scripts.geometry.lens import Window  # noqa: E402

if TYPE_CHECKING:
    from blender_scripts.manifest.run import Run
    from blender_scripts.scene.renderer import Renderer

FINE = 8
ROUND_PX = 24
SLIVER_PX2, SLIVER_PX, HIDDEN_PX2, DOUBT_PX, NOTHING_PX = 2.0, 0.6, 0.5, 0.5, 0.25
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,samples,width,height"
LENSES = (
    (0.0, 0.0, 0.0, 0.0, 0.0),
    (-0.06, 0.0, 0.0, 0.0, 0.0),
    (-0.35, 0.12, 0.001, -0.002, 0.0),
    (0.25, 0.0, -0.001, 0.001, 0.05),
)


def write_scenes(folder: Path, scene: str) -> list[str]:
    """Copies of a scene with other lenses and apertures."""
    text = (ROOT / "scenes" / f"{scene}.toml").read_text("utf-8")
    names = []
    for number, (lens, aperture) in enumerate(zip(LENSES, (1.4, 2.8, 8.0, 0.0), strict=True)):
        lines, table = [], ""
        for line in text.splitlines():
            if line.startswith("["):
                table = line.split("]")[0].strip("[")
            if table == "camera" and line.split("=")[0].strip() in ("distortion", "f_number"):
                continue
            lines.append(line)
            if line.startswith("[camera]"):
                lines += [f"distortion = {list(lens)}", f"f_number = {aperture}"]
        names.append(f"lens_{number}")
        (folder / f"{names[-1]}.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return names


def random_defect(source: random.Random, addresses: list[str]) -> str:
    """A random defect at the first of some addresses, or a bridge to the second; the geometry may not allow it."""
    kinds = ("bent", "retracted", "missing", "crushed", "broken", "protruding", "twisted", "wrong", "foreign")
    kind = source.choice(kinds)
    azimuth = f"azimuth_deg={source.uniform(0, 360):.1f}"
    if kind == "foreign":
        what = source.choice(("ball", "bridge", "fibre", "burr"))
        target = "-".join(addresses[: 1 + (what == "bridge")])
        size = {"ball": (0.4, 1.6), "bridge": (0.3, 0.9), "fibre": (2.0, 9.0), "burr": (0.4, 1.2)}[what]
        return f"foreign@{target}:type={what},size_mm={source.uniform(*size):.2f},{azimuth}"
    values = {
        "bent": f":tilt_deg={source.uniform(1, 25):.2f},{azimuth}",
        "retracted": f":depth_mm={source.uniform(0.1, 6.5):.2f}",
        "crushed": f":depth_mm={source.uniform(0.05, 1.2):.2f},{azimuth}",
        "broken": f":lost_mm={source.uniform(0.2, 5.0):.2f},slope_deg={source.uniform(0, 60):.1f},{azimuth}",
        "protruding": f":height_mm={source.uniform(0.1, 3.0):.2f}",
        "twisted": f":angle_deg={source.uniform(5, 180):.1f}",
    }
    return f"{kind}@{addresses[0]}{values.get(kind, '')}"


def random_manifest(folder: Path, count: int, source: random.Random, scene: str) -> Path:
    """A manifest of `count` rows, each of which the checks accept."""
    from blender_scripts.contract.connector import read_connector
    from blender_scripts.contract.errors import InputError
    from blender_scripts.manifest.reader import read_manifest

    scenes = write_scenes(folder, scene)
    connector = read_connector(folder / f"{scenes[0]}.toml")
    addresses = [position.address for position in connector.positions]
    sizes = ([str(connector.width), str(connector.height)], ["200", "150"])
    path = folder / "random.csv"
    rows: list[str] = []
    while len(rows) < count:
        number = len(rows)
        wanted = min(source.randrange(0, 4), len(addresses) - 1)
        first = [source.randrange(len(addresses) - 1) for _ in range(wanted)]
        defects = [random_defect(source, addresses[i : i + 2]) for i in dict.fromkeys(first)]
        row = [f"row{number}", "train", str(number), str(source.randrange(10**6)), source.choice(scenes)]
        row += [
            source.choice(list(connector.housings)),
            source.choice(connector.terminal_names),
            f'"{";".join(defects)}"',
        ]
        row += [source.choice(("center", "left", "right", "top", "bottom")), next(iter(connector.lightings))]
        row += ["none", "1", *source.choice(sizes)]
        path.write_text("\n".join([COLUMNS, ",".join(row)]) + "\n", "utf-8")
        try:
            read_manifest(path, folder)
        except InputError:
            continue
        rows.append(",".join(row))
    path.write_text("\n".join([COLUMNS, *rows]) + "\n", "utf-8")
    return path


class Reference:
    """Renders one row's truth 8 times finer."""

    def __init__(self, renderer: "Renderer", run: "Run") -> None:
        from blender_scripts.geometry.optics import set_up_station
        from blender_scripts.manifest.make_part import make_part

        self.renderer = renderer
        connector = renderer.connectors[run.scene]
        part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
        self.pins = part.pins
        self.station = set_up_station(connector, run.camera, run.fixture, run.width, run.height)
        self.flaws = range(len(part.pins) + 1, len(part.pins) + len(part.flaws) + 1)
        renderer.stage.lay_out(part, run.lighting, self.station)
        self.lens = self.station.camera.lens
        self.view = self.station.camera.undistorted().lens

    def _window(self, near: list[float] | None = None) -> Window:
        """The window of the undistorted view round a box of the picture; None: the whole view."""
        width, height = self.view.width, self.view.height
        if near is None:
            return Window(0, 0, width, height)
        margin = self.lens.margin
        x1, y1 = (max(0, int(edge + margin - ROUND_PX)) for edge in near[:2])
        x2, y2 = (
            min(size, int(edge + margin + ROUND_PX)) for edge, size in zip(near[2:], (width, height), strict=True)
        )
        return Window(x1, y1, x2, y2)

    def _seen(self, window: Window, fine: int = FINE) -> tuple[np.ndarray, tuple[int, int]]:
        """Fine indices of a window of the undistorted view, and where they begin."""
        if window.x1 >= window.x2 or window.y1 >= window.y2:
            return np.zeros((1, 1), int), (0, 0)
        inner = type(window)(*(fine * edge for edge in (window.x1, window.y1, window.x2, window.y2)))
        self.renderer.stage.show("index")
        seen = self.renderer.tracer.values(self.view.width * fine, self.view.height * fine, inner)
        self.renderer.stage.show(None)
        return np.rint(seen).astype(int), (inner.x1, inner.y1)

    def box(
        self, here: np.ndarray, start: tuple[int, int], sliver_px2: float = 0.0, fine: int = FINE
    ) -> list[float] | None:
        """The box in the picture, px, of fine pixels of the undistorted view, moved through the lens.

        Args:
            here: mask of the pixels.
            start: first column and row of `here`.
            sliver_px2: the sides move inwards past so much, as docs/explanation/coordinates.md defines the visible box.
            fine: fine pixels per px.
        """
        from blender_scripts.geometry.lens import distort

        rows, columns = np.nonzero(here)
        rows, columns = rows + start[1], columns + start[0]
        if len(rows) == 0:
            return None
        edges = np.concatenate([np.stack([columns + i, rows + j], axis=-1) for i in (0, 1) for j in (0, 1)]) / fine
        flat = (edges - 0.5 * np.array([self.view.width, self.view.height])) / self.view.focal_px
        moved = distort(flat, self.lens.distortion) * self.lens.focal_px
        moved += 0.5 * np.array([self.lens.width, self.lens.height])
        # Each pixel's own box first, of its four corners.
        corners = moved.reshape(4, -1, 2)
        low, high = np.sort(corners.min(axis=0), axis=0), np.sort(corners.max(axis=0), axis=0)
        rank = math.ceil(sliver_px2 * fine**2)
        if rank == 0:
            return [*low[0], *high[-1]]
        inwards = [low[rank - 1] - low[0], high[-1] - high[-rank]]
        inwards = [np.minimum(move, np.maximum(0.0, 2.0 * (move - SLIVER_PX))) for move in inwards]
        return [*(low[0] + inwards[0]), *(high[-1] - inwards[1])]

    def visible(self, pins: dict[int, list[float]]) -> dict[int, tuple[list[float] | None, int]]:
        """Box and number of connected pieces of every pin and flaw as the camera sees it.

        Args:
            pins: amodal boxes of the pins to which the sliver rule is applied.
        """
        seen, start = self._seen(self._window())
        found = {}
        for index in (*(pin.position.index for pin in self.pins), *self.flaws):
            here = seen == index
            box = self.box(here, start)
            if index in pins and box is not None:
                box = self._without_slivers(index, self._window(pins[index]), here, start, box)
            found[index] = box, pieces(here)
        return found

    def _without_slivers(
        self, index: int, window: Window, here: np.ndarray, start: tuple[int, int], box: list[float]
    ) -> list[float]:
        """The visible box of a pin with box `box`; rendered four times finer where it depends on a sliver."""
        for fine in (FINE, 4 * FINE):
            area = np.count_nonzero(here) / fine**2
            most = min(SLIVER_PX2, area / 8.0)
            if np.abs(np.subtract(self.box(here, start, 1.25 * most, fine), box)).max() < NOTHING_PX:
                return box
            with self._on_its_own(index, floor=True):
                alone, corner = self._seen(window, fine)
            whole = np.count_nonzero(alone == index) / fine**2
            areas = [
                share * min(max(whole - area - HIDDEN_PX2 + more, 0.0), most)
                for share, more in ((1.0, 0.0), (0.75, -0.5), (1.25, 0.5))
            ]
            box, *others = (self.box(here, start, sliver, fine) for sliver in areas)
            if fine > FINE or np.abs(np.subtract(*others)).max() <= DOUBT_PX:
                return box
            rows, columns = np.nonzero(alone == index)
            x1, y1 = (
                int(values.min() + first) // fine - 1 for values, first in ((columns, corner[0]), (rows, corner[1]))
            )
            x2, y2 = (
                int(values.max() + first) // fine + 2 for values, first in ((columns, corner[0]), (rows, corner[1]))
            )
            window = type(window)(max(x1, 0), max(y1, 0), min(x2, self.view.width), min(y2, self.view.height))
            seen, start = self._seen(window, 4 * FINE)
            here = seen == index
            box = self.box(here, start, 0.0, 4 * FINE)
        return box

    @contextlib.contextmanager
    def _on_its_own(self, index: int | None, floor: bool = False) -> Iterator[None]:
        """Hide all but one pin or flaw; `floor`: and the plane in which it stands."""
        import bpy

        from blender_scripts.geometry.mesh import Mesh
        from blender_scripts.scene.objects import add_object, make_mesh

        others = [
            thing
            for thing in bpy.data.objects
            if thing.type == "MESH" and not thing.hide_render and thing.pass_index != index
        ]
        for thing in others:
            thing.hide_render = True
        plane = None
        if floor:
            z = min(self.pins[index - 1].root_mm[2], self.pins[index - 1].floor_mm)
            corners = np.array([(-500.0, -500.0, z), (500.0, -500.0, z), (500.0, 500.0, z), (-500.0, 500.0, z)])
            quad = Mesh.of(corners, [(0, 1, 2, 3)])
            plane = add_object("plane", make_mesh("plane", quad, bpy.data.materials.new("plane")), 0)
        yield
        if plane is not None:
            bpy.data.objects.remove(plane)
        for thing in others:
            thing.hide_render = False

    def alone(self, index: int, nominal: bool, near: list[float]) -> list[float] | None:
        """The unoccluded box of one pin or flaw; `nominal`: of the intact pin at true position."""
        import bpy
        from mathutils import Matrix

        from blender_scripts.geometry import solids
        from blender_scripts.geometry.pin import Form
        from blender_scripts.scene.objects import add_object, make_mesh

        with self._on_its_own(None if nominal else index):
            made = None
            if nominal:
                pin = self.pins[index - 1]
                mesh = solids.pin_mesh(Form(pin.nominal))
                made = add_object("nominal", make_mesh("nominal", mesh, bpy.data.materials.new("nominal")), index)
                made.matrix_world = Matrix.Translation((pin.position.x_mm, pin.position.y_mm, pin.floor_mm))
            seen, start = self._seen(self._window(near))
            if not np.any(seen == index):  # the lens has moved it farther than that
                seen, start = self._seen(self._window())
            if made is not None:
                bpy.data.objects.remove(made)
        return self.box(seen == index, start)


def pieces(here: np.ndarray) -> int:
    """Connected components (4-neighbourhood) by flood filling."""
    left = {tuple(place) for place in np.argwhere(here)}
    count = 0
    while left:
        count += 1
        border = [left.pop()]
        while border:
            row, column = border.pop()
            for place in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if place in left:
                    left.remove(place)
                    border.append(place)
    return count


def meet(one: list[float] | None, other: list[float] | None) -> bool:
    """Whether two boxes have a point in common."""
    if one is None or other is None:
        return False
    return all(one[i] <= other[i + 2] and other[i] <= one[i + 2] for i in (0, 1))


def off(found: list[float] | None, expected: list[float] | None, width: int, height: int) -> float | None:
    """Largest distance of an edge in px; None where a box is outside of the picture or touches its edge."""
    if found is not None and not meet(found, [0.0, 0.0, width, height]):
        return None
    if expected is None or found is None:
        return None if found is expected else float("inf")
    if expected[0] < 1 or expected[1] < 1 or expected[2] > width - 1 or expected[3] > height - 1:
        return None
    return float(np.abs(np.array(found) - expected).max())


def measure(rows: int, seed: int, scene: str) -> dict[str, object]:
    """Deviations of the records of random rows from the reference, px."""
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.manifest.record import read_record
    from blender_scripts.scene.renderer import Renderer

    source = random.Random(seed)
    kinds = ("visible", "amodal", "expected", "flaw_visible", "flaw_amodal")
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    outliers: list[str] = []
    in_pieces: list[str] = []
    whole = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = read_manifest(random_manifest(folder, rows, source, scene), folder)
        output = OutputFolder(folder / "out")
        renderer = Renderer(manifest.connectors, output)
        for run in manifest.runs:
            renderer.render(run)
        # Cycles' persistent data may lose the override's shader where objects are hidden between two
        # renders, which only this reference does: the remaining object is then black.
        renderer.tracer.render.use_persistent_data = False
        for run in manifest.runs:
            record = read_record(output.record(run.run))
            reference = Reference(renderer, run)
            judged = {
                p["index"]: p["boxes"]["amodal"]
                for p in record["positions"]
                if p["boxes"]["visible"] and p["visible_fraction"] >= 0.2 and p["kind"] != "missing"
            }
            visible = reference.visible(judged)
            for position in record["positions"]:
                box, count = visible[position["index"]]
                boxes = position["boxes"]
                if position["visible_fraction"] >= 0.2 and position["kind"] != "missing":
                    deviation = off(boxes["visible"], box, run.width, run.height)
                    if deviation is not None:
                        found["visible"].append(deviation)
                        if deviation > 0.5:
                            outliers.append(f"{run.run} {position['address']}: {deviation:.2f}")
                free = not any(meet(boxes["amodal"], flaw["boxes"]["amodal"]) for flaw in record["other"])
                if position["kind"] == "ok" and position["visible_fraction"] > 0.99 and free:
                    whole += 1
                    if count != 1:
                        in_pieces.append(
                            f"{run.run} {position['address']}: {count}, {position['visible_fraction']:.4f} visible"
                        )
            chosen = {position["index"] for position in record["positions"] if position["defects"]}
            chosen |= set(source.sample(range(1, len(record["positions"]) + 1), 2))
            for index in sorted(chosen):
                boxes = record["positions"][index - 1]["boxes"]
                for kind in ("amodal", "expected"):
                    if boxes[kind] is not None:
                        alone = reference.alone(index, kind == "expected", boxes[kind])
                        deviation = off(boxes[kind], alone, run.width, run.height)
                        if deviation is not None:
                            found[kind].append(deviation)
                            if deviation > 0.25:
                                outliers.append(f"{run.run} {kind}: {deviation:.2f}")
            for code, flaw in zip(reference.flaws, record["other"], strict=True):
                boxes = flaw["boxes"]
                pairs = {"flaw_amodal": (boxes["amodal"], reference.alone(code, False, boxes["amodal"]))}
                if flaw["visible_fraction"] >= 0.2:
                    pairs["flaw_visible"] = boxes["visible"], visible[code][0]
                for kind, (mine, its) in pairs.items():
                    deviation = off(mine, its, run.width, run.height)
                    if deviation is not None:
                        found[kind].append(deviation)
                        if deviation > 0.5:
                            outliers.append(f"{run.run} {flaw['defect']} {kind}: {deviation:.2f}")
        renderer.close()
    result: dict[str, object] = {
        "rows": rows,
        "seed": seed,
        "scene": scene,
        "intact_pins": whole,
        "intact_pins_in_pieces": in_pieces,
        "over_half_a_pixel": outliers,
    }
    for kind, deviations in found.items():
        if not deviations:
            continue
        quantiles = np.quantile(deviations, [0.5, 0.95, 1.0]).round(4).tolist()
        result[kind] = {
            "pins": len(deviations),
            "median_px": quantiles[0],
            "p95_px": quantiles[1],
            "max_px": quantiles[2],
        }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scene", default="connector_3x9", help="a scene of scenes/, by its name")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else None)
    result = measure(options.rows, options.seed, options.scene)
    print("\n" + json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
