"""Scene files: reading and checking what a user writes. Standard library only; imports nothing else of this project.

connector.py       a whole scene file, and checks that its tables fit together
positions.py  terminals.py  housings.py  cad_file.py  station.py    its tables: pins, shapes, cameras and light
marking.py  nuisance.py     the print on a housing; random differences between captures
contour.py  lettering.py    outlines of openings and blocks; the font of the print on a housing
scene_hash.py      SHA-256 of what pictures depend on in a scene file
scatter.py  photographs.py  world.py    manufacturing scatter; pictures of the table under the part;
                   random changes of what a fitted scene leaves open (the wide world)
datum.py  tolerance.py      the datum of measurements; limits on a pin's measures
wide_limits.py     limits that hardly any pin exceeds, as one in mil
nominal_position.py         a pin position as on a connector's drawing
toml_section.py  csv_file.py  text_file.py     readers of TOML, CSV and text files, which report every mistake
errors.py          InputError: a mistake of the user, reported with exit code 2
progress_lines.py  lines that say how far a long rendering is, for output that is no terminal
defect.py          one defect: kind, target, values of parameters
draws.py           random numbers that depend on a seed and a purpose only
interrupt.py       one line after Ctrl-C while a command is imported
output_path.py     checks that the parents of an output folder exist
scratch.py         a temporary folder that is removed when its process has ended
"""
