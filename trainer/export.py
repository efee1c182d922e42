"""`python -m trainer.export --model RUN --to model.onnx`: write a trained ViT or gauge as one ONNX file.

`trainer.vit.onnx_export` and `trainer.gauge.onnx_export` describe the file's inputs and outputs, and how it is checked.
With --features, or --imagenet in place of --model, the file holds a feature network for `generator inspect --features`
(`trainer.features`).
"""

import argparse
import sys
from pathlib import Path

from blender_scripts.contract.output_path import check_writable
from generator.io.number_option import whole_number
from trainer.core import adaptation
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.onnx_file import OPSET
from trainer.core.options import main_of
from trainer.run_kinds import RunKind, run_kind
from trainer.vit.onnx_export import export_run


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.export",
        description="Write a trained ViT or gauge as one ONNX file, after a check that onnxruntime computes the same "
        "results from it as PyTorch from the run.",
        epilog="exit codes: 0 written; 2 the run cannot be read or the file cannot be written; 1 anything else, such "
        "as results that differ",
        allow_abbrev=False,
    )
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, metavar="RUN", help="run folder of a ViT or gauge")
    source.add_argument(
        "--imagenet",
        action="store_true",
        help="in place of --model: EfficientNet-Lite0, trained on ImageNet (extra `imagenet`), as a feature network",
    )
    p.add_argument("--to", type=Path, required=True, metavar="FILE.onnx", help="file to write")
    p.add_argument(
        "--weights",
        choices=("best", "last"),
        default="best",
        help="ViT only: weights of the best or last epoch (default: best)",
    )
    p.add_argument(
        "--features",
        action="store_true",
        help="ViT only: write a feature network for `generator inspect --features`: the tokens of the ViT's patches",
    )
    blocks = "with --features: number of the ViT's blocks before the tokens are taken (default: half of them)"
    p.add_argument("--blocks", type=whole_number, metavar="N", help=blocks)
    enlarge = "feature network only: enlarge pictures first, so that places lie closer (default: 1, not enlarged)"
    p.add_argument("--enlarge", type=whole_number, default=1, metavar="N", help=enlarge)
    p.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return p


def run(args: argparse.Namespace) -> int:
    """Export the run as the options say; returns the exit code."""
    if args.to.suffix != ".onnx":
        raise InputError(f"--to {args.to}: expected a name that ends in .onnx, got {args.to.name!r}")
    if args.to.is_dir() or (args.to.exists() and not args.overwrite):
        got = "a folder" if args.to.is_dir() else "an existing one; --overwrite replaces it"
        raise InputError(f"--to {args.to}: expected a new file, got {got}")
    if not args.to.parent.is_dir():
        raise InputError(f"--to {args.to}: expected a file in a folder that exists, got no folder {args.to.parent}")
    check_writable(args.to.parent, f"--to {args.to}")
    if args.model is not None:
        adaptation.refuse(args.model, "an ONNX file")
    if args.imagenet or args.features:
        return _export_features(args)
    if args.blocks is not None or args.enlarge != 1:
        raise InputError("--blocks and --enlarge: expected --features or --imagenet with them, got neither")
    kind = run_kind(args.model)
    if kind is RunKind.FLORENCE2:
        raise InputError(f"--model {args.model}: expected the run of a ViT or gauge, got a run of Florence-2")
    if kind is RunKind.GAUGE:
        from trainer.gauge import onnx_export as measuring

        if args.weights != "best":
            raise InputError(f"--weights {args.weights}: expected best, as the run of a gauge has no other weights")
        worst = measuring.export_run(args.model, args.to)
        size = args.to.stat().st_size / 1e6
        say(f"{args.to}: {size:.1f} MB, opset {OPSET}; outputs differ from PyTorch's by up to {worst:.1e}")
        return 0
    worst = export_run(args.model, args.weights, args.to)
    size = args.to.stat().st_size / 1e6
    say(f"{args.to}: {size:.1f} MB, opset {OPSET}; probabilities differ from PyTorch's by up to {worst:.1e}")
    return 0


def _export_features(args: argparse.Namespace) -> int:
    """Write a feature network as the options say; returns the exit code."""
    from trainer.features.imagenet import imagenet_features
    from trainer.features.onnx_file import enlarged, write
    from trainer.features.vit_tokens import vit_features

    if args.imagenet and (args.blocks is not None or args.weights != "best"):
        raise InputError("--imagenet: expected no --blocks and --weights, which are of a ViT, got one")
    if not args.imagenet and run_kind(args.model) is not RunKind.VIT:
        raise InputError(f"--features: expected the run of a ViT, got {args.model}, a run of another kind")
    features = imagenet_features() if args.imagenet else vit_features(args.model, args.weights, args.blocks)
    features = enlarged(features, args.enlarge)
    worst = write(features, args.to)
    size = args.to.stat().st_size / 1e6
    say(
        f"{args.to}: {size:.1f} MB, {features.kind} of {features.name} every {features.stride} px; features differ "
        f"from PyTorch's by up to {worst:.1e} of their standard deviation"
    )
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
