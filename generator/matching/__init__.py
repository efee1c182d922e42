"""Fit what a scene file says of a station to photographs of good parts taken on it.

- `match`: the command, from photographs to a scene file, a JSON file and a page; `fitting`: its steps.
- `start`, `shifts`, `geometry`, `fitted_camera`, `ranges`: the camera, from the distances of edges in photographs and
  renders.
- `noise`, `blur`, `blur_kinds`, `light`: sensor, lens and light, in the `regions` of a picture.
- `differences`: what remains between photographs and renders.
- `renders`, `twins`, `scene_text`: render a scene with other values and given poses; change values in a scene's text.
"""
