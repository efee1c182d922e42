"""What validation showed of measures in mm: slopes and biases, and factors for their standard deviations.

Displacements of tips are found a little smaller than they are. Measures are divided by a slope, the found over the true
displacement, and biases are subtracted (`generator.locating.bias`). With the factors, U (k = 2) covers 95 % of the
errors. They come from the errors of parts of the validation split. Under one light, or in one housing, errors are
larger than under another, which the network does not know. Therefore the factors of a part that several views measure
are taken from those validation parts that look most like it to the network. A part measured by one view gets the
factors of this view.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from blender_scripts.contract.errors import InputError
from generator.io import array_file
from generator.io.output_file import write_whole
from generator.locating.bias import PartBiases, name_of, squared_distances
from generator.locating.measure import SAG_DEVIATION, Correction

FILE = "errors.npz"
SCHEMA, OLD_SCHEMA = 2, 1  # 1 knew no biases
COVERED = 0.95
_BIAS = "bias "
# So many validation parts that look most like a part give its factors.
NEAREST = 12
# Limits of a factor.
LEAST, MOST = 0.3, 20.0
ONES = (1.0, 1.0, 1.0)
# Fewer errors than this give no factor of the nearest parts, or of one camera.
FEWEST = 40


def factor(sizes: np.ndarray, covered: float = 2.0) -> float:
    """Return the factor by which to multiply standard deviations, so that `covered` of them include 95 % of the errors.

    Args:
        sizes: sizes of errors, in stated standard deviations; non-finite ones are left out. None left: returns 1.
        covered: number of standard deviations; for U, 2. The factor is limited to the range 0.3 to 20.
    """
    sizes = sizes[np.isfinite(sizes)]
    return float(np.clip(np.quantile(sizes, COVERED) / covered, LEAST, MOST)) if len(sizes) else 1.0


def by_axis(sizes: np.ndarray) -> np.ndarray:
    """Return `factor` for each of dx, dy and retraction, (3,), from sizes of errors (n, 3)."""
    return np.array([factor(each) for each in sizes.T])


@dataclass(frozen=True)
class ValidationErrors:
    """Errors of P validation parts, each measured by several views together, and what these parts look like.

    Attributes:
        features: (P, F) mean of the network's features over points of the housing's edges, by name of the view; none
            if validation has no parts with several views.
        sizes: (P, N, 3) sizes of the errors of dx, dy and retraction of up to N pins, in stated standard deviations;
            NaN where a pin is missing or its measure is not determined.
        biases: biases of parts measured by the same views, by the views' names (`bias.name_of`).
    """

    features: Mapping[str, np.ndarray]
    sizes: np.ndarray
    biases: Mapping[str, PartBiases] = field(default_factory=dict)

    def near(self, features: Mapping[str, np.ndarray | None]) -> np.ndarray | None:
        """Return the sizes of the errors of those validation parts that look most like a given part.

        The distance of two parts is that of their features, each divided by its standard deviation over the validation
        parts, in the views that show both.

        Args:
            features: features (F,) of the part by name of the view; None if the network gives none.

        Returns:
            (`NEAREST` * N, 3) of the parts' N pins, in the units of `sizes`; None if there are fewer than twice
            `NEAREST` validation parts, or no view can be compared.
        """
        shown = {view: found for view, found in features.items() if view in self.features and found is not None}
        if not shown or len(self.sizes) < 2 * NEAREST:
            return None
        return self._nearest(squared_distances(self.features, shown))

    def widening(self, parts: np.ndarray | None = None) -> np.ndarray:
        """Return the factors (3,), >= 1, by which factors of the nearest parts are too small for another part.

        Each validation part gets the factors of the nearest other ones. A quantile of few parts is too small on
        average, so these cover less than 95 % of the part's errors; multiplied by the result, they cover 95 %.

        Args:
            parts: (P,) number of each part, if parts were captured several times; None: each was captured once.
        """
        numbers = np.arange(len(self.sizes)) if parts is None else parts
        if len(self.sizes) <= 2 * NEAREST:
            return np.ones(3)
        relative = []
        for index, own in enumerate(self.sizes):
            far = squared_distances(self.features, {view: each[index] for view, each in self.features.items()})
            far[numbers == numbers[index]] = np.inf
            relative.append(own / by_axis(self._nearest(far)))
        wider: np.ndarray = np.maximum(1.0, by_axis(np.concatenate(relative)))
        return wider

    def _nearest(self, far: np.ndarray) -> np.ndarray:
        """The sizes (`NEAREST` * N, 3) of the parts that are nearest by their distances (P,)."""
        return self.sizes[np.argsort(far, kind="stable")[:NEAREST]].reshape(-1, 3)

    def save(self, folder: Path) -> None:
        """Write FOLDER/errors.npz, atomically and without pickled objects."""
        write_whole(folder / FILE, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of the file that `save` writes."""
        arrays = {f"features {view}": each.astype(np.float32) for view, each in self.features.items()}
        for number, each in enumerate(self.biases.values()):
            arrays |= {f"{_BIAS}{number} {name}": array for name, array in each.arrays().items()}
        header = {"schema": SCHEMA, "biases": list(self.biases)}
        return array_file.pack(header, {"sizes": self.sizes.astype(np.float32), **arrays})

    @classmethod
    def of_bytes(cls, content: Path | io.BytesIO, place: str) -> ValidationErrors:
        """Read what `to_bytes` returned, from a file or from memory; `place` is the file's name, for error messages.

        Raises:
            InputError: the content is damaged.
        """
        try:
            header, arrays = array_file.unpack(content, SCHEMA, OLD_SCHEMA)
            sizes = arrays.pop("sizes").astype(float)
            biases = {}
            for number, name in enumerate(header.get("biases", ())):
                begin = f"{_BIAS}{number} "
                own = {each: arrays.pop(each) for each in list(arrays) if each.startswith(begin)}
                biases[name] = PartBiases.of_arrays({each.removeprefix(begin): a for each, a in own.items()})
            features = {name.removeprefix("features "): each.astype(float) for name, each in arrays.items()}
            shapes = {(each.ndim, len(each)) for each in features.values()}
            if sizes.ndim != 3 or sizes.shape[2] != 3 or shapes - {(2, len(sizes))}:
                raise ValueError(f"arrays of the shapes {sizes.shape} and {sorted(shapes)}")
            if not all(np.isfinite(each).all() for each in features.values()):
                raise ValueError("features that are not finite")
        except array_file.DAMAGED as error:
            raise InputError(f"{place}: expected a gauge's validation errors, got damaged content: {error}") from None
        return cls(features, sizes, biases)


