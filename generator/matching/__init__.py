"""Fit what a scene file says of a station to photographs of good parts taken on it.

- `match`: the command, from photographs to a scene file, a JSON file and a page.
- `start`, `shifts`, `geometry`, `ranges`: the camera, from the distances of edges in photographs and renders.
- `noise`, `blur`, `light`: sensor, lens and light; `domain`: how well a classifier tells photographs from renders.
- `renders`, `scene_text`: render a scene with other values and given poses; change values in the text of a scene.
"""
