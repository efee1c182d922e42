"""Words of messages."""

from generator.io.wording import counted, on_one_line


def test_numbers_have_singular_and_plural():
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
    assert [counted(n, "box", "boxes") for n in (1, 2)] == ["1 box", "2 boxes"]


def test_control_characters_are_escaped():
    assert on_one_line("OK  a\nb\r\x1b\u2028ü.png") == "OK  a\\nb\\r\\x1b\\u2028ü.png"
