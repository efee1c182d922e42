"""Parse YAML in which NO, 07, 1e3, 3:30 and null may be names of classes, so that all values are read as text.

A mapping with the same key twice is an error; PyYAML would take the last value.
"""

from __future__ import annotations

from typing import Any

import yaml


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Loader whose values are strings, lists and mappings, and whose mappings have each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        """Return a node's mapping; raises ValueError if it has a key twice."""
        places: dict[str, int] = {}
        for key, _ in node.value:
            at = key.start_mark.index
            if isinstance(key, yaml.ScalarNode) and places.setdefault(key.value, at) != at:
                raise ValueError(f"the key {key.value!r} twice, the second time in line {key.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """Parse YAML text into lists, dicts and strings; numbers, dates and the like are strings as written.

    Raises:
        ValueError: the text is not YAML, is nested too deeply, or has a mapping with the same key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("values nested too deeply") from None
