"""Processes of this machine: the memory that they share, the one that works, and the side that asks it."""
