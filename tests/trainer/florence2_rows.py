"""Rows for `<OD>`: the tiny dataset's, with the answer that their objects amount to."""

from generator.bbox_str import encode

CLASSES = ("BENDNG", "NUKENG", "OK")


def with_answers(rows: list[dict]) -> list[dict]:
    """Rows with `bbox_str` of their defective objects, and a marking on every second one."""
    for index, row in enumerate(rows):
        objects = row["objects"]
        defective = [i for i, c in enumerate(objects["category"]) if c != 2]
        boxes = [objects["bbox"][i] for i in defective]
        row["bbox_str"] = encode(
            [[x, y, x + w, y + h] for x, y, w, h in boxes],
            [CLASSES[objects["category"][i]] for i in defective],
            64,
            32,
        )
        row["marking"] = "numbers" if index % 2 else "none"
        for i, category in enumerate(objects["category"]):
            objects["retraction_mm"][i] = None if category == 1 else 0.0
    return rows
