"""Parse YAML from people's files without YAML's own ideas of types: NO, 07, 1e3, 3:30 and null are class names.

A mapping with a key twice is an error; PyYAML keeps the last value.
"""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Loader whose values are strings, lists and mappings, and whose mappings have each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        places: dict[str, int] = {}
        for key, _ in node.value:
            at = key.start_mark.index
            if isinstance(key, yaml.ScalarNode) and places.setdefault(key.value, at) != at:
                raise ValueError(f"the key {key.value!r} twice, again in line {key.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Parse YAML text; every value that is no list or mapping is a string, as written.

    Raises:
        ValueError: it is not YAML, is nested too deeply, or a mapping has a key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("values nested too deeply") from None
