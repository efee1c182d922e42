"""`import` and `export`: one module per foreign format, and what the formats share."""
