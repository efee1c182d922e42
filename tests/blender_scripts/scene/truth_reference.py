"""An independent measurement of the truth: renders at 8 times the picture's size, against the records.

    python tests/blender_scripts/scene/truth_reference.py --rows 200 --seed 1          (a Python with bpy)
    blender -b -P tests/blender_scripts/scene/truth_reference.py -- --rows 200 --scene dsub_9

Rows are random over cameras, apertures, lenses, housings, terminals and defects. The reference never projects a vertex
and never inverts a lens: it renders the undistorted view 8 times finer with each object shining its number, and moves
the edges of the pixels it finds through the distortion formula.
Prints one JSON object.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from blender_scripts.geometry.lens import Window  # noqa: E402

if TYPE_CHECKING:
    import bpy

    from blender_scripts.contract.housings import Cavity
    from blender_scripts.geometry.pin import Pin
    from blender_scripts.manifest.run import Run
    from blender_scripts.scene.renderer import Renderer

FINE = 8
ROUND_PX = 24
# Pictures wider than this are rendered in windows round some pins.
WHOLE_PX = 256
PINS_OF_LARGE = 6
MOUTHS = 20000
OTHERS = 30000
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,samples,width,height"
# Distortion, aperture, and whether the camera is telecentric.
LENSES = (
    ((0.0, 0.0, 0.0, 0.0, 0.0), 1.4, False),
    ((-0.06, 0.0, 0.0, 0.0, 0.0), 2.8, False),
    ((-0.35, 0.12, 0.001, -0.002, 0.0), 8.0, False),
    ((0.25, 0.0, -0.001, 0.001, 0.05), 0.0, False),
    ((0.0, 0.0, 0.0, 0.0, 0.0), 0.0, True),
    ((-0.35, 0.12, 0.001, -0.002, 0.0), 0.0, True),
)


def write_scenes(folder: Path, scene: str) -> list[str]:
    """Copies of a scene with other lenses and apertures; a telecentric lens shows the same field, bent as much."""
    text = (Path(scene) if scene.endswith(".toml") else ROOT / "scenes" / f"{scene}.toml").read_text("utf-8")
    camera = tomllib.loads(text)["camera"]
    away, names = camera["distance_mm"], []
    for number, (lens, aperture, telecentric) in enumerate(LENSES):
        keys = [f"distortion = {list(lens)}"]
        if telecentric:
            parallel = [share / away**power for share, power in zip(lens, (2, 4, 1, 1, 6), strict=True)]
            field = away * camera["sensor_width_mm"] / camera["focal_mm"]
            keys = ["telecentric = true", f"field_mm = {field}", f"distortion = {parallel}"]
        lines, table = [], ""
        for line in text.splitlines():
            if line.startswith("["):
                table = line.split("]")[0].strip("[")
            if table == "camera" and line.split("=")[0].strip() in ("distortion", "f_number"):
                continue
            lines.append(line)
            if line.startswith("[camera]"):
                lines += [*keys, f"f_number = {aperture}"]
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


def random_manifest(folder: Path, count: int, source: random.Random, scene: str, widths: list[int]) -> Path:
    """A manifest of `count` rows with one of these widths each, which the checks accept."""
    from blender_scripts.contract.connector import read_connector
    from blender_scripts.contract.errors import InputError
    from blender_scripts.manifest.reader import read_manifest

    scenes = write_scenes(folder, scene)
    connector = read_connector(folder / f"{scenes[0]}.toml")
    addresses = [position.address for position in connector.positions]
    shapes = (connector.height / connector.width, 0.75)
    path = folder / "random.csv"
    rows: list[str] = []
    while len(rows) < count:
        number = len(rows)
        wanted = min(source.randrange(0, 4), len(addresses) - 1)
        first = [source.randrange(len(addresses) - 1) for _ in range(wanted)]
        defects = [random_defect(source, addresses[i : i + 2]) for i in dict.fromkeys(first)]
        if source.random() < 0.25:
            defects.append(
                f"chipped@housing:azimuth_deg={source.uniform(0, 360):.0f},size_mm={source.uniform(1, 9):.1f}"
            )
        row = [f"row{number}", "train", str(number), str(source.randrange(10**6)), source.choice(scenes)]
        row += [
            source.choice(list(connector.housings)),
            source.choice(connector.terminal_names),
            f'"{";".join(defects)}"',
        ]
        row += [source.choice(("center", "left", "right", "top", "bottom")), next(iter(connector.lightings))]
        width = source.choice(widths)
        row += ["none", "1", str(width), str(round(width * source.choice(shapes)))]
        path.write_text("\n".join([COLUMNS, ",".join(row)]) + "\n", "utf-8")
        try:
            read_manifest(path, folder)
        except InputError:
            continue
        rows.append(",".join(row))
    path.write_text("\n".join([COLUMNS, *rows]) + "\n", "utf-8")
    return path


def shining_numbers() -> "bpy.types.Material":
    """A material that shines each object's number."""
    from blender_scripts.scene.materials import glow

    material = glow("number", 1.0)
    info = material.node_tree.nodes.new("ShaderNodeObjectInfo")
    shader = next(node for node in material.node_tree.nodes if node.type == "EMISSION")
    material.node_tree.links.new(info.outputs["Object Index"], shader.inputs["Strength"])
    return material


