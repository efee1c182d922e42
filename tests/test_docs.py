"""The documents say what the code does: kinds, ranges, keys, commands, options and files are compared with it."""

import argparse
import ast
import csv
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from blender_scripts import render as render_script
from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.station import CAMERAS
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.contract.world import RANGES, Span, World
from blender_scripts.manifest.defects import KINDS, Choice
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, RESERVED, read_manifest
from docs import commands as commands_page
from generator.__main__ import COMMANDS
from generator.__main__ import main as generator
from tests.conftest import ROOT, SCENES, records
from tests.other_python import other_python
from trainer.__main__ import COMMANDS as TRAINER_COMMANDS

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
SAMPLES = sorted((DOCS / "cluster").iterdir())
TUTORIAL = "docs/tutorial/own_connector.md"
README_WORDS = 1000
CODE = ("blender_scripts", "generator", "trainer")
LARGEST_PICTURE = 300_000
RANGE = re.compile(r"(-?[0-9.]+) to (-?[0-9.]+)")


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every row of every Markdown table: the heading it stands under, and its cells by column."""
    heading, header = "", None
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
        elif set(line) - set("|-: "):
            yield heading, dict(zip(header, cells(line), strict=True))


def named(cell: str) -> list[str]:
    """The names in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def number(text: str) -> float | None:
    return None if text == "none" else float(text)


FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every code block, fenced or indented (language: empty), also inside lists."""
    yield from ((match[2], textwrap.dedent(match[3])) for match in FENCE.finditer(text))
    for paragraph in re.split(r"\n\s*\n", FENCE.sub("", text)):
        lines = paragraph.splitlines()
        if lines and all(line.startswith("    ") for line in lines):
            yield "", "\n".join(line.strip() for line in lines)


def blocks_of_pages(*languages: str) -> Iterator[tuple[str, str]]:
    """Page and content of the code blocks in these languages, of all pages."""
    for path in PAGES:
        for language, content in blocks(path.read_text("utf-8")):
            if language in languages:
                yield page_name(path), content


def test_every_manifest_column_is_described_and_whether_it_is_needed():
    found = {
        named(row["column"])[0]: row
        for heading, row in tables(text_of("docs/reference/manifest.md"))
        if heading == "Columns"
    }
    assert set(found) == {*REQUIRED, *OPTIONAL}
    assert {name for name, row in found.items() if row["needed"].startswith("yes")} == set(REQUIRED)
    assert set(named(found["camera"]["values"])) == set(CAMERAS)


def test_ranges_of_the_wide_world_are_the_code_s():
    found = {}
    for heading, row in tables(text_of("docs/reference/manifest.md")):
        if heading == "The wide world":
            low, high = map(float, RANGE.fullmatch(row["range"]).groups())
            found[named(row["value"])[0]] = Span(", ".join(named(row["seeds"])), low, high, float(row["power"]))
    assert found == RANGES and list(found) == list(RANGES)


def test_reserved_columns_are_named():
    assert not set(RESERVED) - set(named(text_of("docs/reference/manifest.md")))


def test_every_kind_of_defect_is_described():
    found = [
        named(row["kind"])[0] for heading, row in tables(text_of("docs/reference/manifest.md")) if heading == "Kinds"
    ]
    assert found == list(KINDS)


def test_parameters_ranges_and_defaults_are_the_code_s():
    found = {}
    for heading, row in tables(text_of("docs/reference/manifest.md")):
        if heading == "Parameters":
            key = named(row["kind"])[0], named(row["parameter"])[0]
            limits = RANGE.fullmatch(row["range"])
            if limits is None:
                default = None if row["default"] == "none" else named(row["default"])[0]
                found[key] = tuple(named(row["range"])), default, row["unit"]
            else:
                low, high = limits.groups()
                found[key] = float(low), float(high), number(row["default"]), row["unit"]
    units = {"mm": "mm", "deg": "degrees"}
    assert found == {
        (kind.name, p.name): (p.choices, p.default, "")
        if isinstance(p, Choice)
        else (p.low, p.high, p.default, units.get(p.name.rsplit("_", 1)[-1], ""))
        for kind in KINDS.values()
        for p in kind.parameters
    }


def test_the_kinds_without_parameters_are_named():
    text = text_of("docs/reference/manifest.md")
    assert all(f"`{kind.name}` takes no parameters" in text for kind in KINDS.values() if not kind.parameters)


READERS = {
    "number": ("low", "high", "default"),
    "integer": ("low", "high", "default"),
    "numbers": ("count", "low", "high", "default"),
    "choice": ("choices", "default"),
    "text": ("default",),
    "boolean": ("default",),
    "value": ("expected", "default"),
    "array_of_tables": ("build",),
}
SECTIONS_OF_NAMES = ("housings", "terminals", "lighting")
Asked = dict[tuple[str, str], list[tuple[str, dict[str, Any]]]]


def keys_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every key that reading a scene asks for, by section and key: each time the reader's method and its limits."""
    asked: Asked = {}

    def spy(method: str) -> None:
        original = getattr(TomlSection, method)

        def read(self: TomlSection, key: str, *given: Any, **by_name: Any) -> Any:
            section = [name for name in self.at if not name.isdecimal()]
            if section and section[0] in SECTIONS_OF_NAMES:
                section[1] = "NAME"
            if section[:2] == ["tolerance", "at"]:
                section[2:] = ["ADDRESS"]
            key_shown = {"shares": "NAME", "at": "ADDRESS"}.get(section[-1] if section else "", key)
            limits = {**dict(zip(READERS[method], given, strict=False)), **by_name}
            asked.setdefault((".".join(section), key_shown), []).append((method, limits))
            return original(self, key, *given, **by_name)

        monkeypatch.setattr(TomlSection, method, read)

    for method in READERS:
        spy(method)
    read_connector(path)
    monkeypatch.undo()
    return asked


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What the kept scenes and the tutorial's ask for."""
    found: Asked = {}
    (tmp_path / "example.toml").write_text(example_scene(), "utf-8")
    # No kept scene has its positions in a table.
    by_table = '[positions]\nrule = "table"\nat_mm = [[[0.0, 0.0]], [[2.0, -2.0], [4.0, -2.0]]]\n'
    text = re.sub(r"\[positions\]\n.*?\n\n", by_table + "\n", example_scene(), flags=re.DOTALL)
    (tmp_path / "table.toml").write_text(text, "utf-8")
    # And none names a mesh; a scene does not look further than its first bytes.
    (tmp_path / "body.glb").write_bytes(b"glTF" + bytes(8))
    mesh = '[housings.black.mesh]\nfile = "body.glb"\n\n[terminals.'
    (tmp_path / "mesh.toml").write_text(example_scene().replace("[terminals.", mesh, 1), "utf-8")
    # Nor does one have terminals, tolerances and walls that differ within it.
    hybrid = (ROOT / "tests" / "blender_scripts" / "hybrid.toml").read_text("utf-8")
    (tmp_path / "hybrid.toml").write_text(hybrid, "utf-8")
    parallel = re.sub(r"^focal_mm = .*", "telecentric = true\nfield_mm = 40.0", hybrid, flags=re.MULTILINE)
    (tmp_path / "telecentric.toml").write_text(parallel, "utf-8")
    other = re.sub(r"^(true_position|retraction|protrusion)_mm = .*", r"\1_mm = 0.7", hybrid, flags=re.MULTILINE)
    (tmp_path / "hybrid_of_other_limits.toml").write_text(other, "utf-8")
    for path in (*sorted(SCENES.glob("*.toml")), *sorted(tmp_path.glob("*.toml"))):
        for key, readings in keys_read(path, monkeypatch).items():
            found.setdefault(key, []).extend(readings)
    return found


def example_scene() -> str:
    (content,) = (text for name, text in files_of(text_of(TUTORIAL)).items() if name.startswith("scenes/"))
    return content


def scene_rows() -> dict[tuple[str, str], dict[str, str]]:
    """Rows of the key tables, by section and key."""
    found = {}
    for heading, row in tables(text_of("docs/reference/scenes.md")):
        section = "" if heading == "Top level" else heading.strip("`[]")
        key = section, named(row["key"])[0]
        assert key not in found, f"{key} is described twice"
        found[key] = row
    return found


def test_every_key_of_a_scene_is_described(asked: Asked):
    assert set(scene_rows()) == set(asked)


def written_range(row: dict[str, str]) -> tuple[int, float, float] | None:
    """How many numbers, and their limits."""
    match = re.fullmatch(rf"(?:(two|three|five) of )?{RANGE.pattern}", row["range"])
    counts = {None: 1, "two": 2, "three": 3, "five": 5}
    return match and (counts[match[1]], float(match[2]), float(match[3]))


