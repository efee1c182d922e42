"""Datasets: build a folder that `load_dataset` opens from a render folder, and publish it on the Hub.

rows            PictureRow and ObjectRow, the row types: a new column is added there first
labels          `judge`, which decides OK or NG; tolerance, classes and their meanings
record_rows     makes the row of a record under one tolerance: where a column gets its value
build           makes a dataset from a render folder in two passes (render_folder), after checks (render_check)
build_command   `generator build` and its defaults
writer          writes every dataset: chunks, shards, the move to the final name (place)
folder          names and reads the files of a dataset
connectors      connectors.json: nominal positions and outlines
card            README.md of built datasets; derived_card: of all others; card_header, contact_sheet: parts of both
push, hub       `generator push`, and publishing in general
"""
