"""Render a manifest: for each row a picture, a mask and a record (a JSON file with the ground truth).

    blender -b -P blender_scripts/render.py -- manifest.csv [--out DIR]
    python blender_scripts/render.py manifest.csv [--out DIR]          (a Python with bpy)

Finished rows are kept, so repeating the command resumes an interrupted run. Exit codes: 0 all rows are rendered,
2 the input is wrong (nothing was rendered), 1 a row failed or the run was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from blender_scripts.manifest.claim import Claim
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import Manifest, Run, ValidatedManifest
    from blender_scripts.scene.renderer import Renderer

_ROOT = Path(__file__).resolve().parent.parent
_GRACE_S = 2.0
_INTERRUPTED = "interrupted: repeat the command to resume"


def _arguments() -> list[str]:
    """The command-line arguments of this script: those after `--`; all if a Python with bpy runs it without `--`."""
    given = sys.argv[1:]
    if "--" in given:
        return given[given.index("--") + 1 :]
    return given if Path(sys.argv[0]).resolve() == Path(__file__).resolve() else []


def _rows(text: str) -> tuple[int | None, int | None]:
    first, colon, last = text.partition(":")
    if not colon or not all(piece == "" or piece.isdecimal() for piece in (first, last)):
        raise argparse.ArgumentTypeError(f"expected A:B such as 0:100 (rows 0 to 99), got {text!r}")
    return int(first) if first else None, int(last) if last else None


def _bounded(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, got {text!r}")
        return int(text)

    return read


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line; a mistake in it ends the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="render.py",
        usage="blender -b -P blender_scripts/render.py -- manifest.csv [--out DIR] [options]",
        description="Render a manifest: for each row a picture, a mask and a record of its ground truth (JSON). "
        "Repeat the command to resume.",
    )
    add = parser.add_argument
    add("manifest", type=Path, help="the manifest: a CSV file with one row per picture (docs/reference/manifest.md)")
    out = "folder for images, masks and records (default: renders/NAME for a manifest NAME.csv)"
    add("--out", type=Path, metavar="DIR", help=out)
    scenes = "folder of the scene files (default: %(default)s)"
    add("--scenes", type=Path, default=_ROOT / "scenes", metavar="DIR", help=scenes)
    rows = "render only the manifest's rows A to B - 1, counted from 0 (default: all rows)"
    add("--rows", type=_rows, default=(None, None), metavar="A:B", help=rows)
    force = "render finished rows again (default: keep them), and replace files that the renderer did not write"
    add("--force", action="store_true", help=force)
    scale = "each mask pixel is the most frequent value of K x K samples in it, K from 1 to 8 (default: 1)"
    add("--mask-scale", type=_bounded(1, 8), default=1, metavar="K", help=scale)
    threads = "number of render threads (default: one per processor core)"
    add("--threads", type=_bounded(0, 1024), default=0, metavar="N", help=threads)
    gpu = "render on the CPU or a graphics card; pixel values differ slightly between the two (default: cpu)"
    add("--device", choices=("cpu", "gpu"), default="cpu", help=gpu)
    dry = "check everything and print the graphics cards, the device and how many rows are left; render nothing"
    add("--dry-run", action="store_true", help=dry)
    add("--no-denoise", action="store_true", help="do not denoise; render eight times the samples of the manifest")
    add(
        "--depth",
        action="store_true",
        help="also write depth/<run>.npy: for each pixel, distance of its surface along the camera's optical axis, mm",
    )
    add(
        "--normal",
        action="store_true",
        help="also write normal/<run>.npy: for each pixel, normal (x, y, z) of its surface in world axes",
    )
    pool = parser.add_argument_group("options with which `python -m generator render` starts its worker processes")
    sha256 = "do not check the rows: another process did, when manifest and scene files had this SHA-256"
    pool.add_argument("--validated", metavar="SHA256", help=sha256)
    feed = "read row numbers from standard input, render these rows, and report each as a line of JSON"
    pool.add_argument("--feed", action="store_true", help=feed)
    compare = "exit with code 2 if a finished row has other settings than those of this command, and render nothing; "
    compare += "with --feed, report such a row instead of rendering it"
    pool.add_argument("--compare", action="store_true", help=compare)
    records = "a record alone makes a row finished: its other files are on another machine, which has checked them"
    pool.add_argument("--records-only", action="store_true", help=records)
    options = parser.parse_args(arguments)
    if (options.feed or options.compare) and options.out is None:
        parser.error("expected --out DIR with --feed or --compare, got none")
    return options


@contextlib.contextmanager
def _silence_blender() -> Iterator[int]:
    """Discard what Blender prints (a line per saved file); yields a file descriptor of the real standard output."""
    sys.stdout.flush()
    real = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    try:
        yield real
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(silent)
        os.close(real)


def _fed_rows(count: int) -> Iterator[int]:
    for line in sys.stdin:
        number = int(line)
        if not 0 <= number < count:
            raise ValueError(f"expected a row number from 0 to {count - 1}, got {number}")
        yield number


def run(arguments: argparse.Namespace) -> int:
    """Check all inputs, then render; returns the exit code.

    Args:
        arguments: from `parse_arguments`.

    Raises:
        InputError: an input is wrong; nothing was rendered.
    """
    from blender_scripts.manifest.claim import claim
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.scene import versions
    from blender_scripts.scene.backdrop import check_photographs_in_blender

    versions.check_version()
    if arguments.feed or arguments.compare or (arguments.dry_run and arguments.validated):
        return _serve(arguments)
    manifest = read_manifest(arguments.manifest, arguments.scenes)
    _check_cad(manifest)
    for connector in manifest.connectors.values():
        check_photographs_in_blender(connector)
    chosen = _chosen(arguments, manifest)
    claimed = claim(manifest, arguments.scenes, arguments.out, arguments.force)
    if claimed.is_default and not arguments.dry_run:
        print(f"rendering into the folder {claimed.output.root} (--out DIR chooses another one)", flush=True)
    return _render(arguments, claimed, [manifest.runs[number] for number in chosen])


def _check_cad(manifest: Manifest | ValidatedManifest) -> None:
    """Check the CAD files of the manifest's scenes, some of which only Blender can read."""
    from blender_scripts.scene.stage import check_cad

    for name, housings in manifest.housings.items():
        check_cad(manifest.connectors[name], housings)


