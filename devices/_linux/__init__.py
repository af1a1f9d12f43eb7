"""What is particular about a Linux board: one report or habit a file."""
