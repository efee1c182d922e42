"""Run the renderer (blender_scripts/render.py) in several processes, and on several machines.

render.py    `generator render`: checks the inputs and the output folder, then runs the pool
pool.py      a pool of renderer processes: sends row numbers to them, replaces processes that end unexpectedly
progress.py  the progress of a rendering: a bar, or lines now and then
engines.py   the command that starts a renderer: the package bpy of this Python, or a Blender executable
failures.py  the errors to raise where a renderer cannot be started, refuses the input, or fails
shards.py    shards: the shares of a manifest's rows that several machines render
joining.py   `render --cluster`: joins a Ray cluster, or starts one on this machine
cluster.py   gives the rows of a manifest to the nodes of a Ray cluster, and writes the files that they return
node.py      a node of a Ray cluster: renders rows in a temporary folder, and returns the bytes of their files
merge.py     for `generator merge`: joins the shards' render folders after checking every file
preview.py   `generator preview`: renders some rows of a manifest and puts them on a contact sheet
"""
