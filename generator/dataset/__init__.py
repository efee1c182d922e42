"""Build a dataset, a folder that `load_dataset` opens, from a render folder, and publish it on the Hub.

rows            PictureRow and ObjectRow, the row types: a new column is added there first
labels          the classes and their meanings; `judge` decides OK or NG from measures and tolerance
scene_files     finds the scenes of a render folder and the tolerance of each
record_rows     makes the row of a rendered picture from its record (JSON of exact measures) and a tolerance
build           makes a dataset from a render folder: two passes (first_pass; render_folder), checks of each row
                (render_check), counts over them (row_counts); render_manifests reads the rows of the manifests
shards          `build --shard`: the share of one of several machines; merge_shards joins the shares
golden_rows     writes the mean pictures of good parts with which the column nsoart may compare pictures
build_command   `generator build` and its defaults
writer          writes every dataset as Parquet files; place locks and replaces the target folder
folder          names and reads the files of a dataset
connectors      connectors.json: nominal positions and outlines of the connectors
card            README.md of a dataset built from renders; derived_card that of any other
card_header     the YAML header and the tables of every README.md; contact_sheet draws its picture
push, hub       `generator push`, and publishing in general
"""
