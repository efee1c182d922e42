"""Seeded mutations of small valid inputs: what disks, editors, spreadsheets and other tools do to files."""

import contextlib
import io
import json
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Tree = dict[str, bytes]  # content by path; a path that ends in / is a folder
VALUES: tuple[Any, ...] = (
    *(None, True, "", " ", "x", "1", "é\u0301傷", "n" * 300, "a\0b", "../up", "C:\\pics\\a.png", "/etc/hosts"),
    *(0, -1, 1, 2, 0.5, 1.5, 64, 65, 10**9, 10**400, -(10**30), 1e-300, 1e308, float("nan"), float("inf")),
    *([], [[]], [[[]]], {}, {"a": {}}, [None], [1, 2], ["x"], [[1, 2, 3, 4]]),
)
NUMBERS = ("NaN", "inf", "1e309", "-1", "0", "0.5", "9" * 30, "9" * 5000, "1e-400", "", "x", "null", "[]", '"1"', "1,5")
WORDS = ("", " ", "é", "傷", "x" * 300, "../x", "C:\\x", "a b", "%20", "null", "NO", "1", "\0", '"', ",", "\u2028")
LEFT_BEHIND = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._a.png",
    "__MACOSX/a.png",
    "@eaDir/a.png",
    ".ipynb_checkpoints/a.png",
)
PICTURES = (".png", ".jpg")
TEXTS = (".json", ".jsonl", ".yaml", ".txt", ".xml", ".csv")


def write_tree(tree: Tree, folder: Path) -> Path:
    """Write the files into a new folder; a path that ends in `/` is a folder."""
    folder.mkdir(parents=True)
    for name, content in tree.items():
        path = folder / name
        with contextlib.suppress(OSError):  # a mutation may put a file where a folder is
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
            else:
                path.write_bytes(content)
    return folder


def mutated(tree: Tree, seed: int, fixed: tuple[str, ...] = ()) -> tuple[Tree, list[str]]:
    """Change a tree once to three times; returns it and what was done.

    Args:
        tree: the valid input.
        seed: decides everything.
        fixed: files that keep their names.
    """
    rng = random.Random(seed)
    tree, done = dict(tree), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.choices(("content", "structure", "files"), (3, 4, 2))[0]
        names = sorted(name for name in tree if not name.endswith("/"))
        if kind == "files" or not names:
            done.append(_change_files(rng, tree, fixed))
            continue
        texts = [name for name in names if not name.endswith(PICTURES)]
        name = rng.choice(texts if texts and rng.random() < 0.85 else names)
        change: Callable[[random.Random, bytes], bytes] = rng.choice(BYTES)
        if kind == "structure" or rng.random() < 0.6:
            change = rng.choice(_structural(name))
        tree[name] = change(rng, tree[name])
        done.append(f"{change.__name__} of {name}")
    return tree, done


def _structural(name: str) -> list[Callable[[random.Random, bytes], bytes]]:
    suffix = Path(name).suffix.lower()
    if suffix in (".json", ".jsonl"):
        return [json_node, json_node, *LINES]
    known = {".npz": [npz_array], ".safetensors": [tensor_header], ".png": [other_picture]}
    return known.get(suffix, LINES if suffix in TEXTS else BYTES)


# Bytes.


def truncated(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def emptied(rng: random.Random, content: bytes) -> bytes:
    return b""


def flipped(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def inserted(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 9))) + content[at:]


def without_span(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 5, 40)) :]


def with_span_twice(rng: random.Random, content: bytes) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.choice((1, 5, 40))
    return content[: at + length] + content[at:]


