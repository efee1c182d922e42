"""The gauge: every pin's tip in millimetres, with its uncertainty, from pictures whose cameras are known.

- `network`: finds two points (a pin's tip and foot, or a point on an edge) in a crop, and states how precisely.
- `data`, `batches`: pictures with their true poses and points; crops round supposed poses.
- `training`, `command`: the training, in the loop of `trainer.core.loop`.
- `evaluation`, `judging`, `prediction`: errors in mm, decisions by a tolerance, verdicts on pictures.
"""
