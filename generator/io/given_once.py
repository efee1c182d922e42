"""An option whose value is a list, such as --tolerance A=1,B=2, and which may therefore be given only once.

Of an option that is given twice, argparse silently keeps the last value. With a list this loses the first one's items,
such as a limit that a part is judged by.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


class GivenOnce(argparse.Action):
    """Stores the value of an option, and refuses the option if it is given a second time."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store `values` in `namespace`; raises argparse.ArgumentError if this option has stored a value before."""
        stored = getattr(namespace, self.dest, None)
        if stored is not None and stored is not self.default:
            raise argparse.ArgumentError(self, "expected this option once, with all values in one list, got it twice")
        setattr(namespace, self.dest, values)
