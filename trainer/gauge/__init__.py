"""The gauge: measures every pin of a connector in mm, with the uncertainty, in pictures of cameras that are known.

- `network`: finds two points (a pin's tip and foot, or a point on an edge) in a crop, and states how precisely.
- `data`, `batches`: pictures with the part's true pose and the pins' true points; crops for training.
- `training`, `command`: the training, in the loop of `trainer.core.loop`.
- `evaluation`, `dataset_verdicts`, `prediction`: errors in mm; decisions by a tolerance; verdicts on pictures of parts.
"""
