"""Read the manifest's column `defects`, which has the form

    kind@target:param=value,param=value;kind@target...

A target is a pin's address, two addresses joined by a hyphen, `housing` or `print`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from blender_scripts.contract.defect import HOUSING, PAIR, PIN, PRINT, Choice, Defect, Parameter, Value, written
from blender_scripts.contract.errors import shown
from blender_scripts.kinds import KINDS
from blender_scripts.kinds.kind import EVERY_OTHER, Kind

__all__ = ["KINDS", "Choice", "Defect", "Kind", "Parameter", "parse_defects", "worst_kind"]

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DIGITS = re.compile(r"[0-9]{1,20}")
_ADDRESS = r"r[1-9][0-9]{0,3}c[1-9][0-9]{0,3}"
_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")
_TARGETS = {
    PIN: (re.compile(_ADDRESS), "a pin address such as r2c5"),
    PAIR: (re.compile(f"{_ADDRESS}-{_ADDRESS}"), "two addresses such as r1c1-r1c2"),
    HOUSING: (re.compile(HOUSING), "`housing`"),
    PRINT: (re.compile(PRINT), "`print`"),
}


def parse_defects(text: str) -> tuple[tuple[Defect, ...], list[str]]:
    """Read a cell of the column `defects`.

    Returns:
        The defects that are written correctly, and a message (``expected …, got …``) for each mistake.
    """
    defects: list[Defect] = []
    problems: list[str] = []
    kinds_at: dict[str, list[str]] = {}
    for part in text.split(";") if text.strip() else []:
        defect, wrong = _parse_defect(part.strip())
        problems += wrong
        if defect is None or wrong:
            continue
        # A bridge's two addresses are the same target in either order.
        kinds = kinds_at.setdefault("-".join(sorted(defect.target.split("-"))), [])
        if defect.kind in kinds:
            problems.append(f"expected each kind of defect once per target, got {defect.kind}@{defect.target} twice")
        else:
            kinds.append(defect.kind)
        defects.append(defect)
    for target, kinds in kinds_at.items():
        problems += _excluded(target, kinds)
    return tuple(defects), problems


def _excluded(target: str, kinds: list[str]) -> list[str]:
    """Messages for kinds that exclude each other at one pin."""
    problems = []
    alone = [kind for kind in kinds if KINDS[kind].excludes == EVERY_OTHER]
    for kind in alone if len(kinds) > 1 else []:
        others = " and ".join(other for other in kinds if other != kind)
        problems.append(f"expected no other defect at a pin that is {kind}, got {kind} and {others} at {target}")
    for kind, other in combinations((kind for kind in kinds if kind not in alone), 2):
        if other in KINDS[kind].excludes or kind in KINDS[other].excludes:
            problems.append(f"expected either {kind} or {other} at a pin, got both at {target}")
    return problems


def _parse_defect(text: str) -> tuple[Defect | None, list[str]]:
    head, colon, tail = text.partition(":")
    name, at, target = (piece.strip() for piece in head.partition("@"))
    kind = KINDS.get(name)
    if kind is None:
        return None, [f"expected kind@target with a kind of {', '.join(KINDS)}, got {shown(text)}"]
    if not at or not any(_TARGETS[sort][0].fullmatch(target) for sort in kind.targets):
        expected = " or ".join(_TARGETS[sort][1] for sort in kind.targets)
        return None, [f"expected {name}@ followed by {expected}, got {shown(text)}"]
    if "-" in target and len(set(target.split("-"))) == 1:
        return None, [f"expected two different addresses, got {shown(text)}"]
    given, problems = _parse_values(kind, tail.split(",") if colon else [], text)
    for parameter in kind.parameters:
        if parameter.name in given and parameter.instead_of in given:
            problems.append(f"expected either {parameter.instead_of} or {parameter.name}, got both in {shown(text)}")
    values = []
    for parameter in kind.parameters:
        replaced = any(p.instead_of == parameter.name and p.name in given for p in kind.parameters)
        replaced |= isinstance(parameter, Parameter) and not set(parameter.no_default_with).isdisjoint(given.values())
        value = given.get(parameter.name, None if replaced else parameter.default)
        if value is not None:
            values.append((parameter.name, value))
    return Defect(name, target, tuple(values)), problems


def _parse_values(kind: Kind, assignments: Sequence[str], text: str) -> tuple[dict[str, Value], list[str]]:
    """Parse each `param=value`: values by parameter, and messages; `text` is the whole defect, for messages."""
    problems: list[str] = []
    given: dict[str, Value] = {}
    known = {parameter.name: parameter for parameter in kind.parameters}
    for assignment in assignments:
        key, equals, raw = (piece.strip() for piece in assignment.partition("="))
        if not equals or key not in known:
            takes = f"parameter=value with one of {', '.join(known)}" if known else "no parameters"
            hint = (
                " (a comma separates parameters: write 0.5, not 0,5)" if _DIGITS.fullmatch(key) and not equals else ""
            )
            problems.append(f"expected {takes} for {kind.name}, got {shown(assignment.strip())}{hint}")
        elif key in given:
            problems.append(f"expected {key} once, got it twice in {shown(text)}")
        else:
            value, wrong = _value(known[key], raw)
            problems += wrong
            if value is not None:
                given[key] = value
    return given, problems


def _value(parameter: Parameter | Choice, raw: str) -> tuple[Value | None, list[str]]:
    key = parameter.name
    if isinstance(parameter, Choice):
        if parameter.choices and raw not in parameter.choices:
            return None, [f"expected {key} as one of {', '.join(parameter.choices)}, got {shown(raw)}"]
        if not _WORD.fullmatch(raw):
            return None, [f"expected {key} as a name of letters, digits and underscores, got {shown(raw)}"]
        return raw, []
    if not _NUMBER.fullmatch(raw):
        return None, [f"expected a number for {key}, got {shown(raw)}"]
    if not parameter.low <= float(raw) <= parameter.high:
        limits = f"{parameter.low:g} to {parameter.high:g}"
        return None, [f"expected {key} from {limits}, got {raw if len(raw) < 40 else shown(raw)}"]
    # Rounded as Defect.text writes it, so that equal text gives equal pictures. Adding 0 turns -0 into 0.
    return float(written(float(raw))) + 0.0, []


def worst_kind(defects: tuple[Defect, ...]) -> str:
    """The name of the kind with the highest severity among these defects; `ok` if there is none."""
    return max((d.kind for d in defects), key=lambda kind: KINDS[kind].severity, default="ok")
