"""What a user writes: scene files, and the parts of a defect. Standard library only; imports no other package here.

connector.py       a whole scene file, and checks that its parts fit together
positions.py  terminals.py  housings.py  cad_file.py  rig.py    its tables: pins, shapes, cameras and light
contour.py  lettering.py    outlines of openings and blocks; the font of print
scatter.py  photographs.py  manufacturing scatter; pictures of the table under the part
tolerance.py       limits on a pin's measures, for all positions or single ones
toml_section.py  text_file.py  errors.py                        strict reading; InputError, which is exit code 2
defect.py          one defect: kind, target, values
draws.py           random numbers by (seed, purpose, address)
scratch.py         a temporary folder that is removed when its process has ended
"""
