"""Datasets: from what was rendered to a folder that `load_dataset` opens, and on to the Hub.

rows            THE row type, PictureRow and ObjectRow: a new column begins there
labels          the decision OK or NG: `judge`, tolerance, classes
record_rows     a record to its row, under one tolerance: where a column gets its value
build           a folder of renders to a dataset, in two passes (render_folder); render_check: what is refused
build_command   `generator build` and its defaults
writer          where every dataset is written: chunks, shards, the move into place
folder          the files of a dataset, and reading them
connectors      connectors.json: nominal positions and outlines
card            README.md; card_header, derived_card, contact_sheet beside it
push, hub       `generator push` and publishing
"""
