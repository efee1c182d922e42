"""Run the renderer (blender_scripts/render.py) in several processes.

render.py    `generator render`: checks the inputs and the output folder, then runs the pool
pool.py      a pool of renderer processes: sends them rows, replaces processes that die
engines.py   the command that starts a renderer: the package bpy of this Python, or a Blender executable
preview.py   `generator preview`: renders some rows of a manifest and puts them on a contact sheet
"""
