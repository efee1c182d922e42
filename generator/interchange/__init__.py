"""Labelled pictures from and for other tools: `import` and `export`.

A foreign format is one module, which reads and writes it: `coco` (with `coco_masks`), `yolo`, `voc` (read only),
`image_folder`. Readers hand over `labelled.Labelled`, writers get `exported.Exported`.

A new export format: a module with a WRITER (see `exported.Writer`), named in `exporting.WRITERS`.
A new import format: a module with a function that returns `labelled.Found`, named in `importing.READERS`.

`importing`: the command; `placing`: names, parts and splits; `photo_rows`: checks and rows; `mixing`: with renders.
"""
