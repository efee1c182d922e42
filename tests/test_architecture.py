"""What may import what, and what may not be written anywhere: the rules that ruff cannot say.

Third-party packages are allowed where pyproject.toml declares them, so the allow-lists below name extras.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("blender_scripts", "generator", "trainer")

# Readable without Blender and without numpy: what `generator` shares with the renderer.
CONTRACT = {
    f"blender_scripts.{name}"
    for name in (
        "errors",
        "manifest",
        "connector",
        "contour",
        "positions",
        "housings",
        "terminals",
        "views",
        "toml_section",
        "text_file",
        "defect",
        "defects",
        "kinds",
        *(f"kinds.{path.stem}" for path in (ROOT / "blender_scripts" / "kinds").glob("[a-z]*.py")),
        "pin",
        "flaw",
        "part",
        "record",
        "draws",
        "placement",
        "clearance",
        "lettering",
        "output_folder",
        "scratch",
        "cad",
    )
}
# Readable without Blender, with numpy: `generator check` reads a user's meshes as the renderer does, and a label needs
# to know where a record's camera saw a point.
NUMPY_CONTRACT = {
    f"blender_scripts.{name}"
    for name in ("mesh", "mesh_files", "ply", "glb", "welding", "lens", "sensor", "optics")
}
BLENDER_PYTHON = {"numpy", "bpy", "mathutils", "bpy_extras", "_cycles"}
TRAINER_MAY_IMPORT = {
    "generator.features",
    "generator.bbox_str",
    "generator.soart",
    "generator.hub",
    "generator.views",
}
# Runs on an edge computer with the base installation, without any extra.
BASE_ONLY = {
    f"generator.{name}"
    for name in (
        "soart",
        "soart_kernels",
        "soart_gram",
        "soartc",
        "registration",
        "false_alarms",
        "pins",
        "picture_files",
        "output_file",
        "inspection",
        "inspect",
        "inspect_figure",
    )
}

IMPORT_NAMES = {"pillow": "PIL", "pyyaml": "yaml"}


def declared(*extras: str) -> set[str]:
    """Import names of the base dependencies and of these extras, as pyproject.toml declares them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements = [*project["dependencies"]]
    for extra in extras:
        requirements += project["optional-dependencies"][extra]
    names = [re.match(r"[A-Za-z0-9_.-]+", requirement)[0].lower() for requirement in requirements]
    return {IMPORT_NAMES.get(name, name) for name in names}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(dotted: str) -> bool:
    path = ROOT / Path(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every module that the code of `module` imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A package's own code counts its dots from inside the package.
            up = node.level - (ROOT / Path(*module.split("."))).is_dir()
            package = module.split(".")[: -up or None] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                member = f"{base}.{alias.name}"
                is_own = base.split(".")[0] in FOLDERS
                yield node.lineno, member if is_own and is_module(member) else base


def may_import(module: str, target: str) -> bool:
    """The allow-list: whether the project's `module` may import `target`."""
    folder, top = module.split(".")[0], target.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if module in CONTRACT:
        return target in CONTRACT
    if module in NUMPY_CONTRACT:
        return top == "numpy" or target in CONTRACT | NUMPY_CONTRACT
    if folder == "blender_scripts":
        return top in BLENDER_PYTHON | {"blender_scripts"}
    if module in BASE_ONLY:
        return top in declared() or target in BASE_ONLY | {"blender_scripts.errors"}
    if folder == "generator":
        return top in declared("data") | {"generator"} or target in CONTRACT | NUMPY_CONTRACT
    if folder == "trainer":
        return top in declared("train") | {"trainer"} or target in TRAINER_MAY_IMPORT
    raise ValueError(f"{module} lies in none of {FOLDERS}")


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("blender_scripts.render", "numpy", True),
        ("blender_scripts.render", "bpy.types", True),
        ("blender_scripts.render", "blender_scripts.manifest", True),
        ("blender_scripts.render", "PIL", False),
        ("blender_scripts.render", "generator.soart", False),
        ("blender_scripts.manifest", "csv", True),
        ("blender_scripts.manifest", "numpy", False),
        ("blender_scripts.manifest", "blender_scripts.connector", True),
        ("blender_scripts.manifest", "blender_scripts.render", False),
        ("blender_scripts.kinds.bent", "blender_scripts.pin", True),
        ("blender_scripts.kinds.bent", "blender_scripts.geometry", False),
        ("blender_scripts.kinds.bent", "numpy", False),
        ("blender_scripts.contour", "numpy", False),
        ("blender_scripts.mesh_files", "numpy", True),
        ("blender_scripts.mesh_files", "bpy", False),
        ("blender_scripts.mesh_files", "blender_scripts.blend_files", False),
        ("generator.check", "blender_scripts.mesh_files", True),
        ("generator.check", "blender_scripts.blend_files", False),
        ("generator.render", "blender_scripts.manifest", True),
        ("generator.render", "blender_scripts.render", False),
        ("generator.check", "blender_scripts.part", True),
        ("generator.check", "blender_scripts.geometry", False),
        ("generator.render", "bpy", False),
        ("generator.render", "torch", False),
        ("generator.render", "trainer.vit", False),
        ("generator.build", "datasets", True),
        ("generator.soart", "datasets", False),
        ("generator.inspect", "matplotlib", False),
        ("generator.inspect", "blender_scripts.errors", True),
        ("trainer.vit", "torch.nn", True),
        ("trainer.vit", "generator.features", True),
        ("trainer.vit", "generator.build", False),
        ("trainer.vit", "blender_scripts.manifest", False),
        ("trainer.vit", "bpy", False),
    ],
)
def test_the_allow_list_says_what_the_design_says(module, target, allowed):
    assert may_import(module, target) is allowed


