"""`python -m trainer.push RUN --to OWNER/NAME`: a trained model and its card to the Hugging Face Hub, in one commit.

What goes up is what a user needs: weights as safetensors, configuration, frozen threshold, card, a few pictures; never
the optimizer's state, the last epoch or the stages. The token comes from HF_TOKEN or the login (`hf auth login`).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.dataset.hub import LARGEST_CARD, HubError, NotAllowed, Publication, name_problem, publish
from trainer.core import card, checkpoint, frozen_threshold
from trainer.core.errors import InputError
from trainer.core.options import exit_code, say
from trainer.florence2.run import FORMAT as DETECTION_FORMAT
from trainer.florence2.run import MODEL, kind_of
from trainer.vit import hub_files

CARD = "README.md"
EXAMPLE = """example:
  python -m trainer.push out/run --to me/connector-vit --private --dry-run

exit codes: 0 done; 2 the run or an option is wrong; 1 the Hub cannot be reached or refuses"""
# Below RUN, its name there, and what it shows; of several with one name the first that exists.
VIT_PICTURES = (
    ("evaluation/confusion.png", "confusion.png", "Confusion matrices"),
    ("confusion.png", "confusion.png", "Confusion matrices"),
    ("evaluation/calibration.png", "calibration.png", "Probability against the share right"),
    ("evaluation/detection.png", "detection.png", "Found or missed against the size of the defect"),
    ("curves.png", "curves.png", "Training"),
    (
        "attention/attention_best.png",
        "attention.png",
        "Where it looks, in the same pictures; green: the true place",
    ),
)
DETECTION_PICTURES = (
    ("sheets/best.png", "predictions.png", "Truth and prediction"),
    ("calibration.png", "calibration.png", "Confidence against the share of true boxes"),
    ("curves.png", "curves.png", "Training"),
)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.push",
        description="Upload a trained model with its card to the Hugging Face Hub.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run of a ViT or of Florence-2")
    p.add_argument("--to", required=True, metavar="OWNER/NAME", help="the model's name on the Hub")
    p.add_argument("--private", action="store_true", help="make a new repository private")
    p.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="OWNER/NAME",
        help="name on the Hub of what it was trained on, for the card; may be repeated",
    )
    p.add_argument("--license", default="", metavar="ID", help="the Hub's id of a licence, for the card")
    p.add_argument(
        "--dry-run", action="store_true", help="write the card and say what would go up; no network"
    )
    return p


def _pictures(run: Path, wanted: Sequence[tuple[str, str, str]]) -> list[tuple[Path, str, str]]:
    """Those that exist: the file, its path there, its caption."""
    found: dict[str, tuple[Path, str, str]] = {}
    measured = card.evaluation_of(run) is not None
    for place, name, caption in wanted:
        of_evaluation = place.startswith("evaluation/")
        if (run / place).is_file() and (measured or not of_evaluation):
            found.setdefault(name, (run / place, f"pictures/{name}", caption))
    return list(found.values())


def vit_files(
    run: Path, name: str, datasets: Sequence[str] = (), license: str = ""
) -> dict[str, Path | bytes]:
    """What of a ViT's run goes up, by path there; RUN/README.md is written anew.

    Raises:
        InputError: The run was not finished.
    """
    checkpoint.load_model(run)  # whole, and of its configuration
    pictures = _pictures(run, VIT_PICTURES)
    text = card.vit_card(run, name, [(path, caption) for _, path, caption in pictures], datasets, license)
    checkpoint.write_text(run / CARD, text)
    # What transformers reads beside the configuration, where the run has it.
    others = (hub_files.PROCESSOR, *hub_files.CODE)
    wanted = (CARD, checkpoint.CONFIG, checkpoint.BEST, frozen_threshold.FROZEN, *others)
    files: dict[str, Path | bytes] = {one: run / one for one in wanted if (run / one).is_file()}
    return {**files, **{path: file for file, path, _ in pictures}}


def detection_files(
    run: Path, name: str, datasets: Sequence[str] = (), license: str = ""
) -> dict[str, Path | bytes]:
    """What of a Florence-2 run goes up, by path there: RUN/model at the top; RUN/README.md is written anew.

    Raises:
        InputError: The run was not finished.
    """
    from trainer.florence2.finish import summary_of
    from trainer.florence2.report import model_card
    from trainer.florence2.run import load_config

    load_config(run)
    if not (run / MODEL / "config.json").is_file():
        raise InputError(f"{run / MODEL}: expected the trained model, got nothing there: was it finished?")
    summary = summary_of(run)
    pictures = _pictures(run, DETECTION_PICTURES)
    shown = [(path, caption) for _, path, caption in pictures]
    text = model_card(name.rpartition("/")[2], summary, summary["labels"], shown, datasets, license, name)
    checkpoint.write_text(run / CARD, text)
    model = {p.relative_to(run / MODEL).as_posix(): p for p in (run / MODEL).rglob("*") if p.is_file()}
    return {
        **dict(sorted(model.items())),
        CARD: run / CARD,
        "pinsight.json": run / checkpoint.CONFIG,
        **{path: file for file, path, _ in pictures},
    }


def files_of(
    run: Path, name: str, datasets: Sequence[str] = (), license: str = ""
) -> dict[str, Path | bytes]:
    """What of a run goes up: see `vit_files` and `detection_files`.

    Raises:
        InputError: It was not finished, or its card is too long.
    """
    collect = detection_files if kind_of(run) == DETECTION_FORMAT else vit_files
    files = collect(run, name, datasets, license)
    if (size := (run / CARD).stat().st_size) > LARGEST_CARD:
        raise InputError(f"{run / CARD}: expected a card of at most {LARGEST_CARD:,} bytes, got {size:,}")
    return files


def push(run: Path, name: str, files: Mapping[str, Path | bytes], private: bool, option: str = "--to") -> str:
    """Upload and commit; returns the commit's address.

    Raises:
        InputError: There is a model of that name that was not pushed from here.
        HubError: no token, no network, no right, or what the Hub answers.
    """
    what = Publication(
        kind="model",
        name=name,
        files=files,
        message=f"{run.resolve().name}, trained with Pinsight",
        is_ours=card.is_ours,
        replaced=lambda path: (
            path.startswith("pictures/") or path.endswith((".safetensors", ".safetensors.index.json"))
        ),
    )
    try:
        return publish(what, private, option=option)
    except NotAllowed as error:
        raise InputError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Collect and upload; 1 where the Hub is the problem."""
    names = [("--to", args.to), *(("--dataset", name) for name in args.dataset)]
    if problems := [problem for option, name in names if (problem := name_problem(name, option))]:
        raise InputError(problems)
    files = files_of(args.run, args.to, args.dataset, args.license)
    sizes = {n: f.stat().st_size if isinstance(f, Path) else len(f) for n, f in files.items()}
    say(f"{len(files)} files, {sum(sizes.values()) / 1e6:.1f} MB; card: {args.run / CARD}")
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


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
