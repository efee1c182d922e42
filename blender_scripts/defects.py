"""The kinds of defect a manifest can ask for, their parameters and ranges, and the grammar of the `defects` column.

    kind@target:param=value,param=value;kind@target...

A kind is one line of KINDS; how it changes a pin is in placement.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import shown

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_ADDRESS = re.compile(r"r[1-9][0-9]{0,3}c[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class Parameter:
    """A number that a defect takes. `default` None: it has none and may stay away.

    Attributes:
        low, high: the closed range that is accepted, in the unit that the name ends with.
        instead_of: the parameter that this one replaces; giving both is an error.
    """

    name: str
    low: float
    high: float
    default: float | None
    meaning: str
    instead_of: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of defect. `severity` ranks kinds where one pin has several: the highest is the position's kind."""

    name: str
    severity: int
    meaning: str
    parameters: tuple[Parameter, ...] = ()


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "bent",
            1,
            "the pin leaves the cavity floor where it stood, curves, and keeps its length",
            (
                Parameter("tilt_deg", 0.1, 60.0, 12.0, "angle between the bent part and the pin's axis"),
                Parameter(
                    "tip_offset_mm", 0.02, 30.0, None, "sideways travel of the tip", instead_of="tilt_deg"
                ),
                Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction of the bend: 0 = +X, 90 = +Y"),
                Parameter(
                    "start_mm", 0.0, 30.0, 0.3, "height above the cavity floor at which the bend begins"
                ),
                Parameter("curve_mm", 0.0, 30.0, 1.8, "length of pin over which it curves; 0 = a sharp kink"),
            ),
        ),
        Kind(
            "retracted",
            2,
            "the terminal has backed out of its cavity and stands lower",
            (Parameter("depth_mm", 0.02, 30.0, 1.5, "how much lower than nominal the terminal sits"),),
        ),
        Kind("missing", 3, "there is no terminal: the cavity is open"),
    )
}


@dataclass(frozen=True)
class Defect:
    """One defect of one part; `values` holds every parameter of its kind that has a value, defaults included."""

    kind: str
    target: str
    values: tuple[tuple[str, float], ...]

    def __getitem__(self, name: str) -> float:
        return dict(self.values)[name]

    def get(self, name: str) -> float | None:
        return dict(self.values).get(name)

    @property
    def text(self) -> str:
        """The defect as the manifest writes it, every parameter spelled out."""
        values = ",".join(f"{name}={_written(value)}" for name, value in self.values)
        return f"{self.kind}@{self.target}" + (f":{values}" if values else "")


def _written(value: float) -> str:
    return f"{value:.10g}"


def parse_defects(text: str) -> tuple[tuple[Defect, ...], list[str]]:
    """Read a `defects` cell.

    Returns:
        The defects that are well-formed, and one message (``expected …, got …``) per mistake.
    """
    defects: list[Defect] = []
    problems: list[str] = []
    kinds_at: dict[str, list[str]] = {}
    for part in text.split(";") if text.strip() else []:
        defect, wrong = _parse_defect(part.strip())
        problems += wrong
        if defect is None or wrong:
            continue
        kinds = kinds_at.setdefault(defect.target, [])
        if defect.kind in kinds:
            problems.append(f"expected each kind once per target, got {defect.kind}@{defect.target} twice")
        else:
            kinds.append(defect.kind)
        defects.append(defect)
    for target, kinds in kinds_at.items():
        if "missing" in kinds and len(kinds) > 1:
            others = " and ".join(kind for kind in kinds if kind != "missing")
            problems.append(f"expected nothing else at a missing pin, got missing and {others} at {target}")
    return tuple(defects), problems


def _parse_defect(text: str) -> tuple[Defect | None, list[str]]:
    head, colon, tail = text.partition(":")
    name, at, target = (piece.strip() for piece in head.partition("@"))
    kind = KINDS.get(name)
    if kind is None:
        return None, [f"expected a defect of kind {', '.join(KINDS)} as kind@target, got {shown(text)}"]
    if not at or not _ADDRESS.fullmatch(target):
        return None, [f"expected {name}@ followed by a pin address such as r2c5, got {shown(text)}"]
    problems: list[str] = []
    given: dict[str, float] = {}
    known = {parameter.name: parameter for parameter in kind.parameters}
    for assignment in tail.split(",") if colon else []:
        key, equals, raw = (piece.strip() for piece in assignment.partition("="))
        if not equals or key not in known:
            takes = f"param=value with {', '.join(known)}" if known else "no parameters"
            problems.append(f"expected {name} to take {takes}, got {shown(assignment.strip())}")
        elif key in given:
            problems.append(f"expected {key} once, got it twice in {shown(text)}")
        elif not _NUMBER.fullmatch(raw):
            problems.append(f"expected a number for {key}, got {shown(raw)}")
        elif not known[key].low <= float(raw) <= known[key].high:
            limits = f"{known[key].low:g} to {known[key].high:g}"
            problems.append(f"expected {key} from {limits}, got {raw if len(raw) < 40 else shown(raw)}")
        else:
            # What `text` writes is what counts: rows of the same text are the same picture. Plus 0 turns -0 into 0.
            given[key] = float(_written(float(raw))) + 0.0
    for parameter in kind.parameters:
        if parameter.name in given and parameter.instead_of in given:
            problems.append(f"expected {parameter.instead_of} or {parameter.name}, got both in {shown(text)}")
    values = []
    for parameter in kind.parameters:
        replaced = any(p.instead_of == parameter.name and p.name in given for p in kind.parameters)
        value = given.get(parameter.name, None if replaced else parameter.default)
        if value is not None:
            values.append((parameter.name, value))
    return Defect(name, target, tuple(values)), problems


def worst_kind(defects: tuple[Defect, ...]) -> str:
    """`ok`, or the kind of highest severity."""
    return max((d.kind for d in defects), key=lambda kind: KINDS[kind].severity, default="ok")
