"""Measurement system analysis (MSA): how well a gauge repeats, and how much of a tolerance its own scatter takes.

Type 1 study (one part, one place), nested and crossed gauge R&R by analysis of variance, bias and linearity. Terms and
conventions follow the MSA manual of the Automotive Industry Action Group (AIAG, 4th edition, 2010) unless a function
says otherwise. The width of a scatter is taken as six standard deviations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

SPREAD = 6.0
# AIAG: an interaction of part and appraiser with a larger p-value is pooled with the repeatability.
POOLED_ABOVE = 0.25
# AIAG: ndc = 1.41 PV / GRR.
_NDC_FACTOR = 1.41


@dataclass(frozen=True)
class Type1:
    """A type 1 study: one part, measured repeatedly without being taken out of its fixture.

    Attributes:
        bias: mean of the measurements minus the reference value.
        count: number of measurements.
        t, p: Student's t of the bias and its two-sided p-value, against the hypothesis that there is no bias.
        s: standard deviation of the measurements.
        cg: capability of repeatability, see `type1`; at least 1.33 is usual.
        cgk: capability of repeatability and bias, see `type1`.
    """

    count: int
    bias: float
    t: float
    p: float
    s: float
    cg: float
    cgk: float


def type1(
    values: np.ndarray, reference: float, tolerance: float, *, share: float = 0.2, upper_only: bool = False
) -> Type1:
    """Compute repeatability and bias from repeated measurements of one part.

    Cg = share * T / (6 s) and Cgk = (share * T / 2 - |bias|) / (3 s), with the standard deviation s. The usual share is
    20 % of the tolerance; VDA volume 5, Bosch booklet 10 and Minitab's default agree on it and on the formulas.

    Args:
        values: (N,) measurements of the part, in the unit of `reference` and `tolerance`.
        reference: calibrated value of the part.
        tolerance: width T of the tolerance zone: upper minus lower limit; for a measure that is never negative, the
            upper limit.
        share: the share of T that six standard deviations of the measurements may take, in (0, 1].
        upper_only: whether there is only an upper limit. If so, Cgk counts only a negative bias, since measured values
            that are too low would release bad parts.

    Raises:
        ValueError: fewer than two measurements, or a tolerance that is not above 0.
    """
    values = np.asarray(values, float)
    if len(values) < 2 or not tolerance > 0.0:
        raise ValueError(
            f"expected at least 2 measurements and a tolerance above 0, got {len(values)} measurements and tolerance "
            f"{tolerance}"
        )
    s = float(values.std(ddof=1))
    bias = float(values.mean()) - reference
    harmful = max(0.0, -bias) if upper_only else abs(bias)
    t = _ratio(bias, s / math.sqrt(len(values)))
    p = float(2.0 * stats.t.sf(abs(t), len(values) - 1))
    return Type1(
        count=len(values),
        bias=bias,
        t=t,
        p=p,
        s=s,
        cg=_ratio(share * tolerance, SPREAD * s),
        cgk=_ratio(0.5 * share * tolerance - harmful, 0.5 * SPREAD * s),
    )


@dataclass(frozen=True)
class GaugeRR:
    """Result of a gauge R&R study; each scatter is a standard deviation in the unit of the measurements.

    Attributes:
        repeatability: EV, the scatter of repeated captures.
        reproducibility: AV, the scatter between appraisers (with the interaction of part and appraiser, unless it is
            pooled) or between placings.
        part: PV, the scatter between the parts.
        anova: one row per source with columns `sum_sq`, `df`, `mean_sq`, `f`, `p`.
        pooled: whether the interaction is pooled with the repeatability (crossed studies only).
    """

    repeatability: float
    reproducibility: float
    part: float
    anova: pd.DataFrame
    pooled: bool = False

    @property
    def grr(self) -> float:
        """GRR, the gauge's own scatter: root of the sum of the squares of repeatability and reproducibility."""
        return math.hypot(self.repeatability, self.reproducibility)

    @property
    def total(self) -> float:
        """TV, the total variation: root of the sum of the squares of `grr` and `part`."""
        return math.hypot(self.grr, self.part)

    @property
    def percent_of_variation(self) -> float:
        """%GRR, in percent of the total variation: 100 * `grr` / `total`."""
        return 100.0 * _ratio(self.grr, self.total)

    def percent_of_tolerance(self, tolerance: float) -> float:
        """Return %GRR, in percent of a tolerance zone of width `tolerance`: 100 * 6 * `grr` / `tolerance`."""
        return 100.0 * SPREAD * self.grr / tolerance

    @property
    def ndc(self) -> float:
        """Number of distinct categories among the parts, not truncated to an integer: 1.41 * `part` / `grr`."""
        return _ratio(_NDC_FACTOR * self.part, self.grr)

    def ndc_over(self, tolerance: float) -> float:
        """Return the number of distinct categories in a zone of width `tolerance`: 1.41 * `tolerance` / (6 * `grr`)."""
        return _ratio(_NDC_FACTOR * tolerance, SPREAD * self.grr)

    def smallest_tolerance(self, percent: float = 30.0) -> float:
        """Return the width of the narrowest tolerance zone for which `percent_of_tolerance` is at most `percent`."""
        return 100.0 * SPREAD * self.grr / percent


