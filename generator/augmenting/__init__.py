"""More pictures from those there are: `augment`, by a plan that a person edits, of a folder or of a dataset.

`plan` reads and writes the plan, `of_folder` and `of_dataset` apply it; `before_after` draws the sheet.

A new augmentation: how pixels move in `transforms` (or what light does to them, `relit`), its copies in
`copies.COPIES`, its column in `plan.OPERATIONS`. What a dataset knows of a picture follows from the move alone:
boxes, points and masks in `relabel`, the camera in `camera`. Only a move that renames places (a flip, a turn by 90
degrees) has to say how, in `orientation`.
"""
