"""`python -m trainer.florence2`: Florence-2 trained to answer `<OD>` with boxes."""