def nested_rr(table: pd.DataFrame, *, part: str = "part", fixture: str = "fixture", value: str = "value") -> GaugeRR:
    """Compute a nested gauge R&R: parts placed in the fixture several times, placings captured several times.

    A placing belongs to one part, so placings are no appraisers of a crossed study. Variance components come from the
    expected mean squares of the balanced nested design with random parts; negative components count as 0.

    Args:
        table: one row per measurement (capture).
        part, fixture, value: names of the columns with the part, its placing and the measured value; equal names of
            placings of two parts mean different placings.

    Raises:
        ValueError: the number of placings per part, or of captures per placing, differs or is below 2; or there are
            fewer than two parts.
    """
    cells = table.groupby([part, fixture], observed=True)[value]
    counts, per_part = cells.size(), table.groupby(part, observed=True)[fixture].nunique()
    parts, placings, captures = len(per_part), int(per_part.iloc[0]), int(counts.iloc[0])
    if per_part.nunique() > 1 or counts.nunique() > 1 or min(parts, placings, captures) < 2:
        raise ValueError(
            "expected at least 2 parts, all placed in the fixture equally often (at least twice), and all placings "
            f"captured equally often (at least twice), got {parts} parts, {sorted(set(per_part))} placings per part "
            f"and {sorted(set(counts))} captures per placing"
        )
    means = cells.mean()
    part_means = means.groupby(level=0, observed=True).mean()
    grand = float(part_means.mean())
    within = table[value] - cells.transform("mean")
    between = means - part_means.reindex(means.index.get_level_values(0)).to_numpy()
    sums = {
        "part": placings * captures * float(((part_means - grand) ** 2).sum()),
        "placing": captures * float((between**2).sum()),
        "repeatability": float((within**2).sum()),
    }
    freedom = {"part": parts - 1, "placing": parts * (placings - 1), "repeatability": parts * placings * (captures - 1)}
    anova = _anova(sums, freedom, {"part": "placing", "placing": "repeatability"})
    mean_sq = anova["mean_sq"]
    return GaugeRR(
        repeatability=math.sqrt(mean_sq["repeatability"]),
        reproducibility=_root((mean_sq["placing"] - mean_sq["repeatability"]) / captures),
        part=_root((mean_sq["part"] - mean_sq["placing"]) / (placings * captures)),
        anova=anova,
    )


