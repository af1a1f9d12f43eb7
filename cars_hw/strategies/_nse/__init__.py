"""What NSE is made of: places, sub-spaces, gates and the duels between sets of operations."""