def _chosen(arguments: argparse.Namespace, manifest: Manifest | ValidatedManifest) -> range:
    from blender_scripts.contract.errors import InputError

    first, last = arguments.rows
    chosen = range(len(manifest.runs))[first:last]
    if not chosen:
        text = ":".join("" if number is None else str(number) for number in arguments.rows)
        raise InputError(f"--rows {text}: expected rows from 0 to {len(manifest.runs) - 1}, got no such row")
    return chosen


@contextlib.contextmanager
def _renderer(
    arguments: argparse.Namespace, manifest: Manifest | ValidatedManifest, output: OutputFolder
) -> Iterator[Renderer]:
    from blender_scripts.manifest.output_folder import EXTRAS
    from blender_scripts.scene.renderer import Renderer

    renderer = Renderer(
        manifest.connectors,
        output,
        mask_scale=arguments.mask_scale,
        threads=arguments.threads,
        gpu=arguments.device == "gpu",
        denoise=not arguments.no_denoise,
        extras=tuple(kind for kind in EXTRAS if getattr(arguments, kind)),
    )

    def tidy() -> None:
        output.sweep(os.getpid())
        renderer.close()

    _end_soon_after_signal(tidy)
    if arguments.feed:
        _end_with_parent(tidy)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)
    try:
        yield renderer
    finally:
        renderer.close()


@dataclass
class _Tally:
    rendered: int = 0
    kept: int = 0
    failed: list[str] = field(default_factory=list)

    def render(self, renderer: Renderer, row: Run, force: bool) -> tuple[bool, str | None]:
        """Render a row, a finished one only with `force`; returns whether its picture is new, and its error or None."""
        if _signals:
            raise KeyboardInterrupt
        try:
            fresh = renderer.render(row, force)
        except Exception as error:
            self.failed.append(f"{row.run}: {type(error).__name__}: {error}")
            return False, self.failed[-1]
        self.rendered, self.kept = self.rendered + fresh, self.kept + (not fresh)
        return fresh, None


def _render(arguments: argparse.Namespace, claimed: Claim, rows: Sequence[Run]) -> int:
    """Render rows one after the other into a claimed folder, and print how many were rendered."""
    from blender_scripts.scene.progress import Progress

    output, tally = claimed.output, _Tally()
    with _silence_blender() as real, _renderer(arguments, claimed.manifest, output) as renderer:
        if claimed.is_default and not arguments.force:
            output.check_finished(rows, renderer.head)
        if arguments.dry_run:
            os.write(real, f"{_plan(renderer, rows, arguments.force)}\n".encode())
            return 0
        for note in (output.note_other_renderers(rows), claimed.note_edited({run.run for run in rows})):
            if note:
                print(note, file=sys.stderr)
        claimed.save_inputs()
        output.sweep()
        if not renderer.tracer.denoised and not arguments.no_denoise:
            print("note: this Blender has no denoiser and renders eight times the manifest's samples", file=sys.stderr)
        progress = Progress(len(rows))
        try:
            for row in rows:
                tally.render(renderer, row, arguments.force)
                progress.advance()
        finally:
            progress.close()
    for problem in tally.failed:
        print(f"failed: {problem}", file=sys.stderr)
    counts = f"rows: {tally.rendered} rendered, {tally.kept} already there, {len(tally.failed)} failed"
    print(f"{counts}, in {output.root}")
    return 1 if tally.failed else 0


