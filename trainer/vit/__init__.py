"""`python -m trainer.vit`: a small vision transformer for classification."""