def test_ranges_of_a_scene_s_keys_are_the_code_s(asked: Asked):
    wrong = []
    rows = scene_rows()
    for key, readings in asked.items():
        for method, limits in readings:
            if method in ("number", "integer", "numbers"):
                same = written_range(rows[key]) == (limits.get("count", 1), limits["low"], limits["high"])
            elif method in ("choice", "boolean"):
                same = set(named(rows[key]["range"])) == set(limits.get("choices", ("true", "false")))
            else:
                same = rows[key]["range"] in ("text", "tables", "list")
            if not same:
                wrong.append(f"{key}: {rows[key]['range']!r}, the code has {limits}")
    assert not wrong


def test_defaults_of_a_scene_s_keys_are_the_code_s(asked: Asked):
    """A key is required where any reading has no default; a default that depends on other keys stands in words."""
    wrong = []
    rows = scene_rows()
    for key, readings in asked.items():
        written = rows[key]["default"].replace("`", "")
        defaults = {limits.get("default") for method, limits in readings if method != "array_of_tables"}
        numbers_written = re.fullmatch(r"-?[0-9., -]+", written)
        if defaults == {""} or not defaults:
            same = written in ("empty", "none")
        elif None in defaults:
            same = written.startswith("required")
        elif len(defaults) > 1:
            same = not written.startswith("required") and not numbers_written
        else:
            (default,) = defaults
            expected = default if isinstance(default, tuple) else (default,)
            same = (
                written == default
                if isinstance(default := str(default).lower() if isinstance(default, bool) else default, str)
                else bool(numbers_written) and tuple(map(float, written.split(","))) == expected
            )
        if not same:
            wrong.append(f"{key}: {rows[key]['default']!r}, the code has {defaults}")
    assert not wrong


def test_every_view_s_own_table_is_named():
    assert {f"[camera.{name}]" for name in CAMERAS} <= set(named(text_of("docs/reference/scenes.md")))


def keys_of(value: Any) -> set[str]:
    """Every key of a record and of what it holds; the row's own columns are the manifest's."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    inner = [keys_of(item) for key, item in value.items() if key != "row"]
    return set(value).union(*inner)


def test_every_key_of_a_record_is_described_and_no_other(rendered: Path, tmp_path: Path):
    rows = tables(text_of("docs/reference/records.md"))
    described = {name for _, row in rows if "key" in row for name in named(row["key"])}
    kept = records(rendered)
    # Of rows in the wide world only; its single values are described with their ranges.
    wide = keys_of([{"world": World(number, number, number, "left").stated(["round"])} for number in range(9)])
    lists = {"windows", "spots", "table_pattern"}
    # What is written only where arrays are asked for: the same code, on one of the records.
    run, record = next(iter(kept.items()))
    OutputFolder(tmp_path / "out").write(run, b"", b"", record, {"depth": b""})
    found = keys_of([*kept.values(), *records(tmp_path / "out").values()])
    assert described == (found - {"depth"}) | (wide - (set(RANGES) - lists))


def test_every_column_of_a_dataset_is_described():
    features = pytest.importorskip("generator.dataset.rows").features(other=True, masks=True)
    text = text_of("docs/reference/dataset.md")
    rows = [row for heading, row in tables(text) if heading == "Columns"]
    columns = {name for row in rows for name in named(row.get("column", ""))}
    assert columns - set(RESERVED) == set(features) - set(RESERVED)
    assert set(RESERVED) <= columns
    assert {name for row in rows if "key" in row for name in named(row["key"])} == set(features["objects"])


def test_the_classes_have_their_numbers():
    labels = pytest.importorskip("generator.dataset.labels")
    rows = [row for _, row in tables(text_of("docs/reference/dataset.md")) if "number" in row]
    assert [(int(row["number"]), named(row["class"])[0]) for row in rows] == list(enumerate(labels.CLASSES))


def commands_in(text: str) -> list[str]:
    """Command lines of code blocks and of inline code."""
    lines = [
        line for language, content in blocks(text) if language in ("", "sh", "bash") for line in content.splitlines()
    ]
    prose = re.sub(r"^#.*$", "", FENCE.sub("", text), flags=re.MULTILINE)
    lines += [name for name in named(prose) if " " in name]
    starts = re.compile(r"(python -m (generator|trainer|studies)|blender -b|make [a-z])")
    return [line for line in lines if starts.match(line)]


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of a `python -m …` command, and the arguments that it gets."""
    if words[2] == "studies":
        return importlib.import_module("studies.__main__").parser(), words[3:]
    if words[2] == "generator":
        assert words[3] in COMMANDS, f"no command {words[3]}"
        parser = argparse.ArgumentParser(exit_on_error=False)
        importlib.import_module(COMMANDS[words[3]][0]).add_arguments(parser)
        return parser, words[4:]
    name = f"{words[2]}.command" if (ROOT / words[2].replace(".", "/")).is_dir() else words[2]
    return importlib.import_module(name).parser(), words[3:]


