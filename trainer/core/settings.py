"""Settings of a training, each stated once: type, default, range, help text, and value in runs that lack it.

A class of settings is a subclass of `Settings` with fields made by `setting`. That of the network is a dataclass with
the same keys in its fields' metadata: its file travels with a run and cannot import pydantic. From the class come the
options (`options.add_options`), the check of config.json, the conflicts with --resume, and tables for the docs.
"""

import dataclasses
import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self, TypedDict, Unpack, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from blender_scripts.contract.errors import shown
from generator.io.number_option import plain_number, shown_number
from trainer.core.errors import InputError

# Values of --rows: which rows of a dataset are used (`row_facts.kept_rows`).
Rows = Literal["all", "observable", "clear"]
ROWS = get_args(Rows)
ROWS_MEANING = {
    "all": "all rows",
    "observable": "without pictures that show nothing, or none of their defects",
    "clear": "without pictures that show nothing, or none of their defects, and without pins close to the tolerance",
}
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class SettingMetadata(TypedDict, total=False):
    """Range, option and default of a setting; all keys are optional.

    Args:
        ge, gt, le: Limits of a number: value >= ge, value > gt, value <= le.
        expected: The accepted values in words, after "expected" in messages; by default from type and range.
        group: Group of the option in `--help`; by default the unnamed group of `options.add_options`.
        option: Name of the option; by default the setting's.
        no_option: Reason why the setting has no option; with this key it has none.
        metavar: Name of the value in `--help`.
        choices: Values that the option accepts; by default those of a `Literal` type.
        shown: Text for the default in `--help`; by default the default's value.
        either: Whether a switch has options for both values: --NAME and --no-NAME.
        published: Default if the network starts from a published checkpoint: one value, or values by training mode.
        earlier: Value for runs of earlier versions, which did not write this setting.
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
    either: bool
    published: Any
    earlier: Any


def setting(default: Any, description: str, **asked: Unpack[SettingMetadata]) -> Any:
    """Return a field for a subclass of `Settings`.

    Args:
        default, description: Default value, and help text.
        asked: Range, option and more: see `SettingMetadata`.
    """
    metadata: Any = asked
    limits = {key: metadata.get(key) for key in ("ge", "gt", "le")}
    return Field(default, description=description, json_schema_extra=metadata, **limits)


class Settings(BaseModel):
    """Base class of settings: immutable; types and ranges are checked strictly, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def changed(self, given: Mapping[str, Any]) -> Self:
        """Return a copy with the values in `given`, by name; raises pydantic's ValidationError if one is wrong."""
        return type(self)(**{**dict(self), **given})


# Settings of several kinds of run.
MAX_ESCAPE = setting(
    0.0,
    "largest accepted share of NG parts that are judged OK: one half of validation's NG parts chooses the score below "
    "which a picture is OK, the other half checks whether the share's 95 % upper bound is at most RATE; 0: no check",
    ge=0,
    le=0.5,
    metavar="RATE",
    earlier=0.0,
)
FITTED_EPOCHS = setting(
    0,
    "number of epochs that fit into --time-limit, if fewer than --epochs; 0: all fit",
    ge=0,
    le=100_000,
    no_option="computed from --time-limit",
    earlier=0,
)
THREADS = setting(1, "CPU threads; results repeat only with the same number", ge=1, le=1024, shown="number of cores")
DATA_SHA256 = setting(
    "",
    "SHA-256 of the dataset's content; empty if its card has none",
    expected="a SHA-256, or nothing",
    no_option="read from the dataset",
    earlier="",
)


