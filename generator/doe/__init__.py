"""Design of experiments: make a balanced manifest from a SPEC, and check any manifest.

A SPEC is a TOML file with the factors and levels of a design; a manifest is a CSV file with one row per picture.

design.py        `generator design`: write the manifest of a SPEC as CSV
spec.py  spec_reader.py  spec_defects.py    the contents of a SPEC and its reader (docs/reference/design.md)
tables.py  levels.py    full, fractional and orthogonal tables; the factors' levels of each picture
blocks.py        the positions used for training, and those held out for validation and test
assignment.py    kinds of defect and positions of each picture, balanced
drawing.py  defect_values.py  part_class.py    sizes and part numbers, drawn until the part has its class
measuring.py  displacement.py  spec_measurement.py  pin_table.py    designs that displace every pin, for measuring
row.py           one picture of a design, and the order of pictures
random_connectors.py    `generator connectors`: scene files of random connectors
check.py  frame.py  aliasing.py  position_map.py    `generator check`: balance, aliasing, cost; a map of the pins
plausibility.py  housing_fit.py  symmetry.py    the warnings of `generator check`
"""