@dataclass(frozen=True)
class Factors:
    """Factors, found in validation, by which standard deviations in mm are multiplied so that uncertainties are right.

    Triples are for dx, dy and retraction.

    Attributes:
        together: factors for measures by several views together, over all validation parts.
        alone: factors for measures by one view alone, by name of the view; under "" over all views.
        errors: errors of the validation parts, from which biases, and the factors of a part measured by several views,
            are taken; None: no biases, and `together` applies to every such part.
        widening: what factors taken from `errors` are multiplied by, see `ValidationErrors.widening`.
        slopes: found displacements of validation tips divided by the true ones, by name of the terminal; under "" for
            all terminals together.
        sag: standard deviation of how far a bend lowers a tip, see `Correction.sag`.
    """

    together: Sequence[float] = ONES
    alone: Mapping[str, Sequence[float]] = field(default_factory=dict)
    errors: ValidationErrors | None = None
    widening: Sequence[float] = ONES
    slopes: Mapping[str, float] = field(default_factory=dict)
    sag: float = SAG_DEVIATION

    def correction(self, features: Mapping[str, np.ndarray | None], key: tuple[str, str, str]) -> Correction:
        """Return how the measures of a part are corrected.

        If its bias is not known, because no validation part of its terminal that looks like it was measured by the same
        views, its standard deviations are enlarged instead.

        Args:
            features: features (F,) of the part in each view that measures it, by name of the view; None: not known.
            key: scene, housing and terminal of the part.
        """
        scene, _, terminal = key
        slope = self.slopes.get(terminal, self.slopes.get("", 1.0))
        biases = self.errors.biases if self.errors is not None else {}
        known = biases.get(name_of(features))
        bias = np.full(3, np.nan) if known is None else known.bias(features, (scene, terminal))
        enlarged = np.max([np.ones(3), *(each.enlarged for each in ([known] if known else biases.values()))], axis=0)
        factors = np.where(np.isnan(bias), enlarged, 1.0) * self.for_part(features)
        return Correction(factors, slope, np.nan_to_num(bias), self.sag)

    def differ(self, scene: str, one: str, other: str) -> bool:
        """Whether measures of a part may differ with the terminal, of two of a scene, that it is taken to have."""
        if one == other:
            return False
        common = self.slopes.get("", 1.0)
        known = {named for each in (self.errors.biases.values() if self.errors else ()) for named in each.terminals}
        return self.slopes.get(one, common) != self.slopes.get(other, common) or bool(
            known & {(scene, one), (scene, other)}
        )

    def for_part(self, features: Mapping[str, np.ndarray | None]) -> np.ndarray:
        """Return the factors (3,) by which the standard deviations of a part's dx, dy and retraction are multiplied.

        Args:
            features: features (F,) of the part in each view that measures it, by name of the view; None: not known.
        """
        if len(features) < 2:
            return np.array(self.alone.get(next(iter(features), ""), self.alone.get("", ONES)))
        near = self.errors.near(features) if self.errors is not None else None
        if near is None:
            return np.array(self.together)
        enough = np.isfinite(near).sum(axis=0) >= FEWEST
        return np.where(enough, by_axis(near) * self.widening, self.together)