def crossed_rr(
    table: pd.DataFrame, *, part: str = "part", appraiser: str = "appraiser", value: str = "value"
) -> GaugeRR:
    """Compute a crossed gauge R&R: every appraiser measures every part equally often (two-way random effects).

    The interaction of part and appraiser is pooled with the repeatability if its p-value is above 0.25 (AIAG). Negative
    components of variance count as 0.

    Args:
        table: one row per measurement.
        part, appraiser, value: names of the columns with the part, the appraiser and the measured value.

    Raises:
        ValueError: the number of measurements per part and appraiser differs or is below 2; or there are fewer than
            two parts or appraisers.
    """
    cells = table.pivot_table(index=part, columns=appraiser, values=value, aggfunc="count", observed=True)
    trials = int(cells.iloc[0, 0]) if cells.size and cells.notna().all(axis=None) else 0
    parts, appraisers = cells.shape
    if not (cells == trials).all(axis=None) or min(parts, appraisers, trials) < 2:
        found = sorted({int(count) for count in cells.fillna(0).to_numpy().ravel()})
        raise ValueError(
            "expected at least 2 parts and 2 appraisers, and each part measured equally often (at least twice) by each "
            f"appraiser, got {parts} parts, {appraisers} appraisers and {found} measurements of a part by an appraiser"
        )
    means = table.pivot_table(index=part, columns=appraiser, values=value, aggfunc="mean", observed=True).to_numpy()
    grand, by_part, by_appraiser = means.mean(), means.mean(axis=1), means.mean(axis=0)
    cross = means - by_part[:, None] - by_appraiser + grand
    within = table[value] - table.groupby([part, appraiser], observed=True)[value].transform("mean")
    sums = {
        "part": appraisers * trials * float(((by_part - grand) ** 2).sum()),
        "appraiser": parts * trials * float(((by_appraiser - grand) ** 2).sum()),
        "interaction": trials * float((cross**2).sum()),
        "repeatability": float((within**2).sum()),
    }
    freedom = {
        "part": parts - 1,
        "appraiser": appraisers - 1,
        "interaction": (parts - 1) * (appraisers - 1),
        "repeatability": parts * appraisers * (trials - 1),
    }
    against = {"part": "interaction", "appraiser": "interaction", "interaction": "repeatability"}
    anova = _anova(sums, freedom, against)
    error, pooled = anova["mean_sq"]["interaction"], bool(anova["p"]["interaction"] > POOLED_ABOVE)
    noise = anova["mean_sq"]["repeatability"]
    if pooled:
        noise = (sums["interaction"] + sums["repeatability"]) / (freedom["interaction"] + freedom["repeatability"])
        error = noise
    between = max(0.0, (anova["mean_sq"]["appraiser"] - error) / (parts * trials))
    interaction = 0.0 if pooled else max(0.0, (error - noise) / trials)
    return GaugeRR(
        repeatability=math.sqrt(noise),
        reproducibility=math.sqrt(between + interaction),
        part=_root((anova["mean_sq"]["part"] - error) / (appraisers * trials)),
        anova=anova,
        pooled=pooled,
    )


@dataclass(frozen=True)
class Linearity:
    """A straight line fitted to the bias over the reference value: bias = intercept + slope * reference.

    Attributes:
        count: number of measurements.
        slope, intercept: of the line; a gauge that measures 0 on every part has slope -1.
        t_slope, t_intercept: Student's t of slope and intercept, against 0, with `count` - 2 degrees of freedom.
        s, r2: standard deviation of the residuals, and coefficient of determination.
    """

    count: int
    slope: float
    intercept: float
    t_slope: float
    t_intercept: float
    s: float
    r2: float


def linearity(references: np.ndarray, values: np.ndarray) -> Linearity:
    """Fit a line to the bias (value minus reference) over the reference value, by least squares over all measurements.

    Args:
        references: (N,) true values of the measured parts, at least two of them different.
        values: (N,) the gauge's measurements.

    Raises:
        ValueError: fewer than three measurements, or references that are all equal.
    """
    references = np.asarray(references, float)
    bias = np.asarray(values, float) - references
    if len(bias) < 3 or np.ptp(references) == 0.0:
        raise ValueError(
            f"expected at least 3 measurements and 2 different reference values, got {len(bias)} measurements and "
            f"{len(np.unique(references))} different reference values"
        )
    line = stats.linregress(references, bias)
    residuals = bias - line.intercept - line.slope * references
    return Linearity(
        count=len(bias),
        slope=float(line.slope),
        intercept=float(line.intercept),
        t_slope=_ratio(float(line.slope), float(line.stderr)),
        t_intercept=_ratio(float(line.intercept), float(line.intercept_stderr)),
        s=math.sqrt(float((residuals**2).sum()) / (len(bias) - 2)),
        r2=float(line.rvalue**2),
    )


def _anova(sums: dict[str, float], freedom: dict[str, int], against: dict[str, str]) -> pd.DataFrame:
    """The table of an analysis of variance; `against` names the source whose mean square each one is tested against."""
    table = pd.DataFrame({"sum_sq": pd.Series(sums), "df": pd.Series(freedom)})
    table["mean_sq"] = table["sum_sq"] / table["df"]
    for source, other in against.items():
        f = _ratio(float(table.loc[source, "mean_sq"]), float(table.loc[other, "mean_sq"]))
        table.loc[source, "f"] = f
        table.loc[source, "p"] = float(stats.f.sf(f, freedom[source], freedom[other]))
    return table


def _ratio(above: float, below: float) -> float:
    """above / below; infinite, with the sign of `above`, where `below` is 0, and 0 where both are."""
    if below == 0.0:
        return math.copysign(math.inf, above) if above else 0.0
    return above / below


def _root(variance: float) -> float:
    """The standard deviation of a variance component, 0 for a negative estimate."""
    return math.sqrt(max(0.0, variance))
