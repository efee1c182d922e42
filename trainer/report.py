"""`python -m trainer.report RUN`: write an HTML page on the run of a ViT, RUN/report.html (`trainer.vit.run_page`)."""

import argparse
import sys
from pathlib import Path

from trainer.core import adaptation_seal
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.options import main_of
from trainer.core.run_folder import REPORT
from trainer.run_kinds import RunKind, run_kind
from trainer.vit.run_page import write_page


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.report",
        description="Write one HTML page on a ViT's run, with its settings, measures and pictures.",
        allow_abbrev=False,
    )
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a ViT's finished run")
    return p


def run(args: argparse.Namespace) -> int:
    """Write the HTML page on a ViT's run; returns the exit code."""
    others = {RunKind.FLORENCE2: "Florence-2", RunKind.GAUGE: "a gauge"}
    if other := others.get(run_kind(args.run)):
        page = args.run / REPORT
        raise InputError(f"{args.run}: expected the run of a ViT, got one of {other}, whose training writes {page}")
    if (args.run / adaptation_seal.FILE).is_file():
        raise InputError(f"{args.run}: expected a trained run, got an adapted one, whose page trainer.adapt writes")
    say(f"report: {write_page(args.run)}")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
