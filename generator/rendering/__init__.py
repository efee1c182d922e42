"""Run the renderer.

render.py    `generator render`: checks the inputs, reserves the output folder, runs the pool
pool.py      a pool of renderer processes: sends them rows, replaces those that die
engines.py   the command that starts a renderer: bpy of this Python, or a Blender executable
preview.py   `generator preview`: some rows on a contact sheet
"""
