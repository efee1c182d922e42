"""Run `python -m trainer.vit`; the time limit counts from here, so that it includes the import of libraries."""

import sys
import time

from trainer.core.console import never_silent

if __name__ == "__main__":
    began = time.monotonic()
    with never_silent():
        from trainer.vit.command import main
    sys.exit(main(began=began))
