"""`python -m trainer.push RUN --to OWNER/NAME`: upload a trained model and its card to the Hugging Face Hub.

One commit has the files that a user needs: best weights as safetensors, configuration, decision threshold, card, a few
pictures. The optimizer's state and other weights are not uploaded. The access token is that of the variable HF_TOKEN or
of `hf auth login`.
"""

import argparse
import sys
from pathlib import Path

from generator.dataset.hub import HubError, name_problem
from trainer.core import adaptation
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.options import main_of, parser_with_example
from trainer.core.publication import CARD, push
from trainer.florence2 import publication as detection
from trainer.run_kinds import RunKind, run_kind
from trainer.vit import publication

EXAMPLE = """example:
  python -m trainer.push out/run --to me/connector-vit --private --dry-run

exit codes: 0 done; 2 the run or an option is wrong; 1 the Hub cannot be reached or refuses"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = parser_with_example("push", "Upload a trained model with its card to the Hugging Face Hub.", EXAMPLE)
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run of a ViT or Florence-2")
    p.add_argument("--to", required=True, metavar="OWNER/NAME", help="the model's name on the Hub")
    p.add_argument("--private", action="store_true", help="if the repository is new, make it private")
    p.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="OWNER/NAME",
        help="the training dataset's name on the Hub, for the card; may be repeated",
    )
    p.add_argument("--license", default="", metavar="ID", help="the Hub's id of a licence, for the card")
    p.add_argument(
        "--dry-run", action="store_true", help="write the card and list the files, but upload nothing; needs no network"
    )
    return p


def run(args: argparse.Namespace) -> int:
    """Write RUN/README.md and, without --dry-run, upload the files; returns 1 if the Hub fails or refuses, else 0."""
    names = [("--to", args.to), *(("--dataset", name) for name in args.dataset)]
    if problems := [problem for option, name in names if (problem := name_problem(name, option))]:
        raise InputError(problems)
    adaptation.refuse(args.run, "a model on the Hub")
    kind = run_kind(args.run)
    if kind is RunKind.GAUGE:
        raise InputError(
            f"{args.run}: expected the run of a ViT or Florence-2, got a run of a gauge, which has no model card; "
            "`python -m trainer.export` writes a gauge to one file"
        )
    of_kind = detection if kind is RunKind.FLORENCE2 else publication
    files = of_kind.files_of(args.run, args.to, args.dataset, args.license)
    sizes = {n: f.stat().st_size if isinstance(f, Path) else len(f) for n, f in files.items()}
    say(f"to upload: {len(files)} files, {sum(sizes.values()) / 1e6:.1f} MB; model card: {args.run / CARD}")
    if args.dry_run:
        for name, size in sizes.items():
            say(f"  {name}  {size:,} bytes")
        say(f"dry run: nothing was sent to {args.to}")
        return 0
    try:
        url = push(args.run, args.to, files, args.private)
    except HubError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say(url)
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
