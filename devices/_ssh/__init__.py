"""The way to a Linux board, and what is particular about one: one report or habit a file."""
