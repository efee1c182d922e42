"""Mesh files: what was written is read back, and a broken file is one error that names it."""

import copy
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.cad_file import FORMATS, FileProblem
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.mesh_files import mesh_of
from tests.blender_scripts.broken_files import cpu_limit, mutations
from tests.blender_scripts.geometry.mesh_bytes import (
    CUBE,
    SIDES,
    TRIANGLES,
    ascii_stl,
    binary_stl,
    chunks,
    every_format,
    glb,
    glb_document,
    obj,
    ply,
)
from tests.blender_scripts.geometry.meshes import volume
from tests.soak import rounds, times

FILES = every_format()


def problem_of(content: bytes, name: str) -> str:
    with pytest.raises(FileProblem) as caught:
        mesh_of(content, name)
    (problem,) = caught.value.problems
    assert problem.startswith(name) and problem.isprintable() and len(problem) < 400
    assert problem == f"{caught.value.place}: expected {caught.value.expected}, got {caught.value.got}"
    return problem


@pytest.mark.parametrize("name", FILES)
def test_the_cube_is_read_from_every_format(name: str) -> None:
    mesh = mesh_of(FILES[name], name)
    assert len(mesh.vertices) == 8 and not mesh.smooth.any()
    assert set(map(tuple, mesh.vertices.tolist())) == set(map(tuple, CUBE.tolist()))
    assert mesh.sizes.tolist() in ([4] * 6, [3] * 12)
    assert volume(mesh) == pytest.approx(1.0)
    assert mesh.corners.dtype == mesh.sizes.dtype == np.int32


def test_every_format_has_a_file_here() -> None:
    assert {name.rpartition(".")[2] for name in FILES} == set(FORMATS) - {"blend"}


soups = st.integers(1, 30).flatmap(
    lambda count: st.lists(
        st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0.0 or abs(v) > 1e-30),
        min_size=9 * count,
        max_size=9 * count,
    )
)


@given(soups)
@settings(max_examples=times(60))
def test_all_formats_agree_on_any_triangles(values: list[float]) -> None:
    points = np.array(values).reshape(-1, 3, 3)
    vertices, triangles = points.reshape(-1, 3), np.arange(3 * len(points)).reshape(-1, 3)
    contents = {
        "a.stl": binary_stl(points),
        "b.stl": ascii_stl(points),
        "c.obj": obj(vertices, triangles.tolist()),
        "d.ply": ply(vertices, triangles.tolist(), "ascii"),
        "e.ply": ply(vertices, triangles.tolist(), "binary_big_endian"),
        "f.glb": glb(vertices, triangles),
    }
    whole = [t for t in points.tolist() if len({tuple(v) for v in t}) == 3]
    for name, content in contents.items():
        if not whole:
            assert "at least one face with three different corners" in problem_of(content, name)
            continue
        mesh = mesh_of(content, name)
        assert [mesh.vertices[list(face)].tolist() for face in mesh.faces] == whole
        assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)


def test_quads_and_triangles_mixed_in_every_format_that_has_them() -> None:
    faces = [*SIDES[:5], (1, 5, 7), (1, 7, 3)]
    for name, content in {
        "a.obj": obj(CUBE, faces),
        "b.ply": ply(CUBE, faces, "ascii"),
        "c.ply": ply(CUBE, faces, "binary_little_endian"),
        "d.ply": ply(CUBE, faces, "binary_big_endian"),
    }.items():
        mesh = mesh_of(content, name)
        assert mesh.sizes.tolist() == [4] * 5 + [3] * 2 and volume(mesh) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["SOLID X\r\n", "solid\r\n", "solid my solid endsolid\n", "\n  solid a\tb\n"])
def test_ascii_stl_in_other_spellings(text: str) -> None:
    body = ascii_stl(CUBE[TRIANGLES]).decode().split("\n", 1)[1]
    if "\r" in text:
        body = body.replace("\n", "\r\n").upper()
    assert len(mesh_of((text + body).encode(), "a.stl").sizes) == 12


def test_ascii_stl_of_several_solids() -> None:
    points = CUBE[TRIANGLES]
    content = ascii_stl(points[:5], "a") + b"\n" + ascii_stl(points[5:], "b")
    assert volume(mesh_of(content, "a.stl")) == pytest.approx(1.0)


def test_obj_lines_may_be_continued() -> None:
    content = obj(CUBE, SIDES).replace(b"f 1 2", b"f \\\n1 2")
    assert len(mesh_of(content, "a.obj").sizes) == 6


