"""The commands of `python -m generator`, and what the trainers share with them; without bpy and torch.

doe            `design` makes a manifest (a CSV file, one row per picture), `check` checks one
rendering      `render`, `merge` and `preview` run the renderer in several processes
dataset        `build` makes a dataset of the pictures, `push` uploads it; the row type and the labels
augmenting     `augment` makes copies of pictures, with their labels
interchange    `import` and `export` convert other tools' labelled pictures, one module per format
reporting      `report` writes an HTML page about a dataset
soart          `inspect` compares pictures with pictures of good parts, without training
calibrating    `calibrate` finds the geometry of cameras
matching       `match` fits a scene file to photographs of a station
locating       finds a part's pose in pictures, and measures its pins
verdict        decides OK or NG, and whether a picture can be judged
io             decodes pictures, checks and writes files, runs processes
bbox_str       writes and reads Florence-2's `<OD>` answer: boxes with labels as text
"""

from blender_scripts.contract.interrupt import one_line_at_start

one_line_at_start()
