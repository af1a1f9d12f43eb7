"""What is particular about a phone: one report or habit a file."""
