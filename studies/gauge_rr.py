"""`python -m studies.gauge_rr`: gauge R&R of trained gauges on renders, and the smallest tolerance they are capable of.

    python -m studies.gauge_rr --model RUN --width 256 --write

In each part the pins are displaced by up to 1.25 times the limit of true position. Each part is placed on the station
several times, and three cameras capture each placing several times. One more part is captured many times without being
taken out: the type 1 study. Renders, datasets and measurements stay in the work folder. The tables contain all
measurements in this folder, those of earlier commands included; one measurement is kept for each run, scene and width,
the last. Without --model, nothing is measured. --write puts the tables into docs/explanation/gauge.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blender_scripts.contract.connector import Connector, read_connector
from generator.doe.displacement import Curve, Displacement, displacement_text
from generator.io.csv_text import csv_text
from studies.gauge_capability import Capability, Design, capability, tables
from studies.page import marked
from trainer.core.errors import InputError, as_input_error
from trainer.core.options import main_of, number

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "gauge.md"
CAMERAS = ("center", "top", "left")
STUDY, TYPE_1 = "test", "test_type1"
# Displacements reach this multiple of the limit; every third pin has a height of its own, up to this share of it.
_REACH, _HEIGHT = 1.25, 0.8
_FIRST_PART, _SEED = 900_001, 4_711


@dataclass(frozen=True)
class Look:
    """Content of the study's pictures: scene, housing, terminal, lighting; width in px; light paths per pixel."""

    scene: str
    housing: str
    terminal: str
    lighting: str
    width: int
    samples: int


def manifest(connector: Connector, look: Look, design: Design) -> str:
    """Make the manifest of a study, as CSV text: split `test` for the gauge R&R, `test_type1` for the type 1 study.

    Args:
        connector: the connector of the scene `look.scene`.
        look: what the pictures show.
        design: numbers of parts, placings and captures.
    """
    source = random.Random(_SEED)
    shares = {position.address: source.sample(range(design.parts), design.parts) for position in connector.positions}
    shared = {
        "scene": look.scene,
        "housing": look.housing,
        "terminal": look.terminal,
        "lighting": look.lighting,
        "marking": "none",
        "width": look.width,
        "height": round(look.width * connector.height / connector.width),
        "samples": look.samples,
    }
    rows = []
    for part in range(design.parts + 1):
        is_type_1 = part == design.parts
        parts = {address: order[part % design.parts] for address, order in shares.items()}
        facts = {
            "split": TYPE_1 if is_type_1 else STUDY,
            "part": _FIRST_PART + part,
            "defects": _defects(connector, look, parts, design.parts, source),
            **shared,
        }
        placings, captures = (1, design.repeats) if is_type_1 else (design.fixtures, design.captures)
        for placing in range(placings):
            fixture = 1000 * (part + 1) + placing
            for capture in range(captures):
                seed = 1000 * fixture + capture
                run = f"p{part}_f{placing}_c{capture}"
                rows += [
                    {"run": f"{run}_{camera}", "fixture": fixture, "seed": seed, "camera": camera, **facts}
                    for camera in CAMERAS
                ]
    return csv_text(list(rows[0]), rows)


def _defects(connector: Connector, look: Look, levels: Mapping[str, int], count: int, source: random.Random) -> str:
    """The displacement of every pin of a part; `levels`: which of `count` levels of the size each pin has."""
    texts = []
    for index, position in enumerate(connector.positions):
        limits = connector.tolerance.limits(position.address)
        share = _REACH * (levels[position.address] + 0.5) / count
        height = _HEIGHT * limits.retraction_mm * source.uniform(-1.0, 1.0) if index % 3 == 0 else 0.0
        moved = Displacement.towards(source.uniform(0.0, 2.0 * math.pi), 0.5 * limits.true_position_mm * share, height)
        standing = connector.terminal_at(look.terminal, position, _FIRST_PART).standing_mm
        texts.append(displacement_text(position.address, moved, standing, Curve("arc", 0.15, 0.3)))
    return ";".join(filter(None, texts))


def dataset(work: Path, connector: Connector, look: Look, design: Design, workers: int) -> Path:
    """Render and build the study's dataset with `workers` processes, unless its folder exists; returns the folder."""
    text = manifest(connector, look, design)
    name = f"rr_{look.scene}_{look.width}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    folder = work / "datasets" / name
    if folder.is_dir():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{name}.csv"
    path.write_text(text, "utf-8")
    renders = work / "renders" / name
    render(path, renders, workers)
    _run("build", renders, "--to", folder, "--workers", workers)
    return folder


