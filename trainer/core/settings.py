"""Settings of a training as a run keeps them: ranges of numbers, words to choose from, reading them back strictly."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, get_args, get_origin

from trainer.core.errors import InputError

# Columns of the pictures; `image+nsoart` stacks the channels of both.
INPUTS = ("image", "nsoart", "image+nsoart")
# Which rows of a dataset count: see `row_facts.kept_rows`.
ROWS = ("all", "observable", "clear")


class Range(NamedTuple):
    """Numbers from `low`, or above it, to `high`."""

    low: float
    high: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is one of them."""
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        return f"{'above' if self.above else 'from'} {self.low:g} to {self.high:g}"


def out_of_range(settings: Any, ranges: Mapping[str, Range]) -> list[str]:
    """What is wrong with the numbers of a dataclass, by its fields' ranges."""
    return [
        f"{name}: expected a number {limits}, got {getattr(settings, name)!r}"
        for name, limits in ranges.items()
        if not limits.holds(getattr(settings, name))
    ]


def rising(epochs: Sequence[Any]) -> bool:
    """Whether these are whole numbers from 1 on, each above the one before."""
    return all(type(epoch) is int and epoch > 0 for epoch in epochs) and list(epochs) == sorted(set(epochs))


def _is(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type; a tuple is a list there, and a whole number a float too."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer is dict:
        return isinstance(value, dict) and all(_is(one, inner[1]) for one in value.values())
    if outer in (list, tuple):
        if not isinstance(value, (list, tuple)):
            return False
        kinds = inner if outer is tuple and inner[-1] is not Ellipsis else inner[:1] * len(value)
        return len(kinds) == len(value) and all(map(_is, value, kinds))
    return type(value) in ((int, float) if kind is float else (kind,))


def section[T](kind: type[T], values: Any, place: str, later: Mapping[str, Any] | None = None) -> T:
    """A dataclass from a JSON object whose keys and types are exactly its own.

    Args:
        kind: The dataclass.
        values: The object.
        place: What a message calls it.
        later: What earlier versions did not write, and what it was then.

    Raises:
        InputError: An unknown or missing key, a value of another type, or one that the dataclass refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected an object, got {type(values).__name__}")
    values = {**(later or {}), **values}
    known = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    problems = [f"{place}: unknown key {key!r}; known are {sorted(known)}" for key in values if key not in known]
    problems += [f"{place}: key {key!r} is missing" for key in known if key not in values]
    problems += [
        f"{place}: key {key!r}: expected {known[key]}, got {value!r}"
        for key, value in values.items()
        if key in known and not _is(value, known[key])
    ]
    if problems:
        raise InputError(problems)
    try:
        return kind(**values)
    except InputError as e:
        raise InputError([f"{place}: {problem}" for problem in e.problems]) from e


def other_settings(
    run: Any, held: Any, given: Mapping[str, Any], options: Mapping[str, str], words: Mapping[str, str]
) -> list[str]:
    """Which options ask for another setting than the run that is resumed has.

    Args:
        run: The run's folder.
        held: Its settings.
        given: Value of each option; None and `auto` where it asks for nothing.
        options: The field of `held` by option.
        words: What an option is called where that is not its name.
    """
    return [
        f"{words.get(option, '--' + option.replace('_', '-'))}: {run} was trained with {getattr(held, field)}, "
        f"got {given[option]}; --resume keeps the run's"
        for option, field in options.items()
        if given[option] not in (None, "auto") and given[option] != getattr(held, field)
    ]