def check_command(line: str) -> None:
    """Raises where a command line shown to a reader would be refused."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
        assert words[1] in targets
        assert all(re.match(r"[A-Z_]+=", word) for word in words[2:])
        return
    if words[0] == "blender":
        assert words[:3] == ["blender", "-b", "-P"] and words[4] == "--"
        assert (ROOT / words[3]).is_file()
        render_script.parse_arguments(words[5:])
        return
    parser, arguments = parser_of(words)
    assert parser.parse_args(arguments)


def shown_commands() -> list[tuple[str, str]]:
    """Page and line of each command that is shown with arguments; not of the page that the parsers write."""
    return [
        (page_name(path), line)
        for path in PAGES
        if path.name != "commands.md"
        for line in dict.fromkeys(commands_in(path.read_text("utf-8")))
        # `python -m trainer.vit` in a sentence names a command, as does `make test`; what has options is checked whole.
        if line.startswith("make") or len(line.split()) > (4 if "generator" in line else 3)
    ]


def test_every_command_shown_is_accepted():
    pytest.importorskip("torch")
    wrong = []
    for page, line in shown_commands():
        try:
            check_command(line)
        except (Exception, SystemExit) as refused:
            wrong.append(f"{page}: {line}: {type(refused).__name__}: {refused}")
    assert not wrong
    assert len(shown_commands()) > 50


def texts_of(value: Any) -> list[str]:
    """Every text in a value of YAML."""
    if isinstance(value, dict | list):
        return [text for each in (value.values() if isinstance(value, dict) else value) for text in texts_of(each)]
    return [value] if isinstance(value, str) else []


def sample_commands(path: Path) -> list[str]:
    """Commands of `generator` in a sample job, also in its comments, with 2 for every variable of the shell."""
    text = path.read_text("utf-8")
    lines = [line for line in text.splitlines() if path.suffix != ".yaml" or line.startswith("#")]
    lines += texts_of(yaml.safe_load(text)) if path.suffix == ".yaml" else []
    found = [line[line.index("-m generator") :] for line in lines if "-m generator" in line]
    return ["python " + re.sub(r"\$(\{[^}]*\}|\w+)", "2", line) for line in found]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_commands_of_the_sample_jobs_are_accepted(path: Path):
    found = sample_commands(path)
    assert len(found) == (1 if path.name == "ray-cluster.yaml" else 2)
    for line in found:
        check_command(line)
    if path.suffix == ".sbatch":
        subprocess.run(["bash", "-n", path], check=True)
        options, _, script = path.read_text("utf-8").partition("set -euo pipefail")
        # SLURM reads its options only above the first command.
        assert all(re.fullmatch(r"#.*|", line) for line in options.splitlines()) and "#SBATCH" not in script
        assert all(
            re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line) for line in options.splitlines() if "SBATCH -" in line
        )


def test_every_command_that_exists_is_shown_in_the_readme():
    shown = "\n".join(commands_in(text_of("README.md")))
    assert TRAINER_COMMANDS
    wanted = [f"python -m generator {name} " for name in COMMANDS]
    wanted += [f"python -m trainer.{name} " for name in TRAINER_COMMANDS]
    assert not [command for command in wanted if command not in shown]


@pytest.mark.parametrize(
    "line",
    [
        "python -m generator render manifests/demo.csv --out DIR --no-such-option",
        "python -m generator no_such_command x",
        "python -m generator export DIR",
        "blender -b -P blender_scripts/no_such_script.py -- x.csv --out DIR",
        "make no-such-target",
    ],
)
def test_the_check_finds_commands_that_do_not_exist(line: str):
    with pytest.raises((AssertionError, SystemExit, argparse.ArgumentError)):
        check_command(line)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Its options, and those of the steps that it has."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(*(options_of(step) for step in action.choices.values()))
    return found


def options_of_all_commands() -> set[str]:
    pytest.importorskip("torch")
    parsers = [parser_of(["python", "-m", "generator", name])[0] for name in COMMANDS]
    parsers += [
        importlib.import_module(f"trainer.{name}").parser()
        for name in (
            "vit.command",
            "florence2.command",
            "gauge.command",
            "adapt",
            "predict",
            "evaluate",
            "export",
            "attention",
            "report",
            "push",
        )
    ]
    studies = ("__main__", *commands_page.STUDIES)
    parsers += [importlib.import_module(f"studies.{name}").parser() for name in studies]
    return set().union(*map(options_of, parsers))


def test_every_option_named_in_a_sentence_exists():
    known = options_of_all_commands() | {"--help"}
    wrong = [
        f"{page_name(path)}: {option}"
        for path in PAGES
        for name in named(path.read_text("utf-8"))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", name)
        if option not in known
    ]
    assert not wrong


def missing_files(path: Path) -> list[str]:
    """Files and folders that a page names or links to and that are not there."""
    text = path.read_text("utf-8")
    folders = "|".join(re.escape(p.name) for p in ROOT.iterdir() if p.is_dir() and p.name not in (".git", ".venv"))
    own = re.compile(rf"(?:^|[\s`(])((?:{folders})/[\w./-]*\w/?)")
    # What commands write lies below these; it is not kept.
    written = ("demo/", "out/")
    saved = files_of(text)
    missing = [name for name in own.findall(text) if not name.startswith(written) and not (ROOT / name).exists()]
    # A bare name is a file of the top folder, of the code, or a scene's or a design's.
    known = {p.name for p in (*ROOT.iterdir(), *(f for code in CODE for f in (ROOT / code).rglob("*.py")))}
    known |= {p.name for folder in ("scenes", "manifests", "studies") for p in (ROOT / folder).rglob("*.*")}
    bare = {name for name in named(text) if re.fullmatch(r"\.?\w+\.(?:toml|txt|md|py)", name)}
    # Files of other programs that an import reads.
    known |= {"classes.txt", "train.txt", "obj.names"}
    missing += sorted(bare - known)
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing += [link for link in links if "://" not in link and not (path.parent / link).exists()]
    return [f"{page_name(path)}: {name}" for name in missing if name not in saved]


def test_every_file_that_a_page_names_exists():
    assert not [name for path in PAGES for name in missing_files(path)]


def test_the_search_for_missing_files_finds_them():
    page = DOCS / "made.md"
    missing = "`docs/none.md`, `none.toml` and [a](gone.md)"
    text = f"{missing} beside `docs/reference/dataset.md`, [b](reference/dataset.md) and `out/x`"
    with mock.patch.object(Path, "read_text", lambda *_: text):
        assert missing_files(page) == ["docs/made.md: docs/none.md", "docs/made.md: none.toml", "docs/made.md: gone.md"]


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def test_every_link_to_a_heading_finds_it():
    missing = []
    for path in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", path.read_text("utf-8")):
            page = (path.parent / target).resolve() if target else path
            headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
            if anchor not in map(slug, headings):
                missing.append(f"{page_name(path)}: {target}#{anchor}")
    assert not missing


def test_the_readme_begins_with_a_picture():
    lines = [line for line in text_of("README.md").splitlines() if line]
    assert lines[0].startswith("# ") and lines[1].startswith("![")


def test_pictures_are_small_enough_to_be_kept():
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".png", ".jpg")]
    assert pictures
    assert not [page_name(path) for path in pictures if path.stat().st_size > LARGEST_PICTURE]


def test_the_example_manifests_are_right(tmp_path: Path):
    examples = [(page, content) for page, content in blocks_of_pages("csv") if content.startswith("run,")]
    assert examples
    scenes = shutil.copytree(SCENES, tmp_path / "scenes")
    for name, content in files_of(text_of(TUTORIAL)).items():
        if name.startswith("scenes/"):
            (tmp_path / name).write_text(content, "utf-8")
    for page, content in examples:
        (tmp_path / "example.csv").write_text(content, "utf-8")
        assert read_manifest(tmp_path / "example.csv", scenes).runs, page


def test_every_block_of_data_can_be_read():
    read = {
        "toml": tomllib.loads,
        "json": json.loads,
        "yaml": yaml.safe_load,
        "csv": lambda content: [len(row) for row in csv.reader(content.splitlines(), strict=True)],
    }
    found = {language: list(blocks_of_pages(language)) for language in read}
    assert found["toml"] and found["csv"]
    for language, examples in found.items():
        for page, content in examples:
            value = read[language](content)
            assert language != "csv" or len(set(value)) == 1, f"{page}: rows of {value} cells"


def test_every_language_of_a_block_is_one_that_is_checked():
    known = {"", "text", "python", "sh", "bash", "toml", "json", "yaml", "csv"}
    languages = {(page_name(p), language) for p in PAGES for language, _ in blocks(p.read_text("utf-8"))}
    assert not [found for found in languages if found[1] not in known]


def files_of(text: str) -> dict[str, str]:
    """The files that a page's text has its reader save, by name: each is the block after "save … as `NAME`"."""
    save = re.compile(r"[Ss]ave [^`]*?as `([^`]+)`(?:(?!```).)*```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return {match[1]: match[2] for match in save.finditer(text)}


def test_the_tutorial_s_files_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As its reader does up to rendering: every file saved, every manifest and design checked."""
    files = files_of(text_of(TUTORIAL))
    assert {Path(name).suffix for name in files} == {".toml", ".csv", ".py"} and len(files) == 5
    (tmp_path / "scenes").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line) for line in commands_in(text_of(TUTORIAL))]
    quick = [
        words[3:]
        for words in commands
        if words[:3] == ["python", "-m", "generator"] and words[3] in ("check", "design")
    ]
    assert len(quick) == 3
    for arguments in quick:
        assert generator(arguments) == 0, arguments
    for spec in ("header", "station"):
        assert generator(["check", f"{spec}.csv", "--scenes", "scenes"]) == 0
    # The station's manifest is rendered in two parts: good pictures, and others.
    runs = read_manifest(tmp_path / "station.csv", tmp_path / "scenes").runs
    assert [run.split for run in runs] == ["train"] * 24 + ["test"] * 9
    script = [sys.executable, "places.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run(script, capture_output=True, text=True, check=True, env=environment).stdout
    shown = [line for line in text_of(TUTORIAL).splitlines() if line.startswith("    r") and " cavity " in line]
    assert shown and not {line.strip() for line in shown} - set(said.splitlines())


def test_python_examples_import_what_exists():
    found = 0
    for page, content in blocks_of_pages("python"):
        for node in ast.walk(ast.parse(content, page)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = pytest.importorskip(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)
                found += 1
    assert found


def test_the_readme_is_short():
    assert len(text_of("README.md").split()) < README_WORDS


def test_the_reference_of_commands_has_every_study():
    studies = {path.stem for path in (ROOT / "studies").glob("*.py") if "\ndef parser(" in path.read_text("utf-8")}
    assert studies - {"__main__"} == set(commands_page.STUDIES)


def test_the_reference_of_commands_is_up_to_date():
    pytest.importorskip("torch")
    assert commands_page.page() == text_of("docs/reference/commands.md"), "run python -m docs.commands"


def test_the_reference_of_commands_has_every_option():
    pytest.importorskip("torch")
    assert (
        not options_of_all_commands()
        - {"-h", "--help"}
        - set(re.findall(r"`(--?[a-z][a-z-]*)", text_of("docs/reference/commands.md")))
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web site that `make docs` makes."""
    folder = tmp_path_factory.mktemp("site")
    words = ("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder)
    other_python(*words, NO_MKDOCS_2_WARNING="1")
    return folder


def test_the_site_has_every_page_and_nothing_else_of_the_folder(site: Path):
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert made == {*pages, "404.html"}
    assert not list(site.rglob("*.py"))


def test_the_site_loads_nothing_from_a_network(site: Path):
    loads = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
    for path in site.rglob("*.html"):
        assert not loads.findall(path.read_text("utf-8")), path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\([\"']?|@import [\"']?)(?:https?:)?//", path.read_text("utf-8")), path
    assert "<script src=assets/iframe-worker.js" in (site / "index.html").read_text("utf-8").replace('"', "")
    assert "var __index = {" in (site / "search" / "search_index.js").read_text("utf-8")


def test_list_items_are_indented_for_the_site_and_blocks_are_not():
    from docs.site_hook import indented

    github = """text
1. first
   more

       code

   again
2. second
3. third

end
   x
```
- a
  b
```"""
    assert (
        indented(github)
        == """text

1. first
    more

        code

    again

2. second
3. third

end
   x
```
- a
  b
```"""
    )


def test_the_issue_forms_and_the_citation_can_be_read():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text("utf-8"))
        assert {"name", "description", "body"} <= set(form)
        assert all({"type", "id", "attributes"} <= set(field) for field in form["body"])
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["title"] and citation["message"]
    assert citation["version"] == tomllib.loads(text_of("pyproject.toml"))["project"]["version"]


def test_the_changelog_has_the_version_of_the_package():
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\]", text_of("CHANGELOG.md"), re.MULTILINE)
