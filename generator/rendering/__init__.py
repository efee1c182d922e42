"""Driving the renderer.

render.py    `generator render`: checks, claims the folder, feeds the pool
pool.py      renderer processes that are fed rows, replaced when they die, recycled
engines.py   what a row is rendered with: bpy of this Python, or a Blender executable
preview.py   `generator preview`: some rows on a contact sheet
"""
