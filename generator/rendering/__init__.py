"""Run the renderer (blender_scripts/render.py) in several processes, and on several machines.

render.py    `generator render`: checks the inputs and the output folder, then runs the pool
pool.py      a pool of renderer processes: sends row numbers to them, replaces processes that end unexpectedly
engines.py   the command that starts a renderer: the package bpy of this Python, or a Blender executable
shards.py    shards: the shares of a manifest's rows that several machines render
merge.py     for `generator merge`: joins the shards' render folders after checking every file
preview.py   `generator preview`: renders some rows of a manifest and puts them on a contact sheet
"""
