"""Compute the pose of a part, and the places of its points in mm, from points found in pictures. NumPy only.

- `pose`: the pose of a part, from the pixels of points whose places on the part are known.
- `triangulation`: the place of one point, with its covariance, from its pixels in pictures of a part with known pose.
"""
