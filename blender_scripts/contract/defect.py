"""Defect: a defect of a part as the manifest states it: kind, target, and values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass

PIN, PAIR, HOUSING, PRINT = "pin", "pair", "housing", "print"
Value = float | str


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of a kind of defect.

    Attributes:
        low, high: smallest and largest value that is accepted, in the unit with which `name` ends.
        default: value where the manifest gives none; None: the parameter then has no value.
        meaning: explanation in one phrase.
        instead_of: name of a parameter that this one replaces; a manifest may give one of the two.
        no_default_with: values of the kind's `Choice`, such as shapes, with which `default` does not apply.
    """

    name: str
    low: float
    high: float
    default: float | None
    meaning: str
    instead_of: str | None = None
    no_default_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A parameter of a kind of defect whose value is a word.

    Attributes:
        choices: the words that are accepted; empty: a name from the scene file, such as that of a terminal.
        default: value where the manifest gives none; None: the parameter then has no value.
        meaning: explanation in one phrase.
        instead_of: name of a parameter that this one replaces; a manifest may give one of the two.
    """

    name: str
    choices: tuple[str, ...]
    default: str | None
    meaning: str
    instead_of: str | None = None


@dataclass(frozen=True)
class Defect:
    """One defect of one part.

    Attributes:
        kind: name of its kind, such as `bent`.
        target: address of a pin, two addresses joined by a hyphen, `housing` or `print`.
        values: name and value of each parameter that has a value, defaults included.
    """

    kind: str
    target: str
    values: tuple[tuple[str, Value], ...]

    def __getitem__(self, name: str) -> float:
        value = dict(self.values)[name]
        assert isinstance(value, float | int), name
        return value

    def get(self, name: str) -> float | None:
        """The value of a parameter that is a number; None if the defect has no value for it."""
        return self[name] if name in dict(self.values) else None

    def word(self, name: str) -> str:
        """The value of a parameter that is a word (a Choice); empty if the defect has no value for it."""
        return str(dict(self.values).get(name, ""))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the pins that have the defect: two for a bridge, none for the targets `housing` and `print`."""
        return tuple(self.target.split("-")) if self.target not in (HOUSING, PRINT) else ()

    @property
    def text(self) -> str:
        """The defect in the manifest's notation, with the values of all parameters, defaults included."""
        values = ",".join(f"{name}={written(value)}" for name, value in self.values)
        return f"{self.kind}@{self.target}" + (f":{values}" if values else "")


def written(value: Value) -> str:
    """Return a parameter's value as the manifest writes it: a word, or a number with up to 10 digits."""
    return value if isinstance(value, str) else f"{value:.10g}"
