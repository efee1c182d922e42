"""`python -m trainer`: names the commands."""

import argparse
import sys

COMMANDS = {
    "vit": "train a vision transformer (ViT), which classifies a picture of a connector as OK or a class of defect",
    "florence2": "train Florence-2, which draws a box round each defect",
    "gauge": "train a gauge, which measures every pin in mm",
    "predict": "judge pictures or parts",
    "evaluate": "measure how well a trained network judges a dataset",
    "adapt": "adapt a run to a station, by photographs of good parts",
    "attention": "draw what a ViT looks at",
    "export": "write a run as one ONNX file",
    "report": "write a run's HTML page anew",
    "push": "upload a run to the Hugging Face Hub",
}


def main(argv: list[str] | None = None) -> int:
    """Name the commands; returns the exit code: 0 after --help, 2 if a command's name was given as an argument."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train networks on a dataset, and judge pictures with them.",
        epilog="commands:\n" + "\n".join(f"  python -m trainer.{name:10} {does}" for name, does in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    named, options = parser.parse_known_args(argv)
    given = named.command or options
    if given and given[0] in COMMANDS:
        parser.error(f"expected python -m trainer.{given[0]}, with a point before the command, got a space")
    if given:
        parser.error(f"expected one of the commands trainer.{', trainer.'.join(COMMANDS)}, got {given[0]!r}")
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
