"""Models: what predicts whole networks from the entries of a table."""
