"""`python -m trainer.vit`."""

import sys

from trainer.vit.command import main

if __name__ == "__main__":
    sys.exit(main())
