"""Settings of a training, each stated once: type, default, range, help text, and its value in runs that lack it.

A model of settings is a `Settings` class whose fields are made by `setting`, or a dataclass whose fields' metadata have
the same keys: the network's, which travels with a run and knows no pydantic. From the model come the options
(`trainer.core.options.add_options`), the check of config.json, the conflicts of `--resume`, and tables for the docs.
"""

import dataclasses
import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self, TypedDict, Unpack, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from trainer.core.errors import InputError

# Which rows of a dataset count: see `row_facts.kept_rows`.
Rows = Literal["all", "observable", "clear"]
ROWS = get_args(Rows)
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class Asked(TypedDict, total=False):
    """How a setting is bounded, asked for and shown.

    Args:
        ge, gt, le: Its range.
        expected: What a message expects where type and range do not say it.
        group: Its group in `--help`, where not that of the model.
        option: Name of its option, where not the setting's own.
        no_option: Why it has no option.
        metavar: What `--help` calls the value.
        choices: Words that the option takes, where not those of the type.
        shown: The default in words, where the value does not say it.
        published: The default for a published checkpoint, or by mode.
        earlier: Its value in runs of versions that did not write it.
    """

    ge: float
    gt: float
    le: float
    expected: str
    group: str
    option: str
    no_option: str
    metavar: str
    choices: Sequence[Any]
    shown: str
    published: Any
    earlier: Any


def setting(default: Any, description: str, **asked: Unpack[Asked]) -> Any:
    """A field of `Settings`.

    Args:
        default: Its default.
        description: Its help text.
        asked: See `Asked`.
    """
    metadata: Any = asked
    limits = {key: metadata.get(key) for key in ("ge", "gt", "le")}
    return Field(default, description=description, json_schema_extra=metadata, **limits)


class Settings(BaseModel):
    """Settings that cannot be changed, of exactly their types and in their ranges."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def changed(self, given: Mapping[str, Any]) -> Self:
        """These settings with others in the place of some, checked again."""
        return type(self)(**{**dict(self), **given})


class Setting(NamedTuple):
    """One setting, as its field states it."""

    name: str
    field: FieldInfo
    asked: Mapping[str, Any]

    @property
    def kind(self) -> Any:
        """Its type."""
        return self.field.annotation

    @property
    def option(self) -> str:
        """Its option; empty where it has none. The option of what is on by default turns it off."""
        if "no_option" in self.asked:
            return ""
        off = "no-" if self.field.default is True else ""
        return f"--{off}{self.asked.get('option', self.name).replace('_', '-')}"

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words that its option takes; empty where it takes others too."""
        return tuple(self.asked.get("choices", get_args(self.kind) if get_origin(self.kind) is Literal else ()))

    @property
    def expected(self) -> str:
        """What a message expects of it: `a whole number from 1 to 8`, `one of a, b`."""
        limits: dict[str, float] = {
            key: value
            for limit in self.field.metadata
            for key in ("ge", "gt", "le")
            if (value := getattr(limit, key, None)) is not None
        }
        words = {"ge": "from", "gt": "above", "le": "to"}
        written = [f"{words[key]} {value:{'' if type(value) is int else 'g'}}" for key, value in limits.items()]
        return self.asked.get("expected") or " ".join([described(self.kind), *written])

    @property
    def taken(self) -> str:
        """What its option takes, or where it has none what config.json does."""
        if self.option and self.kind is bool:
            return "given or not"
        return f"one of {', '.join(map(str, self.choices))}" if self.choices else self.expected

    @property
    def default(self) -> str:
        """Its default in words; empty where it must be given, and of a switch."""
        if "shown" in self.asked:
            return str(self.asked["shown"])
        value = self.field.default
        if self.field.is_required() or self.kind is bool:
            return ""
        if "published" not in self.asked:
            return _written(value)
        published = self.asked["published"]
        by_mode = published if isinstance(published, dict) else {"": published}
        others = ", ".join(f"{mode} {_written(one)}".strip() for mode, one in by_mode.items())
        return f"tiny {_written(value)}; published {others}"

    def parse(self, text: str) -> Any:
        """Its value from an option's text."""
        try:
            kinds = get_args(self.kind)
            value = tuple(map(kinds[0], text.split(","))) if kinds else self.kind(text)
            checked: TypeAdapter[Any] = TypeAdapter(Annotated[self.kind, Strict(), *self.field.metadata])  # type: ignore[arg-type]
            return checked.validate_python(value)
        except ValueError:
            raise ArgumentTypeError(f"expected {self.expected}, got {text!r}") from None