class Setting(NamedTuple):
    """One setting of a training: name, pydantic field (type, default, help text), range, option (`SettingMetadata`)."""

    name: str
    field: FieldInfo
    asked: Mapping[str, Any]

    @property
    def kind(self) -> Any:
        """The setting's type."""
        return self.field.annotation

    @property
    def option(self) -> str:
        """The option's name, such as --lr, or --no-… for a switch that is on by default; empty without an option."""
        if "no_option" in self.asked:
            return ""
        off = "no-" if self.field.default is True else ""
        return f"--{off}{self.asked.get('option', self.name).replace('_', '-')}"

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values to which the option is limited; empty if there is no such list."""
        return tuple(self.asked.get("choices", get_args(self.kind) if get_origin(self.kind) is Literal else ()))

    @property
    def expected(self) -> str:
        """The accepted values in words: `a whole number from 1 to 8`, `one of a, b`."""
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
        """What the setting accepts, in words, for the docs: `given or not`, `one of a, b`, or as in `expected`."""
        if self.option and self.kind is bool:
            return "given or not"
        return f"one of {', '.join(map(str, self.choices))}" if self.choices else self.expected

    @property
    def default(self) -> str:
        """The default as text; empty for a required setting and for a switch."""
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
        """Return the value that the text of an option stands for; raises ArgumentTypeError if it is not accepted."""
        try:
            kinds = get_args(self.kind)
            given = plain_number(text) if {self.kind, *kinds} & {int, float} else text
            value = tuple(map(kinds[0], given.split(","))) if kinds else self.kind(given)
            checked: TypeAdapter[Any] = TypeAdapter(Annotated[self.kind, Strict(), *self.field.metadata])  # type: ignore[arg-type]
            return checked.validate_python(value)
        except ValueError:
            got = shown_number(text) if self.kind is float else shown(text)
            raise ArgumentTypeError(f"expected {self.expected}, got {got}") from None


def described(kind: Any) -> str:
    """Return a setting's type in words, such as `a whole number`."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer is Annotated:
        return described(inner[0])
    if outer is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if outer is dict:
        return f"an object, each value {described(inner[1])}"
    if outer in (list, tuple):
        return f"a list, {'each' if len(inner) == 1 or inner[-1] is Ellipsis else 'both'} {described(inner[0])}"
    return WORDS[kind]


def _written(value: Any) -> str:
    """Write a default value for `--help` and tables: `none` for an empty one."""
    return f"{value:g}" if isinstance(value, float) else str(value) if value or type(value) is int else "none"


def fields_of(model: Any) -> Mapping[str, Setting]:
    """Return the settings that a class has as fields, by name.

    `model` is a subclass of `Settings`, or a dataclass whose fields have `SettingMetadata` as metadata.
    """
    if issubclass(model, BaseModel):
        found: dict[str, Any] = model.model_fields
        return {name: Setting(name, field, field.json_schema_extra or {}) for name, field in found.items()}
    fields: Any = dataclasses.fields(model)
    return {
        one.name: Setting(one.name, FieldInfo.from_annotated_attribute(one.type, one), one.metadata) for one in fields
    }


def given_settings(args: Namespace, model: type) -> dict[str, Any]:
    """Return by name the values of those settings of the class `model` whose options were given (in `args`)."""
    return {
        name: value
        for name, one in fields_of(model).items()
        if one.option and (value := getattr(args, name)) is not None
    }


def other_settings(run: Any, held: Any, args: Namespace) -> list[str]:
    """Return a message for each option that contradicts the settings of the run to be resumed.

    Args:
        run, held: The run's folder, and the settings in its config.json.
        args: The command's options; None or `auto` contradicts nothing.
    """
    return [
        f"{fields_of(type(held))[name].option}: {run} was trained with {getattr(held, name)}, got {value}; "
        "--resume keeps the run's settings"
        for name, value in given_settings(args, type(held)).items()
        if value not in ("auto", getattr(held, name))
    ]


def section[T](kind: type[T], values: Any, place: str) -> T:
    """Make an object of the class `kind` from JSON; keys, types and ranges are checked strictly.

    Args:
        kind: Class of the settings: a subclass of `Settings`, or a dataclass.
        values: The JSON object; settings with a value `earlier` may be missing.
        place: Name of the object in messages, such as `RUN/config.json training`.

    Raises:
        InputError: An unknown or missing key, a value of a wrong type or out of range, or a combination of values that
            the model refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected a JSON object, got {type(values).__name__}")
    known = fields_of(kind)
    values = {**{name: one.asked["earlier"] for name, one in known.items() if "earlier" in one.asked}, **values}
    problems = [f"{place}: unknown key {key!r}; known are {sorted(known)}" for key in values if key not in known]
    problems += [f"{place}: key {key!r} is missing" for key in known if key not in values]
    try:
        made = TypeAdapter(kind).validate_json(json.dumps(values), strict=True, extra="ignore")
    except ValidationError as e:
        wrong = dict.fromkeys(str(one["loc"][0]) for one in e.errors() if one["loc"])
        problems += [
            f"{place}: key {key!r}: expected {known[key].expected}, got {shown(values[key])}"
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
    """A setting's row in a table: name, option, default, accepted values, help text; each empty if there is none."""

    name: str
    option: str
    default: str
    taken: str
    help: str


def settings_table(model: type) -> list[SettingRow]:
    """List the settings of a class (see `fields_of`) as rows of a table for the docs."""
    return [
        SettingRow(name, one.option, "off" if one.kind is bool else one.default, one.taken, one.field.description or "")
        for name, one in fields_of(model).items()
    ]
