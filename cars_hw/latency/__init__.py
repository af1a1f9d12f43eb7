"""What a latency table holds of a space, and what it predicts."""
