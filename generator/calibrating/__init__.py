"""Calibration of cameras from pictures of a target: intrinsics, distortion, and where cameras of a rig stand."""
