"""`python -m generator report DATASET -o report.html`: write one HTML page about a dataset.

The page shows counts per split and factor, measures against the tolerance, the pin positions of defects, and contact
sheets with boxes. It needs no other file and no network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.io.number_option import whole_number
from generator.io.output_file import check_file, write_whole
from generator.reporting.dataset_page import make_page
from generator.reporting.overview import overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator report` to its parser."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="HTML", help="HTML page to write")
    per_class = "largest number of pictures to show of each class (default 40)"
    parser.add_argument("--per-class", type=whole_number, default=40, metavar="N", help=per_class)
    parser.add_argument(
        "--renders",
        type=Path,
        metavar="DIR",
        help="render folder from which the dataset was built; masks and tilts of pins that the dataset lacks are then "
        "read from the renders",
    )


def run(args: argparse.Namespace) -> int:
    """Write the page about the dataset to the output file; returns 0."""
    if not 0 <= args.per_class <= 200:
        raise InputError(f"--per-class: expected 0 to 200 pictures, got {args.per_class}")
    check_file(args.output, "-o", (".html", ".htm"))
    if args.renders is not None and not (args.renders / "records").is_dir():
        raise InputError(f"--renders {args.renders}: expected a render folder, got one without the folder records")
    data = overview(args.dataset, args.per_class, args.renders)
    if absent := [name for name in data.lacking if not data.measures.get(name)]:
        sys.stderr.write(
            f"{args.dataset}: an older dataset without {', '.join(absent)}: the page shows no such values; "
            "--renders DIR adds tilt_deg\n"
        )
    page = make_page(data).encode()
    write_whole(args.output, page)
    sys.stdout.write(f"wrote {args.output} ({len(page) / 1e6:.1f} MB)\n")
    return 0
