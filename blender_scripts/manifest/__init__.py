"""Rows and records: the manifest reader, the defects column, the part of a row, its record, the folder."""