SPELLINGS = {
    "a mark of UTF-8": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16, little endian": lambda text: text.encode("utf-16"),
    "UTF-16, big endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "a mark and CR": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("name", ["a.stl", "a.obj", "a.ply"])
def test_text_is_read_whatever_its_mark_and_line_ends(name: str, spelling) -> None:
    # A vertex that no face uses: without the first one every number would still be in range.
    spare = np.concatenate([CUBE, [[0.5, 0.5, 0.25]]])
    text = {"a.stl": ascii_stl(CUBE[TRIANGLES]), "a.obj": obj(spare, SIDES), "a.ply": ply(spare, SIDES, "ascii")}[name]
    if name == "a.obj":
        text = text.partition(b"v ")[1] + text.partition(b"v ")[2]
    mesh = mesh_of(spelling(text.decode()), name)
    assert sorted(mesh.vertices.tolist()) == sorted(CUBE.tolist()) and volume(mesh) == pytest.approx(1.0)


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
@pytest.mark.parametrize("first", [0.0, 3.1e-44, struct.unpack("<f", b"\n\r\n\r")[0]])
def test_a_binary_ply_keeps_its_bytes_after_a_header_with_other_line_ends(end: bytes, first: float) -> None:
    points = np.array([[first, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    head += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    body = points.astype("<f4").tobytes() + struct.pack("<B3i", 3, 0, 1, 2)
    mesh = mesh_of(b"\xef\xbb\xbf" + head.encode().replace(b"\n", end) + body, "a.ply")
    assert sorted(mesh.vertices.tolist()) == sorted(points.astype(np.float32).tolist())


def test_obj_lines_in_capitals_with_comments_and_marks_between_joined_files() -> None:
    first, second = obj(CUBE[:4], []), obj(CUBE[4:], SIDES)
    second = second[second.index(b"v ") :].replace(b"f ", b"  F ").replace(b"/1\n", b"/1 # a side\n")
    mesh = mesh_of(first + b"\xef\xbb\xbf" + second, "a.obj")
    assert len(mesh.vertices) == 8 and len(mesh.sizes) == 6


def glb_with(change: dict, node: dict | None = None) -> bytes:
    """The cube's .glb with parts of its JSON replaced: {"meshes.0.primitives.0.mode": 7}."""
    document, binary = glb_document(CUBE, TRIANGLES, node=node)
    document = copy.deepcopy(document)
    for path, value in change.items():
        place = document
        *above, last = (int(key) if key.isdecimal() else key for key in path.split("."))
        for key in above:
            place = place[key]
        place[last] = value
    return chunks(document, binary)


@pytest.mark.parametrize(
    ("node", "corner", "size"),
    [
        ({"translation": [1, 2, 3]}, (1, 2, 3), 1),
        ({"scale": [2, 3, 4]}, (0, 0, 0), 24),
        ({"scale": [-1, 1, 1]}, (-1, 0, 0), 1),
        ({"rotation": [0, 0, 0.5**0.5, 0.5**0.5]}, (-1, 0, 0), 1),
        ({"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 5, 6, 7, 1]}, (5, 6, 6), 1),
    ],
)
def test_glb_nodes_move_turn_scale_and_mirror(node: dict, corner: tuple, size: float) -> None:
    mesh = mesh_of(glb_with({}, node), "a.glb")
    assert mesh.vertices.min(axis=0) == pytest.approx(corner, abs=1e-6)
    assert volume(mesh) == pytest.approx(size)


def test_glb_nodes_below_nodes_and_one_mesh_twice() -> None:
    nodes = [
        {"translation": [10, 0, 0], "scale": [2, 2, 2], "children": [1, 2]},
        {"mesh": 0, "translation": [1, 0, 0]},
        {"mesh": 0, "translation": [-5, 0, 0]},
        {"mesh": 0, "translation": [99, 0, 0]},  # in no scene
    ]
    mesh = mesh_of(glb_with({"nodes": nodes}), "a.glb")
    assert len(mesh.sizes) == 24 and volume(mesh) == pytest.approx(16.0)
    assert mesh.vertices[:, 0].min() == 0.0 and mesh.vertices[:, 0].max() == 14.0


def test_glb_without_scenes_takes_every_node_that_is_below_none() -> None:
    nodes = [{"mesh": 0}, {"mesh": 0, "translation": [3, 0, 0]}]
    document, binary = glb_document(CUBE, TRIANGLES)
    del document["scenes"], document["scene"]
    assert len(mesh_of(chunks({**document, "nodes": nodes}, binary), "a.glb").sizes) == 24


def test_glb_strips_and_fans_keep_their_outside() -> None:
    flat = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], float)
    round_ = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    for content in (glb(flat, np.arange(4), mode=5), glb(round_, np.arange(4), mode=6)):
        mesh = mesh_of(content, "a.glb")
        assert len(mesh.sizes) == 2
        for face in mesh.faces:
            a, b, c = mesh.vertices[list(face)]
            assert np.cross(b - a, c - a)[2] > 0.0


def test_glb_without_indices_and_with_interleaved_normals() -> None:
    points = CUBE[TRIANGLES].reshape(-1, 3)
    rows = np.hstack([points, np.ones_like(points)]).astype("<f4")
    document, _ = glb_document(points, TRIANGLES)
    del document["meshes"][0]["primitives"][0]["indices"]
    document["bufferViews"][0] = {"buffer": 0, "byteLength": rows.nbytes, "byteStride": 24}
    assert volume(mesh_of(chunks(document, rows.tobytes()), "a.glb")) == pytest.approx(1.0)


def test_glb_with_quantised_positions() -> None:
    positions = np.pad((CUBE * 32767).astype("<i2"), ((0, 0), (0, 1))).tobytes()
    indices = TRIANGLES.astype("<u2").tobytes()
    document, _ = glb_document(CUBE, TRIANGLES)
    document["extensionsRequired"] = ["KHR_mesh_quantization"]
    document["accessors"][0].update(componentType=5122, normalized=True)
    document["bufferViews"] = [
        {"buffer": 0, "byteLength": len(positions), "byteStride": 8},
        {"buffer": 0, "byteOffset": len(positions), "byteLength": len(indices)},
    ]
    mesh = mesh_of(chunks(document, positions + indices), "a.glb")
    assert volume(mesh) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "got Draco compression"),
        ({"extensionsRequired": ["EXT_meshopt_compression"]}, "got meshopt compression"),
        ({"extensionsRequired": ["VENDOR_thing"]}, "got the extension 'VENDOR_thing'"),
        ({"extensionsRequired": [3]}, "got the extension 3"),
        (
            {"meshes.0.primitives.0.extensions": {"KHR_draco_mesh_compression": {}}},
            "mesh 0 primitive 0: expected glTF 2.0 without extensions that change the geometry, got Draco compression",
        ),
        ({"bufferViews.0.extensions": {"EXT_meshopt_compression": {}}}, "got meshopt compression"),
        ({"nodes.0.extensions": {"EXT_mesh_gpu_instancing": {}}}, "got instancing"),
        ({"buffers.0.uri": "../../secret.bin"}, "got a buffer in another file or a URI"),
        ({"buffers.0.uri": "data:application/octet-stream;base64,AA=="}, "got a buffer in another file"),
        ({"accessors.0.sparse": {"count": 1}}, "accessor 0: expected an accessor that is not sparse, got a sparse one"),
        ({"accessors.0.count": 4_000_000_000}, "expected 4000000000 entries that end within the file's buffer"),
        ({"accessors.0.count": -1}, "expected count as an integer of 0 or more, got -1"),
        ({"accessors.0.count": 10**400}, "expected count as an integer"),
        ({"accessors.0.type": "VEC4"}, "expected the type VEC3, got 'VEC4'"),
        ({"accessors.1.componentType": 5126}, "expected a componentType of 5121, 5123, 5125, got 5126"),
        ({"bufferViews.0.byteOffset": 90}, "entries that end within the file's buffer"),
        ({"bufferViews.0.byteStride": 4}, "entries that end within the file's buffer"),
        ({"meshes.0.primitives.0.mode": 7}, "expected a mode from 0 to 6, got 7"),
        ({"meshes.0.primitives.0.mode": 1}, "expected at least one triangle in the default scene, got none"),
        (
            {"meshes.0.primitives.0.attributes.POSITION": 9},
            "expected the index of an object in the array accessors (length 2), got 9",
        ),
        ({"accessors.1.count": 35}, "expected three vertices for each triangle, got 35 vertices in all"),
        ({"accessors.0.count": 7}, "expected indices below 7, got 7"),
        ({"nodes.0.children": [0]}, "expected a tree of nodes"),
        ({"nodes.0.rotation": [0, 0, 0, 0]}, "expected a rotation quaternion of length 1"),
        ({"nodes.0.rotation": [0, "a", 0, 1]}, "expected rotation as an array of 4 numbers"),
        ({"nodes.0.scale": [1e300, 1, 1]}, "expected scale as an array of 3 numbers"),
        ({"nodes.0.matrix": [0.0] * 16}, "expected a matrix with the bottom row 0, 0, 0, 1"),
        ({"nodes.0.skin": 0}, "expected a mesh that no skin (bones) deforms"),
        ({"scene": 3}, "expected the index of an object in the array scenes (length 1), got 3"),
        ({"scenes.0.nodes": [True]}, "expected the index of an object in the array nodes (length 1), got True"),
    ],
    ids=str,
)
def test_what_a_glb_may_not_say(change: dict, expected: str) -> None:
    assert expected in problem_of(glb_with(change), "a.glb")


def stl_with(place: int, value: float) -> bytes:
    content = bytearray(FILES["binary.stl"])
    struct.pack_into("<f", content, 84 + place * 50 + 12, value)
    return bytes(content)


PLY_HEAD = "ply\nformat ascii 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
PLY_FACES = "element face {}\nproperty list uchar int vertex_indices\nend_header\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.stl", b"", "expected a mesh, got an empty file"),
        ("a.stl", b"hello", "expected an ASCII STL, which begins with solid, or a binary one"),
        ("a.stl", FILES["binary.stl"][:-7], "expected 684 bytes, as its header states 12 triangles, got 677"),
        ("a.stl", b"\0" * 80 + b"\xff" * 4 + b"\0" * 50, "as its header states 4294967295 triangles"),
        ("a.stl", binary_stl(np.zeros((0, 3, 3))), "expected at least one face with three different corners, got none"),
        ("a.stl", stl_with(3, np.nan), "a.stl triangle 4 of 12: expected finite coordinates, got inf or nan"),
        ("a.stl", stl_with(0, np.inf), "a.stl triangle 1 of 12: expected finite coordinates"),
        ("a.stl", stl_with(0, 1e30), "expected coordinates between -1e+09 and 1e+09"),
        ("a.stl", FILES["ascii.stl"][:700], "expected"),
        ("a.stl", FILES["ascii.stl"].split(b"endsolid")[0], "expected endsolid at the end"),
        (
            "a.stl",
            FILES["ascii.stl"].replace(b"outer", b"inner", 1),
            "a.stl:3 facet: expected the word outer, got 'inner'",
        ),
        (
            "a.stl",
            FILES["ascii.stl"].replace(b"vertex 0.0", b"vertex nan", 1),
            "a.stl:4 facet: expected a finite number, got 'nan'",
        ),
        ("a.obj", b"v 1 2\n", "a.obj:1 vertex: expected three numbers, got 'v 1 2'"),
        ("a.obj", b"v 1 2 x\n", "a.obj:1 vertex: expected three numbers"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 inf 0\nf 1 2 3\n", "a.obj:3 vertex: expected finite coordinates"),
        ("a.obj", b"v 0 0 0\nf 1 1\n", "a.obj:2 face: expected 3 to 10000 corners, got 2"),
        ("a.obj", b"v 0 0 0\nf 1 2 3\n", "a.obj face: expected vertex numbers up to 1, got 3"),
        ("a.obj", b"v 0 0 0\nf 1 0 1\n", "that count back over vertices above (1 so far), got 'f 1 0 1'"),
        ("a.obj", b"v 0 0 0\nf -1 -2 -1\n", "a.obj:2 face: expected vertex numbers from 1, or negative ones that"),
        ("a.obj", b"v 0 0 0\nf 1 1 " + b"9" * 5000, "a.obj:2 face: expected vertex numbers such as"),
        ("a.obj", b"v 0 0 0\nf 1 1 " + b"9" * 4000, "a.obj face: expected vertex numbers up to 1"),
        ("a.obj", b"\x89PNG\r\n\x1a\n\0\0", "expected at least one face (a line that begins with f), got none"),
        ("a.ply", b"PLY\n", "expected a PLY file, which begins with ply, got b'PLY"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "expected a header that ends with end_header, got none"),
        ("a.ply", b"ply\nformat ascii 2.0\nend_header\n", "a.ply:2 header: expected a valid line of a PLY header"),
        ("a.ply", b"ply\nelement vertex 1\nend_header\n", "expected a header line such as 'format ascii 1.0'"),
        ("a.ply", PLY_HEAD.format(3).encode() + b"end_header\n0 0 0\n", "expected at least one vertex and one face"),
        (
            "a.ply",
            (PLY_HEAD.format(99999999999) + PLY_FACES.format(1)).encode() + b"0 0 0\n3 0 0 0\n",
            "a.ply vertex: expected 99999999999 entries, got a truncated file",
        ),
        (
            "a.ply",
            (PLY_HEAD.format(1) + PLY_FACES.format(1)).encode() + b"0 0 0\n3 0 0 1\n",
            "a.ply face 1 of 1: expected vertex indices from 0 to 0, got 1",
        ),
        (
            "a.ply",
            (PLY_HEAD.format(1) + PLY_FACES.format(2)).encode() + b"0 0 0\n3 0 0 0\n2 0 0\n",
            "a.ply face 2 of 2: expected 3 to 10000 corners, got 2",
        ),
        (
            "a.ply",
            (PLY_HEAD.format(1) + PLY_FACES.format(1)).encode() + b"0 0 nan\n3 0 0 0\n",
            "a.ply vertex 1 of 1: expected finite coordinates, got inf or nan",
        ),
        (
            "a.ply",
            (PLY_HEAD.format(1) + PLY_FACES.format(1)).encode() + b"0 0 0\n999999999 0 0 0\n",
            "a.ply face 1 of 1: expected a list: its length, then that many numbers",
        ),
        ("a.ply", FILES["ascii.ply"].replace(b"float y", b"float w"), "the element vertex with the numbers x, y"),
        ("a.ply", FILES["ascii.ply"].replace(b"vertex_index", b"corners"), "with the list of integers vertex_indices"),
        ("a.ply", FILES["binary_big_endian.ply"][:-90], "got a truncated file"),
        (
            "a.ply",
            FILES["binary_big_endian.ply"].replace(b"binary_big", b"binary_little"),
            "expected",
        ),
        ("a.glb", FILES["triangles.glb"][:50], "as its header says, got 50 bytes"),
        ("a.glb", b"glTF" + b"\1\0\0\0" + FILES["triangles.glb"][8:], "expected glTF of version 2, got version 1"),
        ("a.glb", b"glTX" + FILES["triangles.glb"][4:], "expected a binary glTF file, which begins with glTF"),
        ("a.glb", b"glTF", "expected at least 20 bytes: a glTF header and one chunk, got 4 bytes"),
        ("a.glb", chunks(b"[" * 100_000, b""), "expected valid JSON"),
        ("a.glb", chunks(b"[]", b""), "a.glb JSON: expected a JSON object, got []"),
        ("a.glb", chunks(b"\xff\xfe\xfd\xfc", b""), "expected valid JSON"),
        ("a.step", b"ISO-10303-21;", "name that ends in one of .stl, .obj, .ply, .glb, .blend, got .step"),
        ("stl", b"solid", "got no ending"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_broken_files_are_named_with_the_place(name: str, content: bytes, expected: str) -> None:
    assert expected in problem_of(content, name)


def test_absurd_counts_take_no_memory() -> None:
    many = np.zeros((2_000_001, 50), np.uint8)
    content = b"\0" * 80 + struct.pack("<I", len(many)) + many.tobytes()
    assert "expected at most 2000000 triangles, got 2000001" in problem_of(content, "a.stl")
    # A fan of one large mesh by many small nodes.
    points = CUBE[TRIANGLES].reshape(-1, 3)
    document, binary = glb_document(np.tile(points, (500, 1)), np.arange(18000))
    document["nodes"] = [{"mesh": 0} for _ in range(400)]
    document["scenes"] = [{"nodes": list(range(400))}]
    with cpu_limit(10.0):
        assert "expected at most 2000000 triangles" in problem_of(chunks(document, binary), "a.glb")


@pytest.mark.parametrize("part", rounds(1))
@pytest.mark.parametrize("name", FILES)
def test_a_thousand_mutations_are_a_mesh_or_one_error(name: str, part: int) -> None:
    refused = 0
    with cpu_limit(120.0):
        for broken in [*mutations(FILES[name], 7 + part, 600, " "), *_flipped(FILES[name], 400, 3 + part)]:
            try:
                mesh = mesh_of(broken, name)
            except InputError as error:
                refused += 1
                (problem,) = error.problems
                assert problem.startswith(name) and ": expected " in problem and ", got " in problem
                assert problem.isprintable() and len(problem) < 700, problem
            else:
                assert np.isfinite(mesh.vertices).all() and len(mesh.sizes)
                assert mesh.sizes.min() >= 3 and mesh.sizes.sum() == len(mesh.corners)
                assert mesh.corners.min() >= 0 and mesh.corners.max() < len(mesh.vertices)
    assert refused > 100


def _flipped(content: bytes, count: int, seed: int) -> list[bytes]:
    """One to three bytes set to critical values, also in the header; or the file truncated."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        broken = bytearray(content)
        for _ in range(source.choice((1, 1, 3))):
            start = source.randrange(len(broken)) if number % 2 else source.randrange(min(200, len(broken)))
            broken[start : start + source.choice((1, 2, 4))] = source.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"9", b"-")
            )
        found.append(bytes(broken[: source.randrange(len(broken))] if number % 10 == 0 else broken))
    return found
