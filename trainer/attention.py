"""`python -m trainer.attention --model RUN --data DATASET -o OUT`: draw and score the attention maps of a ViT.

An attention map shows how much each patch of a picture counted for the answer. `--stages` draws maps for all weights
that `trainer.vit --stages` kept during training, and for the best. `trainer.vit.attention` lists the files in OUT.
"""

import argparse
import sys
from pathlib import Path

import torch

from trainer.core import adaptation, settings
from trainer.core.errors import InputError
from trainer.core.options import add_device, device_of, main_of, number
from trainer.core.run_folder import check_place
from trainer.run_kinds import RunKind, run_kind
from trainer.vit import results, run_page
from trainer.vit.attention import PICTURES, PROBES, SPLIT, AttentionOptions, show


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.attention",
        description="Draw attention maps of a trained ViT (how much each patch of a picture counted for the answer), "
        "and score the maps against the true boxes.",
        allow_abbrev=False,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="folder of the ViT's run")
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder for the results (default: RUN/attention)")
    p.add_argument("--split", default=SPLIT, help=f"split of the dataset whose pictures are used (default: {SPLIT})")
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--weights",
        nargs="+",
        default=["best"],
        metavar="W",
        help="weights for which maps are drawn, in the order given: best, last (of the last epoch), or files with "
        "weights of the same network (default: best)",
    )
    which.add_argument(
        "--stages",
        action="store_true",
        help="draw maps of the weights that `trainer.vit --stages` kept, then of the best weights",
    )
    rows = "rows of the split, explained in `python -m trainer.evaluate --help` (default: those of the training)"
    p.add_argument("--rows", choices=settings.ROWS, help=rows)
    p.add_argument(
        "--pictures",
        type=number(int, 1, 100_000),
        default=PICTURES,
        help=f"largest number of pictures whose maps are scored (default: {PICTURES})",
    )
    p.add_argument(
        "--probes", type=number(int, 1, 48), default=PROBES, help=f"number of pictures on a sheet (default: {PROBES})"
    )
    p.add_argument("--threads", type=number(int, 1, 1024), help="number of CPU threads (default: number of cores)")
    add_device(p)
    return p


def run(args: argparse.Namespace) -> int:
    """Draw and score the maps as the options say; returns the exit code."""
    others = {RunKind.FLORENCE2: "Florence-2", RunKind.GAUGE: "a gauge"}
    if other := others.get(run_kind(args.model)):
        raise InputError(f"--model {args.model}: expected the run of a ViT, got a run of {other}")
    adaptation.refuse(args.model, "trainer.attention")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    out = args.out or args.model / results.ATTENTION
    check_place(out, args.data if args.out else None)
    asked = AttentionOptions(
        args.model,
        args.data,
        device_of(args.device),
        args.split,
        args.weights,
        args.stages,
        args.rows,
        args.pictures,
        args.probes,
    )
    show(asked, out, own_folder=args.out is None)
    run_page.refresh(args.model, out, results.ATTENTION)
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
