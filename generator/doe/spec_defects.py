"""Read the tables [defects.NAME] of a SPEC: kinds of defect, their targets, frequencies and parameter ranges."""

from __future__ import annotations

from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.manifest.defects import KINDS, Choice, Parameter
from generator.doe.spec import DEFAULT_SIZE, SIZE, SIZED, KindSpec, Range


def read_defects(section: TomlSection) -> dict[str, KindSpec]:
    """Read the kinds of defect from the table [defects] of a SPEC; returns them by name.

    If the table names none, these are bent, retracted and missing with defaults. Mistakes are noted in `section`.
    """
    settings = ("per_picture", "inside_tolerance")
    named = [name for name in section.data if name not in settings]
    found = {}
    for name in named or [kind for kind in ("bent", "retracted", "missing") if kind in KINDS]:
        own = section.table(name, optional=name not in section.data)
        kind = own.text("kind", name)
        if kind not in KINDS:
            key = "kind" if "kind" in own.data else None
            if not own.problems:
                own.wrong(key, f"a kind of defect: one of {', '.join(KINDS)}", shown(kind))
            own.data = {}
            continue
        found[name] = _kind(own, kind)
    return found


def _kind(section: TomlSection, name: str) -> KindSpec:
    share = section.number("share", 0.001, 1000.0, 1.0)
    at = section.choice("at", KINDS[name].targets, KINDS[name].targets[0])
    parameters: list[tuple[str, Range | float | tuple[str, ...]]] = []
    given = [p for p in KINDS[name].parameters if p.name in section.data]
    for parameter in KINDS[name].parameters:
        value = _value(section, parameter, given)
        if value is not None:
            parameters.append((parameter.name, value))
    size = None
    sized = SIZED.get(name)
    if sized is not None:
        replaced = next((p.instead_of for p in KINDS[name].parameters if p.name == sized.parameter), None)
        fixed = any(p.name in (sized.parameter, replaced) for p in given)
        if not fixed and (sized.by_default or SIZE in section.data):
            low, high = section.numbers(SIZE, 2, 0.01, 100.0, DEFAULT_SIZE)
            if low > high:
                section.wrong(SIZE, "a range of sizes with the smaller one first", f"[{low:g}, {high:g}]")
            size = Range(low, high, 6)
    elif SIZE in section.data:
        section.value(SIZE, "")
        section.wrong(SIZE, f"parameters of {name} and no size, as this kind of defect has no tolerance", SIZE)
    return KindSpec(name, at, share, size, tuple(parameters))


def _value(
    section: TomlSection, parameter: Parameter | Choice, given: list[Parameter | Choice]
) -> Range | float | tuple[str, ...] | None:
    if isinstance(parameter, Choice):
        return _words(section, parameter)
    return _parameter(section, parameter, given)


def _words(section: TomlSection, parameter: Choice) -> tuple[str, ...] | None:
    """Read the words that a parameter is chosen from; None if the SPEC has none (the kind's default)."""
    offered = f"one or more of {', '.join(parameter.choices)}" if parameter.choices else "one or more names"
    value = section.value(parameter.name, offered, ())
    words = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (0,)
    if not all(isinstance(w, str) and (not parameter.choices or w in parameter.choices) for w in words):
        section.wrong(parameter.name, offered, shown(value))
        return None
    return words or None


def _parameter(
    section: TomlSection, parameter: Parameter, given: list[Parameter | Choice]
) -> Range | float | tuple[str, ...] | None:
    """Read a parameter's range to draw from, or its fixed number; None if the SPEC has neither (the kind's default)."""
    low, high = parameter.low, parameter.high
    expected = f"a number from {low:g} to {high:g}, or a range [LOW, HIGH]"
    if parameter.name not in section.data:
        section.value(parameter.name, expected, ())
        # A direction that the SPEC leaves out is drawn from the full circle.
        if parameter.name.endswith("azimuth_deg"):
            return Range(low, high, 1)
        return None
    value = section.value(parameter.name, expected)
    if parameter.instead_of and any(p.name == parameter.instead_of for p in given):
        section.wrong(parameter.name, f"either {parameter.instead_of} or {parameter.name}", "both")
    numbers = value if isinstance(value, list) and len(value) == 2 else [value]
    good = all(isinstance(n, int | float) and not isinstance(n, bool) and low <= n <= high for n in numbers)
    if not good or numbers[0] > numbers[-1]:
        section.wrong(parameter.name, expected, shown(value))
        return None
    if len(numbers) == 1:
        return float(numbers[0])
    # Two whole numbers of a parameter without a unit are a count: drawn without decimals.
    counted = not parameter.name.endswith(("_mm", "_deg")) and all(isinstance(n, int) for n in numbers)
    decimals = 0 if counted else 1 if parameter.name.endswith("_deg") else 3
    return Range(float(numbers[0]), float(numbers[1]), decimals)
