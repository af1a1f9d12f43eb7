"""The contents of a latency table for a space, and the predictor made from them."""
