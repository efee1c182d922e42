"""From a design to a dataset, and inspection without training: ordinary Python, no bpy, no torch.

doe            `design` and `check`: factors and levels to a manifest
rendering      `render` and `preview`: the renderer in worker processes
dataset        `build` and `push`: THE row type, labels by tolerance, the writer, the card
augmenting     `augment`: copies of pictures with all that is known of them
interchange    `import` and `export`: one module for each foreign format
reporting      `report`: a dataset on one page
soart          `inspect`: SOART3, SOARTC, NSOART
io             the decoder of pictures, where a command may write, processes
bbox_str       the Florence-2 `<OD>` answer as text, for datasets and trainers
"""
