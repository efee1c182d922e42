"""The gauge: every pin's tip in millimetres, with its uncertainty, from pictures whose cameras are known.

- `network`: from a crop to where two points are, and how surely.
- `data`, `batches`: pictures with their true poses and points; crops round supposed poses.
- `training`, `command`: the training in the loop of `trainer.core.loop`.
"""
