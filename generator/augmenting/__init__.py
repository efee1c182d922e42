"""`generator augment`: make more pictures of a folder or a dataset, by a plan that a person can edit.

`plan` reads and writes the plan, `of_folder` and `of_dataset` apply it (`copied_rows`: to one row), `before_after`
draws the sheet.

To add an augmentation, write its transform of pixel coordinates in `transforms` (or its change of light, as in
`relit`), list its copies in `copies.COPIES` and its column in `plan.OPERATIONS`, and make them in `copies.copies`.
Labels follow from the transform: boxes, points and masks in `relabel`, the camera in `camera`. Only a transform that
changes addresses (a flip, a turn by 90 degrees) also needs rules in `orientation`.
"""
