"""Manifest rows: reading and checking them, the part that a row describes, its render folder and its record.

reader.py          read_manifest: every column of every row checked (docs/reference/manifest.md)
run.py             Run (one checked row) and the manifest's columns
marking.py         check of the print on a housing
offered.py  repeats.py    checks: what a scene offers; names and parts that stand in several rows
defects.py         the grammar of the column `defects`
make_part.py  placement.py    a row's part: scatter of its pins, then its defects
claim.py           which folder a manifest may be rendered into, and what it may not replace there
output_folder.py   the render folder: file names, safe writing, which rows are finished
render_settings.py render settings that are not in a row: light paths, device, denoiser; their text in a row's hash
record.py          a record's format, and the hash of a row (docs/reference/records.md)
"""
