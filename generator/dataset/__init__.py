"""Datasets: the row type, labels by tolerance, building from records, card, publishing."""
