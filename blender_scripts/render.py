"""Render a manifest: pictures, masks and the truth of each.

    blender -b -P blender_scripts/render.py -- manifest.csv --out DIR
    python blender_scripts/render.py manifest.csv --out DIR          (a Python with bpy)

Finished rows are left alone, so an interrupted run goes on by repeating the command. Exit codes: 0 all rows are there,
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

_ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_S = 2.0
_INTERRUPTED = "interrupted: repeat the command to go on"


def _arguments() -> list[str]:
    """What stands after `--`; in a Python with bpy, without it, everything."""
    given = sys.argv[1:]
    if "--" in given:
        return given[given.index("--") + 1 :]
    return given if Path(sys.argv[0]).resolve() == Path(__file__).resolve() else []


def _rows(text: str) -> tuple[int | None, int | None]:
    first, colon, last = text.partition(":")
    if not colon or not all(piece == "" or piece.isdecimal() for piece in (first, last)):
        raise argparse.ArgumentTypeError(f"expected A:B, 0-based and half open such as 0:100, got {text!r}")
    return int(first) if first else None, int(last) if last else None


def _bounded(low: int, high: int):
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, got {text!r}")
        return int(text)

    return read


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line; a mistake in it ends the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="render.py",
        usage="blender -b -P blender_scripts/render.py -- manifest.csv --out DIR [options]",
        description="Render a manifest: pictures, masks and the truth of each. Repeat it to go on.",
    )
    parser.add_argument("manifest", type=Path, help="the CSV manifest (docs/manifest.md)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for images, masks and records"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        default=_ROOT / "scenes",
        metavar="DIR",
        help="folder with the scenes (default: %(default)s)",
    )
    parser.add_argument(
        "--rows", type=_rows, default=(None, None), metavar="A:B", help="only these rows, 0-based, half open"
    )
    parser.add_argument("--force", action="store_true", help="render rows again that are finished")
    parser.add_argument(
        "--mask-scale",
        type=_bounded(1, 8),
        default=4,
        metavar="K",
        help="mask pixels per picture pixel, 1-8 (default: 4)",
    )
    parser.add_argument(
        "--threads",
        type=_bounded(0, 1024),
        default=0,
        metavar="N",
        help="render threads (default: one per core)",
    )
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="gpu: faster, but bytes differ from the CPU's"
    )
    parser.add_argument(
        "--no-denoise", action="store_true", help="path-traced noise as it is, eight times the samples"
    )
    parser.add_argument(
        "--depth", action="store_true", help="write depth/<run>.npy too: mm along the optical axis"
    )
    parser.add_argument(
        "--normal", action="store_true", help="write normal/<run>.npy too: unit vectors, world axes"
    )
    parser.add_argument(
        "--feed",
        action="store_true",
        help="read row numbers from standard input and report each as a line of JSON",
    )
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _own_streams() -> Iterator[int]:
    """Keep standard output for ourselves: Blender reports every file it saves there. Yields the real descriptor."""
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
            raise ValueError(f"row {number} of {count}")
        yield number


def run(arguments: argparse.Namespace) -> int:
    """Check everything, then render. Raises InputError before anything is rendered."""
    from blender_scripts.contract.errors import InputError
    from blender_scripts.manifest.output_folder import EXTRAS, OutputFolder, check_own
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.scene import versions
    from blender_scripts.scene.progress import Progress
    from blender_scripts.scene.renderer import Renderer
    from blender_scripts.scene.stage import check_cad

    versions.check_version()
    manifest = read_manifest(arguments.manifest, arguments.scenes)
    for name in {run.scene for run in manifest.runs}:
        check_cad(manifest.connectors[name], {run.housing for run in manifest.runs if run.scene == name})
    first, last = arguments.rows
    chosen = list(range(len(manifest.runs)))[first:last]
    if not chosen:
        raise InputError(f"--rows: expected rows between 0 and {len(manifest.runs)}, got none")
    if not arguments.force:
        check_own(arguments.out, manifest)
    output = OutputFolder(arguments.out)
    if not arguments.feed:  # else whoever feeds has done so
        output.adopt(manifest, arguments.scenes)
        output.sweep()

    failed: list[str] = []
    rendered = kept = 0
    with _own_streams() as real:
        renderer = Renderer(
            manifest,
            output,
            mask_scale=arguments.mask_scale,
            threads=arguments.threads,
            gpu=arguments.device == "gpu",
            denoise=not arguments.no_denoise,
            extras=tuple(kind for kind in EXTRAS if getattr(arguments, kind)),
        )
        if not renderer.tracer.denoised and not arguments.no_denoise and not arguments.feed:
            print("this Blender has no denoiser: eight times the samples are taken instead", file=sys.stderr)

        def tidy() -> None:
            output.sweep(os.getpid())
            renderer.close()

        _end_a_long_render(tidy)
        progress = Progress(0 if arguments.feed else len(chosen))
        progress.shown = progress.shown and not arguments.feed
        try:
            for number in _fed_rows(len(manifest.runs)) if arguments.feed else chosen:
                row = manifest.runs[number]
                problem = None
                try:
                    fresh = renderer.render(row, arguments.force)
                    rendered, kept = rendered + fresh, kept + (not fresh)
                except Exception as error:  # a row that fails does not stop the others
                    fresh, problem = False, f"{row.run}: {type(error).__name__}: {error}"
                    failed.append(problem)
                if arguments.feed:
                    report = {"row": number, "rendered": fresh, "problem": problem}
                    os.write(real, (json.dumps(report) + "\n").encode())
                else:
                    progress.advance()
        finally:
            progress.close()
            renderer.close()
    if not arguments.feed:
        for problem in failed:
            print(f"failed: {problem}", file=sys.stderr)
        print(f"{rendered} rendered, {kept} already there, {len(failed)} failed, in {arguments.out}")
    return 1 if failed else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_a_long_render(tidy: Callable[[], None]) -> None:
    """End this process soon after a signal: Python's handlers wait until a render returns, which may take minutes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        os.read(reader, 1)
        time.sleep(_PATIENCE_S)
        tidy()
        print(_INTERRUPTED, file=sys.stderr)
        _leave(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Run and turn every way of ending into an exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = parse_arguments(_arguments())
    except SystemExit as exit_:
        return int(exit_.code or 0)
    if sys.version_info < (3, 11):  # noqa: UP036  (a Blender brings a Python of its own)
        print(
            f"blender: expected one whose Python is 3.11 or newer, got Python {sys.version.split()[0]}",
            file=sys.stderr,
        )
        return 2
    # Python puts this script's own folder first, where its modules would shadow others' of the same name.
    sys.path[:] = [
        str(_ROOT),
        *(entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent),
    ]
    try:
        from blender_scripts.contract.errors import InputError
    except Exception:
        traceback.print_exc()
        return 1
    try:
        return run(arguments)
    except InputError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1


def _leave(code: int) -> NoReturn:
    """End the process with this code: Blender would turn an exit in a script into its own, and take long to tidy up."""
    if "bpy" in sys.modules:
        session = Path(sys.modules["bpy"].app.tempdir)
        # A Blender that could not make a folder of its own names the one that everybody's files are in.
        if session.name.startswith("blender_"):
            shutil.rmtree(session, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