def in_another_encoding(rng: random.Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.replace("b", "é", 1).encode(rng.choice(("utf-16", "utf-8-sig", "latin-1", "utf-16-be")), "replace")


BYTES = [truncated, emptied, flipped, inserted, without_span, with_span_twice, in_another_encoding]

# Lines and words of a text.


def lines_changed(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if not lines:
        return b"\n\n"
    at = rng.randrange(len(lines))
    how = rng.choice(("drop", "double", "swap", "blank"))
    if how == "drop":
        del lines[at]
    elif how == "double":
        lines.insert(at, lines[at])
    elif how == "swap":
        lines[at], lines[0] = lines[0], lines[at]
    else:
        lines.insert(at, b"  \n")
    return b"".join(lines)


def other_line_ends(rng: random.Random, content: bytes) -> bytes:
    return content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8")))


def number_changed(rng: random.Random, content: bytes) -> bytes:
    return _replaced(rng, content, rb"-?\d+\.?\d*", rng.choice(NUMBERS))


def word_changed(rng: random.Random, content: bytes) -> bytes:
    return _replaced(rng, content, rb"[A-Za-z_][\w.]*", rng.choice(WORDS))


def separator_changed(rng: random.Random, content: bytes) -> bytes:
    old = rng.choice((b",", b"/", b" ", b":", b'"', b"<"))
    new = rng.choice((b";", b"\\", b"\t", b"", b"'", old * 2))
    return content.replace(old, new, rng.choice((1, 1, -1)))


def case_changed(rng: random.Random, content: bytes) -> bytes:
    return rng.choice((content.upper, content.lower, content.swapcase))()


def _replaced(rng: random.Random, content: bytes, pattern: bytes, new: str) -> bytes:
    found = list(re.finditer(pattern, content))
    if not found:
        return content + new.encode()
    match = rng.choice(found)
    return content[: match.start()] + new.encode() + content[match.end() :]


LINES = [lines_changed, other_line_ends, number_changed, number_changed, word_changed, separator_changed, case_changed]

# Structures.


def json_node(rng: random.Random, content: bytes) -> bytes:
    """Replace, remove, double or rename a value of a JSON text, or of a line of JSON lines."""
    try:
        return json.dumps(_node_changed(rng, json.loads(content))).encode()
    except ValueError:
        lines = content.split(b"\n")
        at = rng.randrange(len(lines))
        try:
            lines[at] = json.dumps(_node_changed(rng, json.loads(lines[at]))).encode()
        except ValueError:
            lines[at] = json.dumps(rng.choice(VALUES[:20])).encode()
        return b"\n".join(lines)


def _node_changed(rng: random.Random, document: Any) -> Any:
    nodes = list(_nodes(document))
    if not nodes:
        return rng.choice(VALUES)
    parent, key = rng.choice(nodes)
    how = rng.choice(("replace", "replace", "replace", "remove", "double", "borrow", "text", "wrap"))
    if how == "replace":
        parent[key] = rng.choice(VALUES)
    elif how == "remove":
        del parent[key]
    elif how == "double" and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif how == "borrow":
        other, there = rng.choice(nodes)
        parent[key] = json.loads(json.dumps(other[there]))
    elif how == "text":
        parent[key] = str(parent[key])
    else:
        parent[key] = [parent[key]]
    return document


def _nodes(value: Any) -> Any:
    """Every (container, key or index) of a JSON document."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _nodes(value[key])


def npz_array(rng: random.Random, content: bytes) -> bytes:
    """Change one array of an .npz file: values, type, shape, or take it away."""
    try:
        with np.load(io.BytesIO(content)) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception:  # changed before
        return flipped(rng, content)
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    if array.dtype == np.uint8 and array.ndim == 1 and array.tobytes()[:1] == b"{":  # a JSON header
        arrays[name] = np.frombuffer(json_node(rng, array.tobytes()), np.uint8)
    elif array.dtype.kind in "US":
        arrays[name] = np.array(json_node(rng, str(array).encode()).decode())
    else:
        changes: list[Callable[[np.ndarray], np.ndarray]] = [
            lambda a: a[..., :-1] if a.ndim else a,
            lambda a: a[None],
            lambda a: a.T,
            lambda a: a.astype(str),
            lambda a: a.astype(complex),
            lambda a: np.full(a.shape, np.nan),
            lambda a: np.full(a.shape, 1e308),
            lambda a: -a.astype(float) - 1,
            lambda a: a * 0,
            lambda a: np.zeros(0),
            lambda a: np.array([{"a": 1}], object),
        ]
        arrays[name] = rng.choice(changes)(array)
    if rng.random() < 0.15:
        del arrays[rng.choice(sorted(arrays))]
    file_ = io.BytesIO()
    np.savez(file_, **arrays)
    return file_.getvalue()


def tensor_header(rng: random.Random, content: bytes) -> bytes:
    """Change the JSON header of a safetensors file."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json_node(rng, content[8 : 8 + length])
    except struct.error:
        return flipped(rng, content)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def other_picture(rng: random.Random, content: bytes) -> bytes:
    try:
        picture = Image.open(io.BytesIO(content)).copy()
    except Exception:  # changed before
        return flipped(rng, content)
    exif = Image.Exif()
    exif[0x0112] = rng.choice((1, 2, 3, 6, 8, 99))
    change = rng.choice(("L", "1", "P", "RGBA", "I;16", "CMYK", "size", "turn"))
    if change == "size":
        picture = picture.resize((rng.choice((1, 15, 64, 300)), rng.choice((1, 40, 64))))
    elif change == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * rng.choice((1, 16, 257)))
    elif change != "turn":
        picture = picture.convert(change)
    file = io.BytesIO()
    picture.save(file, "TIFF" if change == "CMYK" else "PNG", exif=exif)
    return file.getvalue()


# Files.


def _change_files(rng: random.Random, tree: Tree, fixed: tuple[str, ...]) -> str:
    """Drop, copy, rename, move or replace a file of the tree in place; returns what was done."""
    names = sorted(name for name in tree if not name.endswith("/") and name not in fixed)
    how = rng.choice(("drop", "copy", "rename", "move", "folder", "left", "swap", "clone"))
    if how == "left" or not names:
        name = rng.choice(LEFT_BEHIND)
        folder = rng.choice(sorted({Path(given).parent.as_posix() for given in tree} | {"."}))
        tree[f"{folder}/{name}".removeprefix("./")] = rng.choice(sorted(tree.values())) if tree else b""
        return f"{name} left in {folder}"
    name = rng.choice(names)
    path = Path(name)
    new = {
        "copy": path.with_name(f"{path.stem} copy{path.suffix}"),
        "rename": path.with_name(
            rng.choice((path.name.upper(), f"a%20{path.name}", f"傷 {path.name}", f"{path.stem}.x{path.suffix}"))
        ),
        "move": path.parent / rng.choice(("more", "test", "OK")) / path.name,
    }.get(how)
    if new is not None:
        tree[new.as_posix()] = tree[name]
    if how in ("drop", "rename", "move", "folder"):
        del tree[name]
        if how == "folder":
            tree[f"{name}/"] = b""
    elif how in ("swap", "clone"):
        other = rng.choice(names)
        tree[name], tree[other] = tree[other], tree[name if how == "swap" else other]
    return f"{how} {name}"
