"""Verdicts on pictures and parts, and the checks that a picture can be judged at all. Part of the base installation.

- `envelope`: the four verdicts, and the JSON document that every judging command writes for a picture or part.
- `conformity`: decisions on measured pins by a tolerance, with the uncertainty of the measures.
- `gates`: whether a picture can be judged: size, exposure, contrast, sharpness, noise, orientation, appearance, colour.
- `feature_gate`: how far a picture is from the training pictures, in the network's features.
- `decimals`: writes a value and its limit so that they differ.
- `gate_limits`, `measures`, `appearance`, `colours`, `orientation`, `tails`: limits of the gates, what they measure,
  and how limits are set.
"""
