"""Measure the pins of a part in pictures, in mm: find the part's pose, then the places of its pins. Needs no torch.

- `gauge`: from pictures to a verdict; `gauge_file` reads a trained gauge, `sheet` draws the result.
- `landmarks`, `crops`, `locate`, `pose`: find the pose of a part from points that a network finds in its pictures.
- `measure`, `triangulation`: find the places of its pins; `judge` compares these with the tolerance.
"""
