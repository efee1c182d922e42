"""`python -m studies.gauge_search`: how often and how well a gauge finds its connector in composed photographs.

    python -m trainer.export --model RUN --to gauge.onnx
    python -m studies.gauge_search --model gauge.onnx --photographs FOLDER --write

Renders of the connector, half of them from a camera tilted by 10°, are cut out and turned, scaled to 0.5 to 2 times the
gauge's scale, and pasted anywhere over other pictures. Further photographs show no connector of this kind. Renders and
outcomes stay in the work folder, so a repeated command resumes. Outcomes are kept by gauge only: with other
--photographs or --parts, give another --work. --write puts the tables into docs/explanation/gauge.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, chi2
from tqdm import tqdm

from blender_scripts.contract.connector import read_connector
from generator.io.pictures import open_picture
from generator.locating.gauge_file import GaugeFile, read_gauge_file
from generator.locating.search import SearchResult, search
from studies.gauge_rr import PAGE, ROOT, render
from studies.page import marked
from studies.search_pictures import BACKGROUNDS, Composite, composite, manifest, read_parts
from studies.tables import table
from trainer.core.errors import InputError, as_input_error
from trainer.core.options import main_of, number
from trainer.core.run_folder import write_text

_SCENE, _ANGLE_DEG = "connector_3x9", 10
_OTHERS = ("auto_2x11", "circular_5", "dsub_9", "header_2x8", "wire_to_board_1x6")
_NEAR_PX, _LOST_PX = 1.0, 10.0
_COVERED = float(chi2.ppf(0.95, 2))


@dataclass(frozen=True)
class Outcome:
    """What the gauge's search for its connector gave on one composed photograph (a `Composite`).

    Attributes:
        background, scale, is_tilted: as in `Composite`.
        housing: name of the connector's housing.
        is_shown: whether the photograph shows the connector.
        reasons: why the gauge refused the photograph (verdict INVALID); empty: it located the connector.
        error_px: root mean square distance of found from true tips over the pins, px of the photograph; nan if the
            connector is not shown or not located.
        covered: share of the pins whose 95 % ellipse covers the true tip; nan as for `error_px`.
        seconds: CPU time of the search.
    """

    background: str
    housing: str
    scale: float
    is_tilted: bool
    is_shown: bool
    reasons: Sequence[str]
    error_px: float
    covered: float
    seconds: float


def outcome_of(shown: Composite, found: SearchResult, seconds: float) -> Outcome:
    """Compare the tips that a search found in the photograph `shown` with the true ones; `seconds`: its CPU time.

    If the drawing looks alike after a half turn, the true tips may also be named as those of the half-turned part: the
    naming with the smaller error counts.
    """
    facts = shown.background, shown.drawing.key[1], shown.scale, shown.is_tilted, shown.tips is not None, found.reasons
    if shown.tips is None or found.pixels is None or found.covariances is None:
        return Outcome(*facts, float("nan"), float("nan"), seconds)
    truths = [shown.tips]
    if found.orientations == 2:  # addresses of the half-turned part
        truths.append(shown.tips[_half_turned(shown)])
    offs = min((found.pixels - each for each in truths), key=lambda off: float(np.square(off).sum()))
    apart = np.einsum("ni,nij,nj->n", offs, np.linalg.inv(found.covariances), offs)
    error = float(np.sqrt(np.square(offs).sum(axis=1).mean()))
    return Outcome(*facts, error, float(np.mean(apart <= _COVERED)), seconds)


def _half_turned(shown: Composite) -> np.ndarray:
    """The index of the position that each position (n,) becomes after a half turn of the drawing."""
    places = np.array([(each.x_mm, each.y_mm) for each in shown.drawing.positions])
    turned = places.min(axis=0) + places.max(axis=0) - places
    nearest: np.ndarray = np.linalg.norm(turned[:, None] - places, axis=-1).argmin(axis=1)
    return nearest


def tables(outcomes: Sequence[Outcome]) -> str:
    """Make the Markdown tables of how often the connector was located, by scale, camera, housing and background."""
    shown = [each for each in outcomes if each.is_shown]
    without = [each for each in outcomes if not each.is_shown]
    housings = sorted({each.housing for each in shown})
    groups: list[tuple[str, Callable[[Outcome], bool]]] = [
        ("all", lambda each: True),
        ("scale 0.5 to 0.8", lambda each: each.scale < 0.8),
        ("scale 0.8 to 1.25", lambda each: 0.8 <= each.scale < 1.25),
        ("scale 1.25 to 2", lambda each: each.scale >= 1.25),
        ("camera upright", lambda each: not each.is_tilted),
        (f"camera tilted by {_ANGLE_DEG}°", lambda each: each.is_tilted),
        *((f"housing {name}", lambda each, name=name: each.housing == name) for name in housings),
        *((f"over: {name}", lambda each, name=name: each.background == name) for name in BACKGROUNDS),
    ]
    head = ["pictures with the part", "number", "located", f"of these within {_NEAR_PX:g} px", "elsewhere"]
    head += ["median error in px", "inside the 95 % ellipse"]
    rows = [_row(name, [each for each in shown if chosen(each)]) for name, chosen in groups]
    blank = [
        [name, _share(sum(not each.reasons for each in some), len(some))]
        for name, chosen in [groups[0], *groups[-len(BACKGROUNDS) :]]
        if (some := [each for each in without if chosen(each)])
    ]
    seconds = np.median([each.seconds for each in outcomes])
    return "\n\n".join(
        [
            table(head, [row for row in rows if row]),
            table(["pictures without the part", "located"], blank),
            f"Median time: {seconds:.1f} s of CPU time per photograph.",
        ]
    )


def _row(name: str, some: Sequence[Outcome]) -> list[str]:
    if not some:
        return []
    located = [each for each in some if not each.reasons]
    near = sum(each.error_px <= _NEAR_PX for each in located)
    lost = sum(each.error_px > _LOST_PX * max(each.scale, 1.0) for each in located)
    right = [each for each in located if each.error_px <= _LOST_PX]
    return [
        name,
        str(len(some)),
        _share(len(located), len(some)),
        _share(near, len(located)),
        str(lost),
        f"{np.median([each.error_px for each in right]):.2f}" if right else "-",
        f"{np.mean([each.covered for each in right]):.0%}" if right else "-",
    ]


def _share(count: int, of: int) -> str:
    if of == 0:
        return "-"
    low, high = binomtest(count, of).proportion_ci(0.95)
    return f"{count} of {of} ({100 * low:.1f}–{100 * high:.1f} %)"


def renders_of(work: Path, held: GaugeFile, count: int, workers: int) -> Path:
    """Render `count` parts of connector_3x9 and other connectors (see `manifest`); returns the render folder in `work`.

    Pictures that are already there are not rendered again.

    Raises:
        InputError: the gauge `held` was not trained on connector_3x9.
    """
    scenes = work / "scenes"
    scenes.mkdir(parents=True, exist_ok=True)
    for name in (_SCENE, *_OTHERS):
        text = (ROOT / "scenes" / f"{name}.toml").read_text("utf-8")
        (scenes / f"{name}.toml").write_text(
            re.sub(r"(?m)^angle_deg = .*$", f"angle_deg = {_ANGLE_DEG}.0", text), "utf-8"
        )
    connector = read_connector(scenes / f"{_SCENE}.toml")
    keys = [key for key in sorted(held.drawings) if key[0] == _SCENE]
    if not keys:
        raise InputError(
            f"{held.name}: expected a gauge trained on scene {_SCENE}, got one trained on "
            f"{', '.join(sorted({k[0] for k in held.drawings}))}"
        )
    text = manifest(connector, keys, {name: read_connector(scenes / f"{name}.toml") for name in _OTHERS}, count)
    name = f"search_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    path = work / f"{name}.csv"
    path.write_text(text, "utf-8")
    render(path, work / "renders" / name, workers, "--scenes", scenes)
    return work / "renders" / name


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies.gauge_search",
        description="Measure how often and how well a gauge finds its connector in photographs made for this test: "
        "renders of the connector, pasted over other pictures.",
        allow_abbrev=False,
    )
    p.add_argument("--model", type=Path, required=True, metavar="FILE", help="a gauge's ONNX file; see trainer.export")
    backgrounds = "folder of .jpg and .png photographs, used as backgrounds; may be repeated"
    p.add_argument("--photographs", type=Path, action="append", default=[], metavar="DIR", help=backgrounds)
    pictures = "number of composed photographs with the gauge's connector (default: 300)"
    p.add_argument("--pictures", type=number(int, 1, 100_000), default=300, metavar="N", help=pictures)
    without = "number of photographs without the gauge's connector (default: 300)"
    p.add_argument("--without", type=number(int, 0, 100_000), default=300, metavar="N", help=without)
    parts = "number of parts to render and to paste into photographs (default: 64)"
    p.add_argument("--parts", type=number(int, 8, 10_000), default=64, metavar="N", help=parts)
    workers = "number of processes that render pictures (default: 1)"
    p.add_argument("--workers", type=number(int, 1, 1024), default=1, metavar="N", help=workers)
    threads = "number of CPU threads of the gauge's network (default: 1)"
    p.add_argument("--threads", type=number(int, 1, 1024), default=1, metavar="N", help=threads)
    work = "folder of renders and outcomes (default: out/gauge_search)"
    p.add_argument("--work", type=Path, default=ROOT / "out" / "gauge_search", metavar="DIR", help=work)
    p.add_argument("--write", action="store_true", help="put the tables into docs/explanation/gauge.md")
    return p


def run(args: argparse.Namespace) -> int:
    """Search the photographs and print the tables, with --write also into gauge.md; returns the exit code."""
    with as_input_error():
        held = read_gauge_file(args.model, args.threads)
    gauge = held.gauge
    renders = renders_of(args.work, held, args.parts, args.workers)
    parts, others = read_parts(renders, held.drawings, read_connector(args.work / "scenes" / f"{_SCENE}.toml"))
    files = sorted(path for folder in args.photographs for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    photographs = [open_picture(path, str(path)).convert("RGB") for path in files]
    asked = [(each, True) for each in range(args.pictures)] + [(each, False) for each in range(args.without)]
    kept = args.work / f"outcomes_{held.weights_sha256[:8]}.json"
    done = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    for each, is_shown in tqdm(sorted(asked), unit="picture", disable=None):
        if f"{each} {is_shown}" in done:
            continue
        made = composite(parts, others, photographs, gauge.pitch_px, each, is_shown)
        start = time.process_time()
        found = search(
            made.picture, made.drawing, made.drawing.cameras["center"], gauge.finder, gauge.pitch_px, gauge.limits
        )
        done[f"{each} {is_shown}"] = asdict(outcome_of(made, found, time.process_time() - start))
        write_text(kept, json.dumps(done, indent=1))
    written = tables([Outcome(**done[f"{each} {is_shown}"]) for each, is_shown in asked])
    print(written)
    if args.write:
        PAGE.write_text(marked(PAGE.read_text("utf-8"), "gauge search", written), "utf-8")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