def described(kind: Any) -> str:
    """A type in words."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if outer is dict:
        return f"an object, each value {described(inner[1])}"
    if outer in (list, tuple):
        return f"a list, {'each' if len(inner) == 1 or inner[-1] is Ellipsis else 'both'} {described(inner[0])}"
    return WORDS[kind]


def _written(value: Any) -> str:
    """A default as `--help` and tables show it."""
    return f"{value:g}" if isinstance(value, float) else str(value) if value or type(value) is int else "none"


def fields_of(model: Any) -> Mapping[str, Setting]:
    """The settings of a model by name: of a `Settings` class, or of a dataclass by its fields' metadata."""
    if issubclass(model, BaseModel):
        found: dict[str, Any] = model.model_fields
        return {name: Setting(name, field, field.json_schema_extra or {}) for name, field in found.items()}
    fields: Any = dataclasses.fields(model)
    return {
        one.name: Setting(one.name, FieldInfo.from_annotated_attribute(one.type, one), one.metadata) for one in fields
    }


def given_settings(args: Namespace, model: type) -> dict[str, Any]:
    """What the options of a model's settings say, by setting; nothing of those that were not given."""
    return {
        name: value
        for name, one in fields_of(model).items()
        if one.option and (value := getattr(args, name)) is not None
    }


def other_settings(run: Any, held: Any, args: Namespace) -> list[str]:
    """Which options ask for another setting than the run that is resumed has.

    Args:
        run: The run's folder.
        held: Its settings.
        args: What was given.
    """
    return [
        f"{fields_of(type(held))[name].option}: {run} was trained with {getattr(held, name)}, got {value}; "
        "--resume keeps the run's"
        for name, value in given_settings(args, type(held)).items()
        if value not in ("auto", getattr(held, name))
    ]


def section[T](kind: type[T], values: Any, place: str) -> T:
    """A model's settings from a JSON object whose keys and types are exactly theirs, each in its range.

    Args:
        kind: The model.
        values: The object; what earlier versions did not write may be missing.
        place: What a message calls it.

    Raises:
        InputError: An unknown or missing key, a value that is not what its field expects, or values that the model
            refuses together.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected an object, got {type(values).__name__}")
    known = fields_of(kind)
    values = {**{name: one.asked["earlier"] for name, one in known.items() if "earlier" in one.asked}, **values}
    problems = [f"{place}: unknown key {key!r}; known are {sorted(known)}" for key in values if key not in known]
    problems += [f"{place}: key {key!r} is missing" for key in known if key not in values]
    try:
        made = TypeAdapter(kind).validate_json(json.dumps(values), strict=True, extra="ignore")
    except ValidationError as e:
        wrong = dict.fromkeys(str(one["loc"][0]) for one in e.errors() if one["loc"])
        problems += [
            f"{place}: key {key!r}: expected {known[key].expected}, got {values[key]!r}"
            for key in wrong
            if key in values
        ]
        raise InputError(problems or f"{place}: expected text in Unicode, got {e.errors()[0]['msg']}") from e
    except InputError as e:
        raise InputError([*problems, *(f"{place}: {problem}" for problem in e.problems)]) from e
    if problems:
        raise InputError(problems)
    return made


class SettingRow(NamedTuple):
    """A line of a table of settings: texts, empty where there is nothing to say."""

    name: str
    option: str
    default: str
    taken: str
    help: str


def settings_table(model: type) -> list[SettingRow]:
    """The settings of a model as a table for people."""
    return [
        SettingRow(
            name,
            one.option,
            "off" if one.kind is bool else one.default,
            one.taken,
            one.field.description or "",
        )
        for name, one in fields_of(model).items()
    ]
