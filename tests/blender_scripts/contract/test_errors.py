"""Messages for printing: one cause in many places takes few lines, different causes keep theirs."""

from blender_scripts.contract.errors import grouped


def test_messages_that_differ_in_their_place_only_are_counted() -> None:
    same = [f"m.csv:{line} housing: expected one of plain, got 'oak'" for line in range(2, 248)]
    other = ["m.csv:9 seed: expected an integer", "m.csv:9 terminal: expected one of plain, got 'oak'"]
    lines = grouped([*same[:3], *other, *same[3:]])
    assert lines == [
        *same[:3],
        *other,
        *same[3:5],
        "and 241 more mistakes of this kind, the last one at m.csv:247 housing",
    ]
    files = [f"scratch/{name}.png: expected a line in metadata.csv, got none" for name in "abcdefgh"]
    assert grouped(files) == [*files[:5], "and 3 more mistakes of this kind, the last one at scratch/h.png"]
    objects = [f"m.jsonl:{line} objects {line % 7}: expected a box, got none" for line in range(9)]
    assert len(grouped(objects)) == 6


def test_every_other_message_keeps_its_line() -> None:
    different = [f"m.csv:{line} defects: expected a number, got 'x{line}'" for line in range(30)]
    columns = [f"m.csv:2 column {name}: expected a name, got 'x'" for name in "abcdefghij"]
    six = [f"--rows {number}: expected rows, got none" for number in range(6)]
    for problems in ([], different, columns, six, [f"interrupted {number}" for number in range(20)]):
        assert grouped(problems) == problems
