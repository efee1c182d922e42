"""Measures of parts by a reference, such as a coordinate measuring machine; `reference_file` reads them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from generator.locating.measure import sag_mm
from trainer.core.errors import InputError


@dataclass(frozen=True)
class Reference:
    """Measures of a reference.

    Attributes:
        measures: by part and address, dx, dy and depth of the tip below nominal (3,) in mm; NaN where not stated, as of
            a missing pin.
        u_mm: by part and address, the expanded uncertainty (k = 2) of these values in mm, where it is stated.
        missing: part and address of each position without a pin; they are in `measures`, too.
    """

    measures: Mapping[str, Mapping[str, np.ndarray]]
    u_mm: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: Collection[tuple[str, str]] = frozenset()

    def of_terminals(self, lengths_mm: Mapping[str, float]) -> "Reference":
        """Return these measures with the retraction of the terminal in place of the tip's depth.

        A gauge states the retraction: the tip's depth without what the bend lowers the tip. `lengths_mm` has the height
        of each position's nominal tip above its foot, by address.
        """
        measures = {
            part: {
                address: values - (0.0, 0.0, sag_mm(float(np.hypot(*values[:2])), lengths_mm[address]))
                for address, values in pins.items()
            }
            for part, pins in self.measures.items()
        }
        return replace(self, measures=measures)

    def problems(self, photographed: Collection[str], addresses: Collection[str]) -> list[str]:
        """Return what in the file does not fit the photographs and the drawing.

        Args:
            photographed: paths of the photographed parts of the reference; names are their last parts.
            addresses: addresses of the drawing.

        Returns:
            Messages on parts without a photograph, on names that several photographed parts have, and on addresses
            that are not on the drawing.
        """
        names = Counter(Path(part).name for part in photographed)
        found = [f"part {each}: expected a photograph of it, got none" for each in self.measures if not names[each]]
        found += [f"part {name}: expected one part of this name, got {n}" for name, n in names.items() if n > 1]
        found += [
            f"part {part}: expected addresses on the drawing, such as {next(iter(addresses))}, got {', '.join(unknown)}"
            for part, pins in self.measures.items()
            if (unknown := [address for address in pins if address not in addresses])
        ]
        return found

    def check(
        self, photographed: Mapping[str, Sequence[str]], views: Collection[str], addresses: Sequence[str]
    ) -> None:
        """Check that the file fits the photographs and the drawing.

        Args:
            photographed: views of each photographed part of the reference, by its path; names are their last parts.
            views: views of the good parts.
            addresses: addresses of the drawing.

        Raises:
            InputError: a part of the file has no photograph, or several parts have its name; a part does not show the
                views of the good parts; or an address is not on the drawing.
        """
        problems = self.problems(photographed, addresses)
        problems += [
            f"part {part}: expected photographs by the views of the good parts ({', '.join(sorted(views))}), got "
            f"{', '.join(sorted(shown))}"
            for part, shown in photographed.items()
            if set(shown) != set(views)
        ]
        if problems:
            raise InputError([f"--reference: {each}" for each in problems])
