"""Runtimes on a board: the program that measures there, and what this side of it asks and checks."""
