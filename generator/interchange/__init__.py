"""The commands `import` and `export`: exchange labelled pictures with other tools.

One module reads and writes each foreign format: `coco` (with `coco_masks`), `yolo`, `voc` (read only), `image_folder`.
Readers (for import) return `labelled.ReadLabels` (pictures, messages); writers (for export) get `exported.Exported`.

To add an export format, write a module with a WRITER (see `exported.Writer`) and list it in `exporting.WRITERS`. To add
an import format, write a function that returns `labelled.ReadLabels` and list it in `importing.READERS`.

importing    `generator import`; import_options checks its options
locating_parts  finds the part in photographs by a gauge, and moves their labels to the straightened pictures
class_folders  reads classes and splits from the names of the folders above a picture
placing      assigns run names, part numbers and splits to imported pictures
photo_rows   checks photographs and makes their rows; same_pictures finds those with the same pixels
own_columns  the columns that Pinsight's own exports state, which an import takes back
yaml_text    parses YAML whose values are all texts
mixing       mixes imported rows with those of another dataset
exporting    `generator export`
"""
