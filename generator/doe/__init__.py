"""Design of experiments: a SPEC of factors and levels to a balanced manifest, and the check of any manifest.

design.py        `generator design`: the splits of a SPEC to CSV
spec.py  spec_reader.py  spec_defects.py    what a SPEC says, and reading it (docs/reference/design.md)
tables.py  levels.py    full, fractional and orthogonal tables; the factors' levels of each picture
blocks.py        which pin positions are held out
assignment.py    which kind of defect at which pin, in turn
drawing.py  defect_values.py  part_class.py    sizes and part numbers, drawn until the part has its class
row.py           one picture in the making, and the order of pictures
check.py  aliasing.py  position_map.py      `generator check`: balance, aliasing, estimate; a map of the pins
"""
