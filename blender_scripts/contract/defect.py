"""Defect: its kind, its target and the values of its parameters."""

from __future__ import annotations

from dataclasses import dataclass

PIN, PAIR, HOUSING, PRINT = "pin", "pair", "housing", "print"
Value = float | str


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of a defect. `default` None: it has no value unless the manifest gives one.

    Attributes:
        low, high: the closed range that is accepted, in the unit that the name ends with.
        instead_of: the parameter that this one replaces; giving both is an error.
        no_default_with: values of the kind's Choice with which this parameter has no default.
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
    """A parameter that is a word; `choices` empty: a name from the scene, which the kind checks."""

    name: str
    choices: tuple[str, ...]
    default: str | None
    meaning: str
    instead_of: str | None = None


@dataclass(frozen=True)
class Defect:
    """One defect of one part; `values` holds every parameter of its kind that has a value, defaults included."""

    kind: str
    target: str
    values: tuple[tuple[str, Value], ...]

    def __getitem__(self, name: str) -> float:
        value = dict(self.values)[name]
        assert isinstance(value, float | int), name
        return value

    def get(self, name: str) -> float | None:
        return self[name] if name in dict(self.values) else None

    def word(self, name: str) -> str:
        """The value of a parameter that is a word (a Choice); empty where it has none."""
        return str(dict(self.values).get(name, ""))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the pins it applies to: one, two of a bridge, none on housing or print."""
        return tuple(self.target.split("-")) if self.target not in (HOUSING, PRINT) else ()

    @property
    def text(self) -> str:
        """The defect as the manifest writes it, every parameter spelled out."""
        values = ",".join(f"{name}={written(value)}" for name, value in self.values)
        return f"{self.kind}@{self.target}" + (f":{values}" if values else "")


def written(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"
