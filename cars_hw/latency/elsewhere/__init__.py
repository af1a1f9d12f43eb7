"""Measuring on devices of other hosts: what their workers do, and the side that asks them."""
