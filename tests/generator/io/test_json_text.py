import pytest

from generator.io.json_text import parse_json


def test_sound_text_is_parsed():
    assert parse_json('{"a": [{"b": 1}, {"b": 2}], "c": {"b": null}}') == {"a": [{"b": 1}, {"b": 2}], "c": {"b": None}}


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '[{"x": {"b": 1, "c": 2, "b": 1}}]', "[" * 100_000, "{", "\ufeff{}"]
)
def test_what_is_refused(text):
    with pytest.raises(ValueError, match=r"twice|nested too deeply|Expecting|BOM"):
        parse_json(text)