class Reference:
    """Renders one row's truth 8 times finer."""

    def __init__(self, renderer: "Renderer", run: "Run") -> None:
        import bpy

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
        for thing in bpy.data.objects:
            kind, *number = thing.name.split()
            thing.pass_index = int(number[0]) if kind in ("pin", "flaw") else OTHERS
        self.material = shining_numbers()
        self.mouths = [self._mouth(pin, connector.cavity) for pin in part.pins if pin.missing]

    def _mouth(self, pin: "Pin", cavity: "Cavity") -> "bpy.types.Object":
        """A lid on a missing pin's cavity, hidden at first."""
        import bpy

        from blender_scripts.geometry import solids
        from blender_scripts.geometry.mesh import Mesh
        from blender_scripts.scene.objects import add_object, make_mesh

        rim = pin.scale * solids.cavity_outline(pin.nominal, cavity, cavity.chamfer_mm)
        place = np.array([*pin.cavity_mm, pin.floor_mm])
        lid = Mesh.of(np.column_stack([rim, np.zeros(len(rim))]) + place, [tuple(range(len(rim)))])
        added = add_object("mouth", make_mesh("mouth", lid, bpy.data.materials.new("mouth")))
        added.pass_index, added.hide_render = MOUTHS + pin.position.index, True
        return added

    def show_mouths(self, shown: bool) -> None:
        for mouth in self.mouths:
            mouth.hide_render = not shown

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

    def seen(self, near: list[float] | None = None, fine: int = FINE) -> tuple[np.ndarray, tuple[int, int]]:
        """Fine indices of a window of the undistorted view, and where they begin; see `_window`."""
        window = self._window(near)
        import bpy

        if window.x1 >= window.x2 or window.y1 >= window.y2:
            return np.zeros((1, 1), int), (0, 0)
        inner = type(window)(*(fine * edge for edge in (window.x1, window.y1, window.x2, window.y2)))
        self.renderer.stage.show("depth")  # switches blur off
        bpy.context.view_layer.material_override = self.material
        seen = self.renderer.tracer.values(self.view.width * fine, self.view.height * fine, inner)
        self.renderer.stage.show(None)
        return np.rint(seen).astype(int), (inner.x1, inner.y1)

    def box(self, here: np.ndarray, start: tuple[int, int], fine: int = FINE) -> list[float] | None:
        """The box in the picture, px, of fine pixels of the undistorted view, moved through the lens.

        Args:
            here: mask of the pixels.
            start: first column and row of `here`.
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
        return [*moved.min(axis=0).tolist(), *moved.max(axis=0).tolist()]

    def standing(self, index: int, near: list[float]) -> int:
        """Number of fine pixels of one pin from foot to tip, if nothing hid it."""
        with self._on_its_own(index, floor=True):
            seen, _ = self.seen(near)
        return int(np.count_nonzero(seen == index))

    def mouth(self, index: int, near: list[float]) -> tuple[int, int]:
        """Numbers of fine pixels of an empty cavity's mouth: visible, and if nothing hid it."""
        self.show_mouths(True)
        seen, _ = self.seen(near)
        with self._on_its_own(MOUTHS + index):
            alone, _ = self.seen(near)
        self.show_mouths(False)
        return tuple(int(np.count_nonzero(each == MOUTHS + index)) for each in (seen, alone))

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
            plane = add_object("plane", make_mesh("plane", quad, bpy.data.materials.new("plane")))
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
                made = add_object("nominal", make_mesh("nominal", mesh, bpy.data.materials.new("nominal")))
                made.pass_index = index
                made.matrix_world = Matrix.Translation((pin.position.x_mm, pin.position.y_mm, pin.nominal_floor_mm))
            seen, start = self.seen(near)
            if not np.any(seen == index):  # the lens has moved it farther than that
                seen, start = self.seen()
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


