"""Run inside a Blender: make .blend files, export a scene's own housing as CAD, or read files as the renderer does.

    … -P blend_maker.py -- make FOLDER
    … -P blend_maker.py -- export SCENE.toml HOUSING FOLDER
    … -P blend_maker.py -- read FILE... [FILE#OBJECT]...

`make` writes valid files, and one that tries every way of running code to create FOLDER/ran. `read` writes one line
of JSON per file to standard output, then the data that remain in bpy.data.
"""

import json
import os
import sys
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[3]
TRAP = """
import bpy, pathlib
pathlib.Path({marker!r}).touch()
def ran(*_):
    pathlib.Path({marker!r}).touch()
for handlers in (bpy.app.handlers.load_post, bpy.app.handlers.depsgraph_update_post, bpy.app.handlers.frame_change_pre):
    handlers.append(ran)
bpy.app.timers.register(lambda: ran())
bpy.app.driver_namespace['trap'] = ran
"""


def _cube(name: str, scale: float = 1.0) -> bpy.types.Object:
    corners = [(x, y, z) for x in (0, scale) for y in (0, scale) for z in (0, scale)]
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], sides)
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _empty(name: str) -> bpy.types.Object:
    thing = bpy.data.objects.new(name, None)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _save(folder: Path, name: str, compress: bool = False) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / name), compress=compress, check_existing=False)


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def fresh() -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)

    fresh()
    above = _empty("above")
    above.location, above.scale, above.rotation_euler[2] = (1, 2, 3), (2, 2, 2), 0.5
    below = _cube("housing")
    below.parent, below.location, below.delta_location = above, (1, 0, 0), (0, 5, 0)
    below.matrix_parent_inverse[0][3] = 7.0
    mirrored = _cube("mirrored")
    mirrored.scale = (-1, 1, 1)
    hidden = _cube("hidden", 50.0)
    hidden.hide_render = True
    bpy.context.view_layer.update()
    world = [list(row) for row in below.matrix_world]
    (folder / "world.json").write_text(json.dumps(world))
    bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    _save(folder, "good.blend")
    _save(folder, "packed.blend", compress=True)

    fresh()
    root = bpy.context.scene.collection
    hidden, inner, excluded, within = (bpy.data.collections.new(name) for name in "abcd")
    for above_it, one in ((root, hidden), (hidden, inner), (root, excluded), (excluded, within)):
        above_it.children.link(one)
    hidden.hide_render = True
    for one, name in ((hidden, "hidden"), (inner, "below hidden"), (excluded, "excluded"), (within, "within")):
        root.objects.unlink(_cube(name, 50.0))
        one.objects.link(bpy.data.objects[name])
    _cube("housing")
    hidden.objects.link(bpy.data.objects["housing"])
    left_out = bpy.context.view_layer.layer_collection.children[excluded.name]
    left_out.exclude = True
    bpy.data.objects.new("nowhere", bpy.data.objects["hidden"].data).use_fake_user = True
    _save(folder, "collections.blend")
    left_out.children[within.name].exclude = False
    _save(folder, "within.blend")
    bpy.data.scenes.new("second")
    _save(folder, "scenes.blend")

    fresh()
    _save(folder, "nothing.blend")
    fresh()
    _cube("round").modifiers.new("Bevel", "BEVEL")
    _save(folder, "modifier.blend")
    fresh()
    _cube("key").shape_key_add(name="Basis")
    _save(folder, "shape_keys.blend")
    fresh()
    _cube("tied").constraints.new("LIMIT_LOCATION")
    _save(folder, "constraint.blend")
    fresh()
    many = _empty("many")
    group = bpy.data.collections.new("group")
    group.objects.link(_cube("one"))
    many.instance_type, many.instance_collection = "COLLECTION", group
    _save(folder, "instances.blend")
    fresh()
    with bpy.data.libraries.load(str(folder / "good.blend"), link=True) as (_, taken):
        taken.objects = ["housing"]
    bpy.context.scene.collection.objects.link(taken.objects[0])
    _cube("own")
    _save(folder, "linked.blend")

    fresh()
    marker = str(folder / "ran")
    text = bpy.data.texts.new("start.py")
    text.write(TRAP.format(marker=marker))
    text.use_module = True
    thing = _cube("housing")
    driver = thing.driver_add("location", 0).driver
    driver.type, driver.expression = "SCRIPTED", f"__import__('pathlib').Path({marker!r}).touch() or 3"
    # The object refers to the text, so that linking the object links it too.
    thing["script"] = text
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    _save(folder, "trap.blend")


def export(scene: Path, housing: str, folder: Path) -> None:
    """Export a scene's walls and floor as a CAD program might: own.npz, and own.blend in inches with Y up."""
    sys.path.insert(0, str(ROOT))
    import numpy as np

    from blender_scripts.contract.connector import read_connector
    from blender_scripts.geometry.mesh import join
    from blender_scripts.scene import stage

    bpy.ops.wm.read_factory_settings(use_empty=True)
    connector = read_connector(scene)
    terminals = (connector.terminals["round"],) * len(connector.positions)
    places = tuple((position.x_mm, position.y_mm) for position in connector.positions)
    floor = stage._floor(connector, terminals, places).moved((0.0, 0.0, -connector.shell.depth_mm))
    whole = join([stage._walls(connector, housing, ()), floor])
    x, y, z = whole.vertices.T / 25.4
    own = np.column_stack([x, z, -y])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "own.npz", vertices=own, corners=whole.corners, sizes=whole.sizes)
    mesh = bpy.data.meshes.new("own")
    mesh.from_pydata(own.tolist(), [], whole.faces)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("own", mesh))
    _save(folder, "own.blend")


def spring(path: str) -> None:
    """Open a file with its scripts enabled."""
    bpy.ops.wm.open_mainfile(filepath=path, use_scripts=True)
    bpy.context.view_layer.update()


def read(names: list[str]) -> None:
    sys.path.insert(0, str(ROOT))
    from blender_scripts.contract.cad_file import CadFile, CadPlacement
    from blender_scripts.contract.errors import InputError
    from blender_scripts.scene.blend_files import read_cad

    bpy.ops.wm.read_factory_settings(use_empty=True)
    lines = []
    for name in names:
        path, _, thing = name.partition("#")
        try:
            file = CadFile.find(Path(path).parent, Path(path).name)
            mesh = read_cad(file, CadPlacement(), thing or None, 0.0)
            lines.append({"vertices": mesh.vertices.tolist(), "faces": mesh.faces})
        except InputError as error:
            lines.append({"problems": error.problems})
    kinds = ("objects", "meshes", "texts", "libraries", "actions", "materials", "images")
    lines.append({"left": {kind: len(getattr(bpy.data, kind)) for kind in kinds}})
    sys.stdout.flush()
    os.write(1, ("\n" + "\n".join(map(json.dumps, lines)) + "\n").encode())


if __name__ == "__main__":
    what, *rest = sys.argv[sys.argv.index("--") + 1 :]
    if what == "make":
        make(Path(rest[0]))
    elif what == "export":
        export(Path(rest[0]), rest[1], Path(rest[2]))
    elif what == "spring":
        spring(rest[0])
    else:
        read(rest)
