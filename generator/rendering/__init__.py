"""Run the renderer (blender_scripts/render.py) in several processes.

render.py    `generator render`: checks the inputs and the output folder, then runs the pool
pool.py      a pool of renderer processes: sends them rows, replaces processes that die
engines.py   the command that starts a renderer: the package bpy of this Python, or a Blender executable
shards.py    shards of a manifest for machines that each render a part of it
merge.py     `generator merge`: joins the shards' render folders after checking every file
preview.py   `generator preview`: renders some rows of a manifest and puts them on a contact sheet
"""
