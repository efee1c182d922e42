"""Measure the pins of a part in pictures, in mm: find the part's pose, then the places of its pins. Needs no torch.

- `gauge`: from pictures to a verdict; `gauge_file` reads a trained gauge, `sheet` draws the result.
- `drawings`, `cameras`, `rig`: the connector and the cameras, as drawn and as calibrated.
- `landmarks`, `crops`, `locate`, `pose`: find the pose of a part from points that a network finds in its pictures;
  `covariances` of these points, `fit` of the pose, `likeness` of the part with those of the training.
- `measure`, `triangulation`: find the places of its pins; `judge` compares these with the tolerance;
  `factors` and `bias` correct measures and uncertainties as validation has shown.
- `search`, `coarse`, `edges`, `scaling`, `straightening`: find a part that lies anywhere in a photograph; resample it.
- `pin_places`: the boxes of all pins in a picture.
"""