def _plan(renderer: Renderer, rows: Sequence[Run], force: bool) -> str:
    """What rendering these rows would use and do, for --dry-run."""
    from blender_scripts.scene import graphics_cards

    output, card = renderer.output, renderer.tracer.card
    kept = 0 if force else sum(output.finished(row, renderer.head(row)["row_sha256"]) is not None for row in rows)
    device = f"{card.name} ({', '.join(card.cards)})" if card else "the CPU"
    return (
        f"graphics cards that Blender {renderer.blender} finds: "
        f"{graphics_cards.described(graphics_cards.interfaces())}\n"
        f"to render: {len(rows) - kept} rows on {device}; already there: {kept}, in {output.root}"
    )


def _serve(arguments: argparse.Namespace) -> int:
    """Work for a pool that checked manifest and folder: compare finished rows, plan, or render the rows of stdin."""
    from blender_scripts.contract.errors import InputError
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest, read_validated

    path, scenes, known = arguments.manifest, arguments.scenes, arguments.validated
    manifest = read_validated(path, scenes, known) if known else read_manifest(path, scenes)
    _check_cad(manifest)
    output, tally = OutputFolder(arguments.out, arguments.feed, arguments.records_only), _Tally()
    with _silence_blender() as real, _renderer(arguments, manifest, output) as renderer:
        if not arguments.feed:
            rows = [manifest.runs[number] for number in _chosen(arguments, manifest)]
            if arguments.compare:
                output.check_finished(rows, renderer.head)
            if arguments.dry_run:
                _report(real, {"plan": _plan(renderer, rows, arguments.force)})
            return 0
        for number in _fed_rows(len(manifest.runs)):
            if arguments.compare:
                try:
                    output.check_finished([manifest.runs[number]], renderer.head)
                except InputError as error:
                    _report(real, {"row": number, "other_settings": str(error), "blender": renderer.blender})
                    continue
            fresh, problem = tally.render(renderer, manifest.runs[number], arguments.force)
            _report(real, {"row": number, "rendered": fresh, "problem": problem})
    return 1 if tally.failed else 0


def _report(real: int, answer: dict[str, object]) -> None:
    """Write an answer for the worker pool to the file descriptor of the real standard output, as a line of JSON."""
    os.write(real, (json.dumps(answer) + "\n").encode())


_signals: list[int] = []


def _interrupt(number: int, _: object) -> None:
    _note(number, _)
    raise KeyboardInterrupt


def _note(number: int, _: object) -> None:
    """Note a signal; the next row raises KeyboardInterrupt. Blender's own scripts would print and swallow it."""
    _signals.append(number)


def _end_soon_after_signal(tidy: Callable[[], None]) -> None:
    """Make a signal end this process soon: Python's own handlers wait for the end of a render, perhaps minutes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        os.read(reader, 1)
        time.sleep(_GRACE_S)
        tidy()
        print(_INTERRUPTED, file=sys.stderr)
        _leave(1)

    threading.Thread(target=wait, daemon=True).start()


def _end_with_parent(tidy: Callable[[], None]) -> None:
    """Make this process end soon after the one that feeds it, which may be killed during a picture of minutes."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        tidy()
        _leave(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Run the command and return its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = parse_arguments(_arguments())
    except SystemExit as exit_:
        return int(exit_.code or 0)
    if sys.version_info < (3, 11):  # noqa: UP036  (a Blender brings a Python of its own)
        print(
            f"blender: expected a Blender with Python 3.11 or newer, got Python {sys.version.split()[0]}",
            file=sys.stderr,
        )
        return 2
    # Python puts this script's folder first, where its modules would hide others of the same name.
    sys.path[:] = [
        str(_ROOT),
        *(entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent),
    ]
    try:
        from blender_scripts.contract.errors import InputError, check_none_is_empty, grouped
    except Exception:
        traceback.print_exc()
        return 1
    try:
        check_none_is_empty(_arguments())
        return run(arguments)
    except InputError as error:
        for problem in grouped(error.problems):
            print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1


def _leave(code: int) -> NoReturn:
    """End the process with this exit code, which Blender would replace by its own, and without its slow clean-up."""
    if "bpy" in sys.modules:
        session = Path(sys.modules["bpy"].app.tempdir)
        # If Blender could not make its own folder, this is the shared temporary folder, which must stay.
        if session.name.startswith("blender_"):
            shutil.rmtree(session, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
