"""`augment`: a plan of copies that a person edits, applied to a folder or a dataset with boxes, points and cameras."""
