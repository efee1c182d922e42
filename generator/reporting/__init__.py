"""`report`: one HTML page on a dataset."""