def render(manifest: Path, to: Path, workers: int, *more: object) -> None:
    """Run `generator render` for the unfinished rows of a manifest, into the folder `to`; `more`: further options."""
    _run("render", manifest, "--out", to, "--workers", workers, *more)


def _run(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", "generator", *map(str, arguments)], stdout=sys.stderr, check=False)
    if done.returncode:
        raise InputError(
            f"python -m generator {arguments[0]}: expected exit code 0, got {done.returncode}; see the lines above"
        )


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    whole = number(int, 2, 1000)
    p = argparse.ArgumentParser(
        prog="python -m studies.gauge_rr",
        description="Simulate gauge R&R of trained gauges with renders: repeatability, reproducibility between "
        "placings of one part, bias, and the smallest tolerance for which each gauge is capable.",
        allow_abbrev=False,
    )
    model = "run folder of a gauge; may be repeated (default: only print the tables of earlier measurements)"
    p.add_argument("--model", type=Path, action="append", default=[], metavar="RUN", help=model)
    p.add_argument(
        "--width",
        type=number(int, 32, 4096),
        action="append",
        metavar="PX",
        help="width of the pictures, px; may be repeated (default: 256)",
    )
    scene = "name of the scene file in scenes/, without .toml (default: connector_3x9)"
    p.add_argument("--scene", default="connector_3x9", metavar="NAME", help=scene)
    housing = "name of a housing in the scene file (default: plain)"
    p.add_argument("--housing", default="plain", metavar="NAME", help=housing)
    terminal = "name of a terminal in the scene file (default: round)"
    p.add_argument("--terminal", default="round", metavar="NAME", help=terminal)
    lighting = "name of a light set-up in the scene file (default: ring)"
    p.add_argument("--lighting", default="ring", metavar="NAME", help=lighting)
    p.add_argument(
        "--samples",
        type=number(int, 1, 4096),
        metavar="N",
        help="light paths per pixel; fewer: noisier pictures and measures (default: number in the scene's file)",
    )
    p.add_argument("--parts", type=whole, default=10, metavar="N", help="number of parts to render (default: 10)")
    fixtures = "how often each part is placed on the station (default: 3)"
    p.add_argument("--fixtures", type=whole, default=3, metavar="N", help=fixtures)
    captures = "how often each camera captures a part in one place (default: 3)"
    p.add_argument("--captures", type=whole, default=3, metavar="N", help=captures)
    repeats = "how often each camera captures the one part of the type 1 study (default: 25)"
    p.add_argument("--repeats", type=whole, default=25, metavar="N", help=repeats)
    workers = "number of processes that render pictures and build datasets (default: 1)"
    p.add_argument("--workers", type=number(int, 1, 1024), default=1, metavar="N", help=workers)
    threads = "number of CPU threads of the gauge's network (default: 1)"
    p.add_argument("--threads", type=number(int, 1, 1024), default=1, metavar="N", help=threads)
    work = "folder of renders, datasets and measurements (default: out/gauge_rr)"
    p.add_argument("--work", type=Path, default=ROOT / "out" / "gauge_rr", metavar="DIR", help=work)
    write = "write the tables of all measurements in the work folder into docs/explanation/gauge.md"
    p.add_argument("--write", action="store_true", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Measure the study's dataset with each gauge, and print the tables of all measurements; returns the exit code."""
    import torch

    torch.set_num_threads(args.threads)
    design = Design(args.parts, args.fixtures, args.captures, args.repeats)
    with as_input_error():
        connector = read_connector(ROOT / "scenes" / f"{args.scene}.toml")
    results = args.work / "results"
    for width in args.width or [256]:
        samples = args.samples or connector.samples
        look = Look(args.scene, args.housing, args.terminal, args.lighting, width, samples)
        folder = dataset(args.work, connector, look, design, args.workers) if args.model else None
        for model in args.model:
            assert folder is not None
            found = capability(model, folder, connector, look.terminal, width, design)
            results.mkdir(parents=True, exist_ok=True)
            name = f"{model.resolve().name}_{args.scene}_{width}.json"
            (results / name).write_text(json.dumps([asdict(each) for each in found], indent=1), "utf-8")
    written = tables(_kept(results))
    print(written)
    if args.write:
        PAGE.write_text(marked(PAGE.read_text("utf-8"), "gauge R&R", written), "utf-8")
    return 0


def _kept(results: Path) -> list[Capability]:
    """Read all measurements of the work folder."""
    found: list[Any] = [each for path in sorted(results.glob("*.json")) for each in json.loads(path.read_text("utf-8"))]
    if not found:
        raise InputError(f"{results}: expected measurements of an earlier command, got none: measure with --model RUN")
    return [Capability(**each) for each in found]


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
