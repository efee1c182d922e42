import pytest

from generator.interchange.yaml_text import parse_yaml

WORDS = ["NO", "on", "Yes", "1e3", "07", "0x1F", "3:30", "null", "~", "2024-01-02", "1_000", ".inf", "true"]


def test_values_stay_as_written():
    assert parse_yaml("\n".join(f"- {word}" for word in WORDS)) == WORDS
    assert parse_yaml(f"names: {{{', '.join(f'{word}: {word}' for word in WORDS)}}}") == {
        "names": {word: word for word in WORDS}
    }
    assert parse_yaml("a: 'it''s'\nb: \"x\\ty\"\nc:\nd: &x [1, 2]\ne: *x") == {
        "a": "it's",
        "b": "x\ty",
        "c": "",
        "d": ["1", "2"],
        "e": ["1", "2"],
    }


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("a: 1\nb: 2\na: 3", "the key 'a' twice, the second time in line 3"),
        ("names:\n  0: a\n  '0': b", "the key '0' twice, the second time in line 3"),
        ("{a: 1, a: 2}", "the key 'a' twice"),
        ("a: [", "while parsing"),
        ("? [1]\n: 2", "unhashable"),
        ("&a [*a]", "recursive"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_what_is_refused(text, got):
    with pytest.raises(ValueError, match=got):
        parse_yaml(text)
