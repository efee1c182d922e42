"""Calibrate cameras from pictures of a target: focal length, principal point, distortion, and places in a rig."""
