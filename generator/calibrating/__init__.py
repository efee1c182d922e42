"""Calibrate cameras from pictures of a target: focal length, principal point, distortion, and places in a rig.

target       finds the points of a target in a picture
solve        fits cameras to the points
calibrate    the command
"""
