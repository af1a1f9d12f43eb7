"""Training shared weights on several GPUs or machines at once."""