def test_imports_are_read_in_all_their_forms():
    code = "import a.b as c\nfrom x import y\nfrom . import errors\nfrom .manifest import Run\n"
    code += "def f():\n    import bpy\n"
    found = [name for _, name in imports(ast.parse(code), "blender_scripts.render")]
    assert sorted(found) == ["a.b", "blender_scripts.errors", "blender_scripts.manifest", "bpy", "x"]
    code = "from . import bent\nfrom .bent import KIND\nfrom ..defect import Kind\n"
    found = [name for _, name in imports(ast.parse(code), "blender_scripts.kinds")]
    assert found == ["blender_scripts.kinds.bent", "blender_scripts.kinds.bent", "blender_scripts.defect"]


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=module_name)
def test_every_import_is_on_the_allow_list(path):
    module = module_name(path)
    tree = ast.parse(path.read_text("utf-8"))
    wrong = [f"line {line}: {name}" for line, name in imports(tree, module) if not may_import(module, name)]
    assert not wrong, f"{module} may not import these"


@pytest.mark.parametrize("path", sources("blender_scripts"), ids=module_name)
def test_what_runs_in_blender_keeps_to_python_3_11(path):
    ast.parse(path.read_text("utf-8"), feature_version=(3, 11))


SEEDED = {
    "random": {"Random"},
    "numpy.random": {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"},
}
CLOCKS = {
    *(f"time.{name}" for name in ("time", "time_ns", "ctime", "localtime", "gmtime", "strftime", "asctime")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
}
UNREPEATABLE_MODULES = {"uuid", "secrets"}


def not_repeatable(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of what makes two runs differ: global or unseeded generators, the wall clock, uuid, hash()."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})

    def dotted(node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            return names.get(node.id, "")
        if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
            return f"{owner}.{node.attr}"
        return ""

    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            yield from ((node.lineno, name) for name in modules if name in UNREPEATABLE_MODULES)
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if isinstance(node.func, ast.Name) and node.func.id == "hash":
                yield node.lineno, "hash() is salted per process"
            if name in ("random.Random", "numpy.random.default_rng") and not node.args and not node.keywords:
                yield node.lineno, f"{name} without a seed"
        if isinstance(node, ast.Attribute | ast.Name):
            name = dotted(node)
            owner, _, member = name.rpartition(".")
            if name in CLOCKS or name == "os.urandom" or (owner in SEEDED and member not in SEEDED[owner]):
                yield node.lineno, name


@pytest.mark.parametrize(
    "code",
    [
        "import random\nrandom.random()",
        "import random as r\nr.shuffle([])",
        "from random import choice\nchoice([1])",
        "import random\nrandom.Random()",
        "import numpy as np\nnp.random.seed(0)",
        "import numpy\nnumpy.random.rand(3)",
        "from numpy import random\nrandom.normal()",
        "import numpy as np\nnp.random.default_rng()",
        "import time\ntime.time()",
        "from time import time\ntime()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now()",
        "import uuid",
        "from uuid import uuid4",
        "import os\nos.urandom(4)",
        "hash('r2c5')",
    ],
)
def test_the_scan_finds_what_makes_runs_differ(code):
    assert list(not_repeatable(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import random\nsource = random.Random(7)\nsource.random()",
        "import numpy as np\nnp.random.default_rng(7).normal()",
        "import time\ntime.perf_counter()",
        "import numpy as np\ndef f(g: np.random.Generator): return g.random()",
    ],
)
def test_the_scan_lets_seeded_generators_and_stop_watches_pass(code):
    assert not list(not_repeatable(ast.parse(code)))


@pytest.mark.parametrize("path", sources("blender_scripts", "generator"), ids=module_name)
def test_rendering_and_building_are_repeatable(path):
    found = [f"line {line}: {what}" for line, what in not_repeatable(ast.parse(path.read_text("utf-8")))]
    assert not found


def kept_files() -> list[Path]:
    """Files that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_files_are_named_after_one_thing():
    bags = {"util", "utils", "helper", "helpers", "misc", "common", "manager", "managers", "stuff"}
    named_so = [path.name for path in kept_files() if bags & set(re.split(r"[_.\-]", path.name.lower()))]
    assert not named_so


# Written in pieces, so that this file does not contain what it looks for.
REGISTRY_HOSTS = [
    rf"\b{name}\.{domain}\b"
    for name, domain in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "(?:org|com)"),
        (r"(?:deb|security|snapshot|ftp\.\w+)\.debian", "org"),
        ("crates", "io"),
        ("anaconda", "(?:org|com)"),
    ]
]
INDEX_OPTIONS = [rf"--{kind}{option}" for kind, option in [("(?:extra-)?", "index-url"), ("", "find-links")]]
HOME_FOLDERS = [rf"(?<![\w.~-])/{folder}/" for folder in ("root", "work", r"home/\w+", r"Users/\w+")]
MACHINE_BOUND = re.compile("|".join(REGISTRY_HOSTS + INDEX_OPTIONS + HOME_FOLDERS))


@pytest.mark.parametrize(
    "text",
    [
        "https://" + "pypi" + ".org/simple",
        "files." + "pythonhosted" + ".org",
        "deb." + "debian" + ".org/debian",
        "--" + "index-url https://x",
        "open('/" + "root/x')",
        "cd /" + "work/main",
    ],
)
def test_the_search_finds_hosts_and_paths_of_one_machine(text):
    assert MACHINE_BOUND.search(text)


def test_no_registry_host_and_no_path_of_one_machine_is_kept():
    found = []
    for path in kept_files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if match := MACHINE_BOUND.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found
