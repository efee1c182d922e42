"""Design of experiments: a SPEC of factors and levels to a balanced manifest, and `check` of any manifest."""
