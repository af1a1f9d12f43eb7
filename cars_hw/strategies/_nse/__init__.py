"""What NSE is made of: places, sub-spaces, the drawing of sets of operations and the duels between them."""
