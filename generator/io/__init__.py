"""Input and output that all commands share; needs only the base install.

palette        colours of pages, plots and boxes: one hue for each class and verdict
pictures       decodes pictures for all commands: suffixes, orientation, depth, modes
json_text      parses JSON, in which a key stands once
mask_files     separates the masks of an anomaly data set from its photographs
pin_boxes      reads the file of the option `--positions`: the boxes of pins on a picture
output_file    checks where a command writes, and writes files atomically
view_names     reads part and view from the names of pictures
processes      runs work in one process per core
source_code    hashes the code, so that results of other code are not reused
"""
