"""Where a part is in pictures, and where its points are in millimetres. NumPy only.

- `pose`: the rigid motion of a part from points of known place, found in one or several pictures.
- `triangulation`: the place of a point, with its covariance, from pictures of known pose.
"""
