"""The manifest: rows that are read and checked, the part that a row describes, the folder and the record it ends in.

reader.py          read_manifest: every column of every row checked (docs/reference/manifest.md)
run.py             Run, one row as a value, and the manifest's columns
defects.py         the grammar of the column `defects`
make_part.py  placement.py    a row's part: scatter of its pins, then its defects
claim.py           which folder a manifest may be rendered into, and what it may not replace there
output_folder.py   names and files of that folder, and which rows are finished
record.py          a record's format, and the hash of a row (docs/reference/records.md)
"""
