"""Entry point of `python -m trainer.florence2`; see `command`."""

import sys

from trainer.florence2.command import main

if __name__ == "__main__":
    sys.exit(main())