class Deviations:
    """Deviations from the reference: boxes by kind, in px; visible shares, in percent points."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}
        self.outliers: list[str] = []
        self.whole = 0
        self.in_pieces: list[str] = []

    def add(self, kind: str, deviation: float | None, most: float, place: str) -> None:
        if deviation is not None:
            self.found.setdefault(kind, []).append(deviation)
            if deviation > most:
                self.outliers.append(f"{place} {kind}: {deviation:.2f}")

    def summary(self) -> dict[str, object]:
        result: dict[str, object] = {
            "intact_pins": self.whole,
            "intact_pins_in_pieces": self.in_pieces,
            "outliers": self.outliers,
        }
        for kind, deviations in self.found.items():
            median, p95, worst = np.quantile(deviations, [0.5, 0.95, 1.0]).round(4).tolist()
            result[kind] = {"count": len(deviations), "median": median, "p95": p95, "max": worst}
        return result


def compare(reference: Reference, record: dict, source: random.Random, into: Deviations) -> None:
    """Compare one record with its reference."""
    size, place = (record["width"], record["height"]), record["run"]
    large = record["width"] > WHOLE_PX
    positions = record["positions"]
    chosen = {position["index"] for position in positions if position["defects"]}
    chosen |= set(source.sample(range(1, len(positions) + 1), min(PINS_OF_LARGE if large else 2, len(positions))))
    whole, start = (None, None) if large else reference.seen()
    for position in positions:
        index, boxes, share = position["index"], position["boxes"], position["visible_fraction"]
        near = boxes["amodal"] or boxes["expected"]
        if (large and index not in chosen) or not meet(near, [0.0, 0.0, *size]):
            continue
        where = f"{place} {position['address']}"
        if position["kind"] == "missing":
            visible, alone = reference.mouth(index, near)
            into.add("mouth_percent", 100.0 * abs(visible / alone - share), 2.0, where)
            continue
        here, corner = reference.seen(near) if whole is None else (whole, start)
        here = here == index
        into.add("visible", off(boxes["visible"], reference.box(here, corner), *size), 0.5, where)
        if index in chosen and off(near, near, *size) is not None:
            standing = reference.standing(index, near)
            seen = min(1.0, np.count_nonzero(here) / standing)
            into.add("visible_percent", 100.0 * abs(seen - share), 2.0, where)
        free = not any(meet(boxes["amodal"], flaw["boxes"]["amodal"]) for flaw in record["other"])
        if position["kind"] == "ok" and share > 0.99 and free:
            into.whole += 1
            if (count := pieces(here)) != 1:
                into.in_pieces.append(f"{where}: {count}, {share:.4f} visible")
    for index in sorted(chosen):
        boxes = positions[index - 1]["boxes"]
        for kind in ("amodal", "expected"):
            if boxes[kind] is not None:
                alone = reference.alone(index, kind == "expected", boxes[kind])
                into.add(kind, off(boxes[kind], alone, *size), 0.25, f"{place} {index}")
    for code, flaw in zip(reference.flaws, record["other"], strict=True):
        boxes = flaw["boxes"]
        if flaw["kind"] == "chipped":  # a gap has no surface
            continue
        alone = reference.alone(code, False, boxes["amodal"])
        into.add("flaw_amodal", off(boxes["amodal"], alone, *size), 0.5, f"{place} {flaw['defect']}")
        here, corner = reference.seen(boxes["amodal"])
        box = reference.box(here == code, corner)
        into.add("flaw_visible", off(boxes["visible"], box, *size), 0.5, f"{place} {flaw['defect']}")


def compare_mask(reference: Reference, mask: np.ndarray, into: Deviations, place: str) -> None:
    """Compare a mask with the reference at the pixels' centres, without a lens's distortion; counts other pixels."""
    if not reference.lens.is_straight or mask.shape[1] > WHOLE_PX:
        return
    seen, _ = reference.seen(fine=3)
    seen = np.where(seen < MOUTHS, seen, 0)[1::3, 1::3]
    into.add("mask_pixels_in_1000", 1000.0 * float(np.mean(seen != mask)), 1.0, place)


def measure(rows: int, seed: int, scene: str, widths: list[int]) -> dict[str, object]:
    """Deviations of the records and masks of random rows from the reference."""
    from blender_scripts.geometry.visibility import Sight
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.manifest.record import read_record
    from blender_scripts.scene.renderer import Renderer

    source, into = random.Random(seed), Deviations()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = read_manifest(random_manifest(folder, rows, source, scene, widths), folder)
        output = OutputFolder(folder / "out")
        renderer = Renderer(manifest.connectors, output)
        masks, draw = [], Sight.draw

        def keep(*args):
            masks.append(draw(*args))
            return masks[-1]

        Sight.draw = keep
        for run in manifest.runs:
            renderer.render(run)
        Sight.draw = draw
        # Cycles' persistent data may lose the override's shader where objects are hidden between two
        # renders, which only this reference does: the remaining object is then black.
        renderer.tracer.render.use_persistent_data = False
        for run, mask in zip(manifest.runs, masks, strict=True):
            reference = Reference(renderer, run)
            compare(reference, read_record(output.record(run.run)), source, into)
            compare_mask(reference, mask, into, run.run)
        renderer.close()
    return {"rows": rows, "seed": seed, "scene": scene, "widths": widths, **into.summary()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scene", default="connector_3x9", help="a scene of scenes/ by its name, or a scene file")
    parser.add_argument("--widths", default="96,128,192,256", help="widths of the pictures, px")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else None)
    result = measure(options.rows, options.seed, options.scene, [int(width) for width in options.widths.split(",")])
    print("\n" + json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
